//! A client's way to a hub of not-my-board: the hub's address, TLS where that is `https`, the WebSocket at `/ws`, and
//! small requests in HTTP, which providers of sign-in are asked by too.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nave_link::certificate;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::not_my_board::channel::{Channel, Methods};
use crate::not_my_board::websocket::{self, End};

/// How long a connection may take until it stands.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take, from the request to its last byte.
const ANSWER: Duration = Duration::from_secs(30);
/// The largest answer, in bytes: a list of 10,000 places has a few million.
const LARGEST: usize = 64 << 20;
/// How much of an error's text is shown.
const SHOWN: usize = 300;

/// What a connection runs on.
pub type Io = Either<TcpStream, TlsStream<TcpStream>>;

/// Why there is no connection, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The address cannot be understood.
    #[error("{0:?} is no address of a hub: write http://HOST:PORT or https://HOST:PORT")]
    Address(String),
    /// A file of `--cacert`.
    #[error("the certificates to trust (--cacert) cannot be read: {0}")]
    Certificates(#[source] io::Error),
    /// The network did not lead there.
    #[error("cannot reach {url}: {source}")]
    Unreachable {
        /// Where to.
        url: String,
        /// What the system says.
        source: io::Error,
    },
    /// It took too long.
    #[error("{url} does not answer within {} s", .after.as_secs())]
    Timeout {
        /// Where to.
        url: String,
        /// How long it had.
        after: Duration,
    },
    /// Nobody vouches for the certificate.
    #[error(
        "{url} shows a certificate that this machine does not trust: {source}. If it is the right one, name the hub's certificate or its authority's with --cacert FILE"
    )]
    Untrusted {
        /// Where to.
        url: String,
        /// What the library says.
        source: io::Error,
    },
    /// It answered, with an error.
    #[error("{url} answered {status}: {text}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The status.
        status: StatusCode,
        /// The beginning of its text.
        text: String,
    },
    /// Its answer makes no sense.
    #[error("{url} does not answer as it should: {problem}")]
    Nonsense {
        /// What was asked for.
        url: String,
        /// What is wrong.
        problem: String,
    },
}

impl ConnectionError {
    /// Whether trying again later may help without a person doing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Nonsense { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Address(_) | Self::Certificates(_) | Self::Untrusted { .. } => false,
        }
    }
}

/// Asks in HTTP/1.1, one connection a request.
#[derive(Clone)]
pub struct HttpClient {
    tls: Arc<ClientConfig>,
}

impl HttpClient {
    /// One that trusts this machine's authorities and the certificates in these files.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or holds no certificate.
    pub fn new(cacert: &[PathBuf]) -> Result<Self, ConnectionError> {
        let tls = certificate::by_authorities(cacert).map_err(ConnectionError::Certificates)?;
        Ok(Self { tls })
    }

    /// A connection to where a URL leads.
    async fn connect(&self, url: &Url) -> Result<Io, ConnectionError> {
        let bad = || ConnectionError::Address(url.to_string());
        let host = url.host_str().ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = url.port_or_known_default().ok_or_else(bad)?;
        let shown = || format!("{host}:{port}");
        let connect = async {
            let tcp = TcpStream::connect((host, port)).await?;
            keep_alive(&tcp)?;
            if url.scheme() == "http" {
                return Ok(Either::Left(tcp));
            }
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            Ok(Either::Right(TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?))
        };
        let connected = tokio::time::timeout(CONNECT, Box::pin(connect)).await;
        connected.map_err(|_| ConnectionError::Timeout { url: shown(), after: CONNECT })?.map_err(
            |source: io::Error| {
                if certificate::is_unknown(&source) {
                    ConnectionError::Untrusted { url: shown(), source }
                } else {
                    ConnectionError::Unreachable { url: shown(), source }
                }
            },
        )
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<http::Response<Bytes>, ConnectionError> {
        let text = request.uri().to_string();
        let url = parse(&text)?;
        let io = self.connect(&url).await?;
        let nonsense = |problem: String| ConnectionError::Nonsense { url: text.clone(), problem };
        let exchange = async {
            let (mut sender, driver) =
                http1::handshake(TokioIo::new(io)).await.map_err(|error| nonsense(error.to_string()))?;
            let driver = tokio::spawn(driver);
            let (mut head, body) = request.into_parts();
            let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            head.uri = path.parse().map_err(|_| ConnectionError::Address(text.clone()))?;
            let host = url.authority().parse().map_err(|_| ConnectionError::Address(text.clone()))?;
            head.headers.insert(header::HOST, host);
            head.headers.insert(header::CONNECTION, http::HeaderValue::from_static("close"));
            head.headers.insert(header::USER_AGENT, http::HeaderValue::from_static(AGENT));
            let answer = sender.send_request(Request::from_parts(head, body)).await;
            let (head, body) = answer.map_err(|error| nonsense(error.to_string()))?.into_parts();
            let body =
                Limited::new(body, LARGEST).collect().await.map_err(|error| nonsense(error.to_string()))?;
            driver.abort();
            Ok(http::Response::from_parts(head, body.to_bytes()))
        };
        let answer = tokio::time::timeout(ANSWER, Box::pin(exchange)).await;
        answer.map_err(|_| ConnectionError::Timeout { url: text.clone(), after: ANSWER })?
    }

    /// Gets a JSON document.
    pub async fn get_json(&self, url: &str) -> Result<Value, ConnectionError> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(url)
            .header(header::ACCEPT, "application/json")
            .body(Full::default())
            .map_err(|_| ConnectionError::Address(url.to_owned()))?;
        let answer = self.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(refused(url, answer.status(), answer.body()));
        }
        serde_json::from_slice(answer.body())
            .map_err(|error| ConnectionError::Nonsense { url: url.to_owned(), problem: error.to_string() })
    }
}

const AGENT: &str = concat!("nave/", env!("CARGO_PKG_VERSION"));

fn parse(text: &str) -> Result<Url, ConnectionError> {
    let url: Option<Url> = text.parse().ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
        .ok_or_else(|| ConnectionError::Address(text.to_owned()))
}

fn refused(url: &str, status: StatusCode, body: &[u8]) -> ConnectionError {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).trim().to_owned();
    ConnectionError::Refused { url: url.to_owned(), status, text }
}

/// Has the system ask a silent hub whether it is still there, as often as not-my-board's own clients do; and what is not
/// acknowledged for a minute ends the connection too.
fn keep_alive(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    setsockopt(tcp, sockopt::KeepAlive, &true)?;
    setsockopt(tcp, sockopt::TcpKeepIdle, &30)?;
    setsockopt(tcp, sockopt::TcpKeepInterval, &10)?;
    setsockopt(tcp, sockopt::TcpKeepCount, &3)?;
    setsockopt(tcp, sockopt::TcpUserTimeout, &60_000)?;
    Ok(())
}

/// A hub of not-my-board: Python's, or one that stands in for it.
#[derive(Clone)]
pub struct HubClient {
    address: String,
    base: String,
    http: HttpClient,
}

impl HubClient {
    /// The hub at an address, `http://…` or `https://…`; what follows the host is put before every path.
    ///
    /// # Errors
    ///
    /// When the address cannot be understood.
    pub fn new(address: &str, http: HttpClient) -> Result<Self, ConnectionError> {
        let url = parse(address)?;
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(ConnectionError::Address(address.to_owned()));
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { address: address.to_owned(), base, http })
    }

    /// The address as it was given: what tokens are kept under.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL of a path, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// By what the hub is asked.
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// The hub's host: a name, or an address without brackets.
    pub fn host(&self) -> String {
        let host =
            parse(&self.base).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
    }

    /// `GET /api/v1/places`: what the hub says, `{"places": […]}`.
    pub async fn places(&self) -> Result<Value, ConnectionError> {
        self.http.get_json(&self.url("/api/v1/places")).await
    }

    /// `GET /api/v1/auth-info`: `{}`, or `{"issuer", "client_id"}` and perhaps `"show_claims"`.
    pub async fn auth_info(&self) -> Result<Value, ConnectionError> {
        self.http.get_json(&self.url("/api/v1/auth-info")).await
    }

    /// Opens the WebSocket at `/ws`, on which nothing has been said yet.
    pub async fn open(&self) -> Result<WebSocketStream<Io>, ConnectionError> {
        let text = self.url("/ws");
        let url = parse(&text)?;
        let io = self.http.connect(&url).await?;
        let request = text.replacen("http", "ws", 1);
        let open = tokio_tungstenite::client_async_with_config(request, io, Some(websocket::config()));
        match tokio::time::timeout(ANSWER, Box::pin(open)).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(tungstenite::Error::Http(answer))) => {
                Err(refused(&text, answer.status(), answer.body().as_deref().unwrap_or_default()))
            }
            Ok(Err(error)) => Err(ConnectionError::Nonsense { url: text, problem: error.to_string() }),
            Err(_) => Err(ConnectionError::Timeout { url: text, after: ANSWER }),
        }
    }

    /// Opens a conversation: `methods` answers the hub's calls. It goes on by itself until the hub ends it, `stop` is
    /// cancelled, or somebody closes the channel; [`Channel::closed`] tells when.
    pub(crate) async fn talk(
        &self,
        methods: Arc<dyn Methods>,
        stop: CancellationToken,
    ) -> Result<(Channel, tokio::task::JoinHandle<()>), ConnectionError> {
        let socket = self.open().await?;
        let (channel, outgoing) = Channel::new();
        let served = websocket::serve(End::Client, socket, (channel.clone(), outgoing), methods, stop);
        Ok((channel, tokio::spawn(served)))
    }
}
