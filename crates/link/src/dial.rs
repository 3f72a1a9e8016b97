//! A node's way out: TLS connections to the hub, and what they become: a control connection, a stream's bytes,
//! or requests to the native API.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;

use crate::access_key::Fingerprint;
use crate::address::HubUrl;
use crate::certificate::{self, Mismatch};
use crate::key::{PublicKey, SecretKey, Signature};
use crate::pipe::Prefixed;
use crate::proof::{Connection, Exporter, Role};
use crate::random::Random;
use crate::rpc::websocket_config;

/// How long a connection may take until TLS stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the hub may take to answer the request that opens a link or a stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest error text that is read from a hub.
const MAX_ERROR_BODY: usize = 16 << 10;

/// Carries a node's key on a stream's or API request.
pub const NODE_KEY: HeaderName = HeaderName::from_static("nave-node-key");
/// Carries the hub's key in an answer.
pub const HUB_KEY: HeaderName = HeaderName::from_static("nave-hub-key");
/// Carries a signature over the connection, in both directions.
pub const PROOF: HeaderName = HeaderName::from_static("nave-proof");
/// Carries the one-time ticket of a stream.
pub const TICKET: HeaderName = HeaderName::from_static("nave-ticket");
/// The value of `Upgrade` for a stream's bytes.
pub const STREAM_PROTOCOL: &str = "nave-stream/1";

/// Why no connection to the hub came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The network did not lead to the hub.
    #[error("cannot reach {url}: {source}")]
    Unreachable {
        /// The hub's address.
        url: HubUrl,
        /// What the system says.
        source: io::Error,
    },
    /// It took too long.
    #[error("cannot reach {url}: no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout {
        /// The hub's address.
        url: HubUrl,
    },
    /// The certificate is not the one that the access key names.
    #[error("{url}: {mismatch}")]
    WrongHub {
        /// The hub's address.
        url: HubUrl,
        /// What was expected and what was seen.
        mismatch: Box<Mismatch>,
    },
    /// The certificate is the right one, but whoever shows it does not hold its key.
    #[error(
        "{url}: whoever answers there shows a certificate whose key it does not hold: its handshake signature is wrong. Someone is in between; nothing was sent to it"
    )]
    Forged {
        /// The hub's address.
        url: HubUrl,
    },
    /// Something answers there, but it is no Nave hub.
    #[error("{url} does not answer as a nave hub does: {problem}")]
    NotAHub {
        /// The hub's address.
        url: HubUrl,
        /// What it did instead.
        problem: String,
    },
    /// The hub answered with an error.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The hub's words.
        message: String,
    },
    /// Another hub answers there.
    #[error(
        "{url}: another hub answers there than the one that this machine knows: look at the address; if the hub was made anew, join or sign in anew. Nothing was sent to it"
    )]
    OtherHub {
        /// The hub's address.
        url: HubUrl,
    },
    /// The connection ends somewhere else than at the hub that was expected.
    #[error("{url}: the hub could not prove its key on this connection: something in between ends TLS")]
    Intercepted {
        /// The hub's address.
        url: HubUrl,
    },
}

impl DialError {
    /// Whether nobody whom this machine trusts vouches for the certificate.
    pub fn is_unknown_certificate(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if certificate::is_unknown(source))
    }

    /// Whether trying again later may help without a person doing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::NotAHub { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::WrongHub { .. }
            | Self::Forged { .. }
            | Self::OtherHub { .. }
            | Self::Intercepted { .. } => false,
        }
    }
}

/// A TLS 1.3 connection to a hub's port, offering only HTTP/1.1.
pub async fn dial(
    url: &HubUrl,
    config: Arc<ClientConfig>,
) -> Result<(TlsStream<TcpStream>, Exporter), DialError> {
    let name = ServerName::try_from(url.host().to_owned()).map_err(|_| DialError::NotAHub {
        url: url.clone(),
        problem: "its name is no host name".to_owned(),
    })?;
    let connect = async {
        let tcp = TcpStream::connect((url.host(), url.port())).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(config).connect(name, tcp).await
    };
    let io = tokio::time::timeout(CONNECT_TIMEOUT, connect)
        .await
        .map_err(|_| DialError::Timeout { url: url.clone() })?
        .map_err(|source| match certificate::mismatch_of(&source) {
            Some(mismatch) => DialError::WrongHub { url: url.clone(), mismatch: Box::new(mismatch.clone()) },
            None if certificate::is_forged(&source) => DialError::Forged { url: url.clone() },
            None => DialError::Unreachable { url: url.clone(), source },
        })?;
    let exporter = Exporter::of(io.get_ref().1).ok_or_else(|| DialError::NotAHub {
        url: url.clone(),
        problem: "it does not speak TLS 1.3, which proving a key needs".to_owned(),
    })?;
    Ok((io, exporter))
}

/// Opens a control connection: a WebSocket at `/link`, on which nothing has been said yet.
pub async fn link(
    url: &HubUrl,
    config: Arc<ClientConfig>,
) -> Result<(WebSocketStream<TlsStream<TcpStream>>, Exporter), DialError> {
    let (io, exporter) = dial(url, config).await?;
    let request = format!("wss://{}/link", url.authority());
    let open = tokio_tungstenite::client_async_with_config(request, io, Some(websocket_config()));
    match tokio::time::timeout(ANSWER_TIMEOUT, open).await {
        Ok(Ok((socket, _))) => Ok((socket, exporter)),
        Ok(Err(tungstenite::Error::Http(response))) => {
            let body = response.body().as_deref().unwrap_or_default();
            Err(refusal(response.status(), body))
        }
        Ok(Err(error)) => Err(DialError::NotAHub { url: url.clone(), problem: error.to_string() }),
        Err(_) => Err(DialError::Timeout { url: url.clone() }),
    }
}

/// A hub that this node has met, and the node's own key.
#[derive(Clone)]
pub struct Known {
    /// Where the hub is.
    pub url: HubUrl,
    /// Its key.
    pub hub: PublicKey,
    /// The node's key.
    pub key: Arc<SecretKey>,
    /// How TLS is spoken with it.
    pub tls: Arc<ClientConfig>,
}

/// A stream's bytes on a connection of its own through the hub.
pub type RelayedStream = Prefixed<TlsStream<TcpStream>>;

/// Opens a stream's connection through the hub with the ticket that the hub gave this node for it.
pub async fn stream(known: &Known, ticket: &str) -> Result<RelayedStream, DialError> {
    let url = &known.url;
    let not_a_hub = |problem: String| DialError::NotAHub { url: url.clone(), problem };
    let (io, exporter) = dial(url, Arc::clone(&known.tls)).await?;
    let connection = Connection { hub: known.hub, node: known.key.public(), exporter };
    let (mut sender, driver) =
        http1::handshake(TokioIo::new(io)).await.map_err(|error| not_a_hub(error.to_string()))?;
    let driver = tokio::spawn(driver.with_upgrades());
    let ticket =
        HeaderValue::from_str(ticket).map_err(|_| not_a_hub("its ticket is no header value".to_owned()))?;
    let request = Request::get("/stream")
        .header(header::HOST, url.authority())
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, STREAM_PROTOCOL)
        .header(TICKET, ticket)
        .header(NODE_KEY, known.key.public().to_string())
        .header(PROOF, connection.sign(Role::Stream, &known.key).to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| not_a_hub(error.to_string()))?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
    let response =
        answer.map_err(|_| DialError::Timeout { url: url.clone() })?.map_err(|e| not_a_hub(e.to_string()))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (status, body) = read_error(response).await;
        return Err(refusal(status, &body));
    }
    let proved = response
        .headers()
        .get(PROOF)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<Signature>().ok())
        .is_some_and(|signature| connection.verify(Role::Hub, &signature));
    if !proved {
        driver.abort();
        return Err(DialError::Intercepted { url: url.clone() });
    }
    upgraded(response).await.map_err(not_a_hub)
}

/// What a first meeting with a hub tells: no secret was shown yet.
#[derive(Clone, Debug)]
pub struct Met {
    /// The key that the hub proved on the connection.
    pub hub: PublicKey,
    /// The certificate that it showed.
    pub fingerprint: Fingerprint,
}

/// Meets a hub that is not known yet. Whether it is the right one is for `config` to say, or for whoever compares the
/// fingerprint.
pub async fn meet(url: &HubUrl, config: Arc<ClientConfig>, node: &PublicKey) -> Result<Met, DialError> {
    let not_a_hub = |problem: String| DialError::NotAHub { url: url.clone(), problem };
    let (io, exporter) = dial(url, config).await?;
    let certificate = io.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let fingerprint = certificate
        .map(|der| Fingerprint::of(der))
        .ok_or_else(|| not_a_hub("it shows no certificate".to_owned()))?;
    let (mut sender, driver) =
        http1::handshake(TokioIo::new(io)).await.map_err(|error| not_a_hub(error.to_string()))?;
    tokio::spawn(driver);
    let hub = hub_of(&mut sender, url, node, exporter).await?;
    Ok(Met { hub, fingerprint })
}

/// The key that whoever answers on a connection proves on it.
async fn hub_of(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    url: &HubUrl,
    node: &PublicKey,
    exporter: Exporter,
) -> Result<PublicKey, DialError> {
    let not_a_hub = |problem: String| DialError::NotAHub { url: url.clone(), problem };
    let request = Request::get("/nave/v1/identity")
        .header(header::HOST, url.authority())
        .header(NODE_KEY, node.to_string())
        .body(Full::<Bytes>::default())
        .map_err(|error| not_a_hub(error.to_string()))?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
    let response =
        answer.map_err(|_| DialError::Timeout { url: url.clone() })?.map_err(|e| not_a_hub(e.to_string()))?;
    if response.status() != StatusCode::OK {
        let (status, body) = read_error(response).await;
        return Err(refusal(status, &body));
    }
    let (head, body) = response.into_parts();
    // Read to its end, so that the connection takes the next request.
    let body = tokio::time::timeout(ANSWER_TIMEOUT, Limited::new(body, MAX_ERROR_BODY).collect()).await;
    body.map_err(|_| DialError::Timeout { url: url.clone() })?.map_err(|e| not_a_hub(e.to_string()))?;
    let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let hub: PublicKey = text(HUB_KEY)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| not_a_hub("it names no key".to_owned()))?;
    let connection = Connection { hub, node: *node, exporter };
    let proved = text(PROOF)
        .and_then(|text| text.parse::<Signature>().ok())
        .is_some_and(|signature| connection.verify(Role::Hub, &signature));
    if !proved {
        return Err(DialError::Intercepted { url: url.clone() });
    }
    Ok(hub)
}

/// A connection to the native API on which the hub and this node have proved themselves.
pub struct ApiConnection {
    sender: http1::SendRequest<Full<Bytes>>,
    url: HubUrl,
    proof: HeaderValue,
}

/// Opens a connection to the native API as this node. The hub proves its key first: nobody in between reads what is
/// asked, or answers in its place.
pub async fn api(known: &Known) -> Result<ApiConnection, DialError> {
    let (io, exporter) = dial(&known.url, Arc::clone(&known.tls)).await?;
    let connection = Connection { hub: known.hub, node: known.key.public(), exporter };
    let (mut sender, driver) = http1::handshake(TokioIo::new(io))
        .await
        .map_err(|error| DialError::NotAHub { url: known.url.clone(), problem: error.to_string() })?;
    tokio::spawn(driver.with_upgrades());
    if hub_of(&mut sender, &known.url, &connection.node, exporter).await? != known.hub {
        return Err(DialError::OtherHub { url: known.url.clone() });
    }
    let proof = format!("Nave {}.{}", known.key.public(), connection.sign(Role::Api, &known.key));
    let proof = HeaderValue::from_str(&proof).expect("base64url is a header value");
    Ok(ApiConnection { sender, url: known.url.clone(), proof })
}

/// As [`api`], for whoever shows a bearer token and no key of its own. With `hub`, the hub proves its key first, and its
/// certificate may be any; without, the certificate must be one for its name that this machine trusts.
pub async fn api_by_token(
    url: &HubUrl,
    hub: Option<PublicKey>,
    token: &str,
    random: &Random,
) -> Result<ApiConnection, DialError> {
    let tls = if hub.is_some() { certificate::by_key() } else { certificate::by_system() };
    let (io, exporter) = dial(url, tls).await?;
    let not_a_hub = |problem: String| DialError::NotAHub { url: url.clone(), problem };
    let (mut sender, driver) =
        http1::handshake(TokioIo::new(io)).await.map_err(|error| not_a_hub(error.to_string()))?;
    tokio::spawn(driver);
    if let Some(hub) = hub
        && hub_of(&mut sender, url, &SecretKey::generate(random).public(), exporter).await? != hub
    {
        return Err(DialError::OtherHub { url: url.clone() });
    }
    let mut proof = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| not_a_hub("the token cannot be sent: it has letters that no token has".to_owned()))?;
    proof.set_sensitive(true);
    Ok(ApiConnection { sender, url: url.clone(), proof })
}

impl ApiConnection {
    /// Shows the proof of another connection instead of its own, as somebody would who had recorded it. For tests of
    /// hubs: it is refused.
    pub fn replay(&mut self, other: &Self) {
        self.proof = other.proof.clone();
    }

    /// Sends one request; `path` begins with `/nave/v1`.
    pub async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<hyper::body::Incoming>, DialError> {
        let not_a_hub = |problem: String| DialError::NotAHub { url: self.url.clone(), problem };
        let host =
            HeaderValue::from_str(&self.url.authority()).map_err(|error| not_a_hub(error.to_string()))?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::AUTHORIZATION, self.proof.clone());
        self.sender.ready().await.map_err(|error| not_a_hub(error.to_string()))?;
        self.sender.send_request(request).await.map_err(|error| not_a_hub(error.to_string()))
    }
}

/// Opens a WebSocket at a path of the native API as this node, on a connection of its own, for [`crate::rpc::Peer`].
pub async fn websocket(known: &Known, path: &str) -> Result<WebSocketStream<RelayedStream>, DialError> {
    let url = &known.url;
    let not_a_hub = |problem: String| DialError::NotAHub { url: url.clone(), problem };
    let mut connection = api(known).await?;
    let request = Request::get(path)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, tungstenite::handshake::client::generate_key())
        .body(Full::default())
        .map_err(|error| not_a_hub(error.to_string()))?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, connection.send(request)).await;
    let response = answer.map_err(|_| DialError::Timeout { url: url.clone() })??;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (status, body) = read_error(response).await;
        return Err(refusal(status, &body));
    }
    let io = upgraded(response).await.map_err(not_a_hub)?;
    Ok(WebSocketStream::from_raw_socket(io, tungstenite::protocol::Role::Client, Some(websocket_config()))
        .await)
}

/// The bytes of a connection whose protocol was changed.
async fn upgraded(response: Response<hyper::body::Incoming>) -> Result<RelayedStream, String> {
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| error.to_string())?;
    let parts = upgraded
        .downcast::<TokioIo<TlsStream<TcpStream>>>()
        .map_err(|_| "the connection changed its type".to_owned())?;
    Ok(Prefixed::new(parts.read_buf, parts.io.into_inner()))
}

async fn read_error(response: Response<hyper::body::Incoming>) -> (StatusCode, Bytes) {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_ERROR_BODY).collect().await.map(http_body_util::Collected::to_bytes);
    (parts.status, body.unwrap_or_default())
}

/// The hub's words from the body of an error answer: `{"error": {"message": …}}`, or the plain text.
fn refusal(status: StatusCode, body: &[u8]) -> DialError {
    #[derive(serde::Deserialize)]
    struct Body {
        error: Words,
    }
    #[derive(serde::Deserialize)]
    struct Words {
        message: String,
    }
    let message = serde_json::from_slice::<Body>(body).map_or_else(
        |_| {
            let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
            format!("the hub answered {status}: {}", text.trim())
        },
        |body| body.error.message,
    );
    DialError::Refused { status, message }
}
