//! A server with its listener, and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::{
    Address, Identities, Inherited, Limits, ListenerConfig, Server, Shutdown, UnknownIdentity, bind,
};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

pub(in super::super) struct Bench {
    pub(in super::super) address: SocketAddr,
    pub(in super::super) identities: Identities,
    pub(in super::super) shutdown: Shutdown,
    pub(in super::super) served: JoinHandle<Result<(), UnknownIdentity>>,
}

pub(in super::super) struct Setup {
    pub(in super::super) router: Router,
    pub(in super::super) limits: Limits,
    pub(in super::super) listen: &'static str,
    pub(in super::super) proxy_from: &'static [&'static str],
}

impl Default for Setup {
    fn default() -> Self {
        Self { router: Router::new(), limits: Limits::default(), listen: "127.0.0.1:0", proxy_from: &[] }
    }
}

impl Bench {
    pub(in super::super) fn start(setup: Setup) -> Self {
        let identities = Identities::new();
        identities.set("self", certificate("first.test")).unwrap();
        let shutdown = Shutdown::new();
        let config = ListenerConfig {
            name: "main".to_owned(),
            address: Address::Tcp(setup.listen.parse().unwrap()),
            identity: "self".to_owned(),
            proxy_from: setup.proxy_from.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let bound = bind(&[config], &mut Inherited::none()).unwrap();
        let address = bound.addresses().next().unwrap().1;
        let server = Server::new(setup.router, identities.clone(), setup.limits, shutdown.clone());
        let end = tokio::spawn(async move { server.serve(bound).await });
        Self { address, identities, shutdown, served: end }
    }

    pub(in super::super) fn router(router: Router) -> Self {
        Self::start(Setup { router, ..Setup::default() })
    }

    pub(in super::super) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A TLS 1.3 connection that offers one protocol.
    pub(in super::super) async fn tls(&self, alpn: &str) -> TlsStream<TcpStream> {
        handshake(self.tcp().await, &rustls::version::TLS13, alpn).await.unwrap()
    }

    /// A connection for HTTP/1.1 as soon as the hub lets one in.
    pub(in super::super) async fn tls_again(&self) -> TlsStream<TcpStream> {
        loop {
            if let Ok(stream) = handshake(self.tcp().await, &rustls::version::TLS13, "http/1.1").await {
                return stream;
            }
        }
    }
}

pub(in super::super) async fn handshake<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    version: &'static SupportedProtocolVersion,
    alpn: &str,
) -> std::io::Result<TlsStream<IO>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(algorithms)))
        .with_no_client_auth();
    if !alpn.is_empty() {
        config.alpn_protocols = vec![alpn.into()];
    }
    let name = ServerName::try_from("hub.test").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, io).await
}

/// Sends one request over HTTP/1.1 and leaves the connection open for more.
pub(in super::super) async fn http1_client<IO>(io: IO) -> http1::SendRequest<Full<Bytes>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    client
}

pub(in super::super) async fn http2_client<IO>(io: IO) -> http2::SendRequest<Full<Bytes>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(in super::super) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("https://hub.test{path}")).header("host", "hub.test").body(Full::default()).unwrap()
}

pub(in super::super) async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

pub(in super::super) fn certificate(name: &str) -> Arc<CertifiedKey> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], key))
}

/// Takes any certificate, but checks that the peer holds its key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Fails the test when something that must happen does not.
pub(in super::super) async fn soon<T>(what: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it must happen soon")
}

/// Reads to the end, however it comes: what came, and whether it was a failure.
pub(in super::super) async fn rest(
    io: &mut (impl AsyncRead + Unpin),
) -> (Vec<u8>, Option<std::io::ErrorKind>) {
    let mut read = Vec::new();
    let failed = soon(io.read_to_end(&mut read)).await.err().map(|error| error.kind());
    (read, failed)
}
