//! A client that speaks not-my-board's protocol, word by word, and the farm that it comes to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use nave_boards::hub::Boards;
use nave_boards::hub::config::BoardsConfig;
use nave_link::certificate;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::wait::PATIENCE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};

/// Clients say where they are as if a proxy did.
pub const OPEN: &str = r#"
    [not_my_board]
    enabled = true
    open_to = ["10.77.0.0/24", "127.0.0.1", "6.6.6.6"]
    proxies = ["127.0.0.1"]
"#;

/// A hub with a board fleet.
pub async fn farm(settings: &str) -> anyhow::Result<TestHub> {
    Ok(farm_and_fleet(settings).await?.0)
}

/// A hub with a board fleet, and the fleet.
pub async fn farm_and_fleet(settings: &str) -> anyhow::Result<(TestHub, Boards)> {
    let config = BoardsConfig::read(&settings.parse()?)?;
    let boards = Boards::new(config)?;
    Ok((TestHub::with(setup(&boards)).await?, boards))
}

/// What a hub with this fleet is made of.
pub fn setup(boards: &Boards) -> TestHubSetup {
    TestHubSetup {
        fleets: vec![Arc::new(boards.clone())],
        sections: vec![Arc::new(boards.clone())],
        ..TestHubSetup::default()
    }
}

async fn tls(hub: &TestHub) -> anyhow::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(hub.address()).await?;
    let name = rustls::pki_types::ServerName::try_from("hub")?;
    Ok(TlsConnector::from(certificate::by_key()).connect(name, tcp).await?)
}

/// Asks in HTTP/1.1, from an address; the whole answer.
pub async fn get(hub: &TestHub, from: &str, path: &str) -> anyhow::Result<String> {
    let mut io = tls(hub).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: hub.local\r\nX-Forwarded-For: {from}\r\nConnection: close\r\n\r\n"
    );
    io.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// As [`get`], sending a form.
pub async fn post(hub: &TestHub, from: &str, path: &str, form: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut io = tls(hub).await?;
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: hub.local\r\nX-Forwarded-For: {from}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    io.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The body of an answer that is JSON.
pub fn body(answer: &str) -> anyhow::Result<Value> {
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    serde_json::from_str(body).with_context(|| answer.to_owned())
}

/// One connection to `/ws`.
pub struct Client {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    last_id: u64,
}

impl Client {
    /// Connects, from an address.
    pub async fn connect(hub: &TestHub, from: &str) -> anyhow::Result<Self> {
        Ok(Self::try_connect(hub, from, "/ws").await??)
    }

    /// As [`Client::connect`], on any path.
    pub async fn try_connect(
        hub: &TestHub,
        from: &str,
        path: &str,
    ) -> anyhow::Result<Result<Self, tungstenite::Error>> {
        let mut request = format!("wss://hub.local{path}").into_client_request()?;
        request.headers_mut().insert("x-forwarded-for", from.parse()?);
        let connected = tokio_tungstenite::client_async(request, tls(hub).await?).await;
        Ok(connected.map(|(socket, _)| Self { socket, last_id: 0 }))
    }

    /// Sends bytes as one message.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::binary(bytes)).await?)
    }

    /// Sends a message as text.
    pub async fn send_text(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        self.send_bytes(message.to_string().into_bytes()).await
    }

    /// Sends a request and does not wait for the answer; its id.
    pub async fn begin(&mut self, method: &str, params: Value) -> anyhow::Result<u64> {
        self.last_id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params });
        self.send(&request).await?;
        Ok(self.last_id)
    }

    /// The next message, without what only Python adds to errors.
    pub async fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match frame.context("nothing comes")?.context("the connection ended")?? {
                Message::Binary(bytes) => return Ok(without_traceback(serde_json::from_slice(&bytes)?)),
                Message::Close(frame) => bail!("closed: {frame:?}"),
                Message::Text(_) => bail!("a text frame"),
                _ => {}
            }
        }
    }

    /// Whether nothing comes for a moment.
    pub async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.next()).await.is_err()
    }

    /// Calls a method and waits for its answer: the result, or the words of the error.
    pub async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Result<Value, String>> {
        let id = self.begin(method, params).await?;
        let answer = self.next().await?;
        if answer["id"] != json!(id) {
            bail!("this is no answer to {method}: {answer}");
        }
        Ok(match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(answer["error"]["message"].as_str().unwrap_or_default().to_owned()),
        })
    }

    /// Registers a place and gives its number.
    pub async fn register(&mut self, name: &str) -> anyhow::Result<u64> {
        let parts = json!([{ "compatible": ["board"], "tcp": {}, "usb": {} }]);
        let place = json!({ "name": name, "port": 2192, "parts": parts });
        let id = self.call("register_place", json!([place])).await?.map_err(anyhow::Error::msg)?;
        id.as_u64().context("a number")
    }

    /// As an exporter: waits to be told whom to let in, and confirms it.
    pub async fn lets_in(&mut self) -> anyhow::Result<Value> {
        let request = self.next().await?;
        if request["method"] != "set_allowed_ips" {
            bail!("something else is asked of the exporter: {request}");
        }
        self.send(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": null })).await?;
        Ok(request["params"][0].clone())
    }
}

/// An error as it is without the traceback, which only Python has.
pub fn without_traceback(mut message: Value) -> Value {
    if let Some(error) = message.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("data");
    }
    message
}
