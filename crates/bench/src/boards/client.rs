//! Exporters and agents that speak not-my-board's protocol word by word and do nothing else: the same load for hubs of
//! either kind.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use nave_link::address::HubUrl;
use nave_link::{certificate, dial};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// Where a hub is.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    pub address: SocketAddr,
    pub tls: bool,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One connection to `/ws`.
pub struct Wire {
    socket: WebSocketStream<Box<dyn Io>>,
    last_id: u64,
}

#[derive(Deserialize)]
struct Heard<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Option<&'a str>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Number {
    result: u64,
}

impl Door {
    async fn enter(self) -> anyhow::Result<Box<dyn Io>> {
        if self.tls {
            let url = HubUrl::new(self.address.ip().to_string(), self.address.port());
            return Ok(Box::new(dial::dial(&url, certificate::by_key()).await?.0));
        }
        let io = TcpStream::connect(self.address).await?;
        io.set_nodelay(true)?;
        Ok(Box::new(io))
    }

    /// Asks for something, and gives what comes, with its head.
    pub async fn get(self, path: &str) -> anyhow::Result<String> {
        let mut io = self.enter().await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n");
        io.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Not every server ends TLS before it ends the connection.
        io.read_to_end(&mut answer).await.ok();
        Ok(String::from_utf8(answer)?)
    }
}

impl Wire {
    pub async fn connect(door: Door) -> anyhow::Result<Self> {
        // Less is read at a time than by default, since that much is overwritten with zeros first, for every message.
        let config = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(0);
        let (socket, _) =
            tokio_tungstenite::client_async_with_config("ws://hub/ws", door.enter().await?, Some(config))
                .await?;
        Ok(Self { socket, last_id: 0 })
    }

    /// The next message.
    async fn next(&mut self) -> anyhow::Result<Bytes> {
        loop {
            match self.socket.next().await.context("the hub ended the connection")?? {
                Message::Binary(bytes) => return Ok(bytes),
                Message::Close(frame) => bail!("the hub closed the connection: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Calls a method of the hub with parameters in JSON, and waits for its answer.
    pub async fn call(&mut self, method: &str, params: &str) -> anyhow::Result<Bytes> {
        self.last_id += 1;
        let id = self.last_id;
        let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.socket.send(Message::binary(request)).await?;
        let answer = self.next().await?;
        let heard: Heard<'_> = serde_json::from_slice(&answer)?;
        if heard.id != Some(id) || heard.error.is_some() {
            bail!("{method}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer)
    }

    /// As [`Wire::call`], for a method whose result is a number.
    pub async fn number(&mut self, method: &str, params: &str) -> anyhow::Result<u64> {
        let answer: Number = serde_json::from_slice(&self.call(method, params).await?)?;
        Ok(answer.result)
    }

    /// Puts a place into the farm; its number.
    pub async fn register(&mut self, name: &str) -> anyhow::Result<u64> {
        let parts =
            r#"[{"compatible":["board"],"usb":{},"tcp":{"serial":{"host":"127.0.0.1","port":2000}}}]"#;
        let params = format!(r#"[{{"name":"{name}","port":2192,"parts":{parts}}}]"#);
        self.number("register_place", &params).await
    }

    /// As an exporter: confirms whatever it is told, until the connection ends.
    pub async fn obey(mut self) -> anyhow::Result<()> {
        loop {
            let request = self.next().await?;
            let heard: Heard<'_> = serde_json::from_slice(&request)?;
            if let (Some(id), Some(_)) = (heard.id, heard.method) {
                let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":null}}"#);
                self.socket.send(Message::binary(answer)).await?;
            }
        }
    }
}
