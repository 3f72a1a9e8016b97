//! One TCP connection: whose it is, whether it speaks TLS, then its requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use nave_link::proof::Exporter;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::proxy::{self, SIGNATURE};
use super::{Connection, HubIo, Limits, Shutdown, serve};

/// A connection that was just accepted.
pub(super) struct Accepted {
    pub(super) io: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) listener: Arc<str>,
    pub(super) behind_balancer: bool,
}

/// What a connection's first bytes say it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// A TLS handshake record (RFC 8446, section 5.1).
    Tls,
    /// HTTP without TLS.
    PlainHttp,
    /// A PROXY protocol header.
    Proxy,
    /// Anything else.
    Unknown,
}

/// Tells by the first bytes what a connection speaks.
pub fn classify(first: &[u8]) -> FirstBytes {
    match first {
        [0x16, ..] => FirstBytes::Tls,
        [b'\r', ..] if SIGNATURE.starts_with(&first[..first.len().min(SIGNATURE.len())]) => FirstBytes::Proxy,
        [b'P', b'R', b'O', b'X', b'Y', b' ', ..] => FirstBytes::Proxy,
        [b'A'..=b'Z', ..] => FirstBytes::PlainHttp,
        _ => FirstBytes::Unknown,
    }
}

/// Serves a connection to its end.
pub(super) async fn run(
    mut accepted: Accepted,
    tls: Arc<ServerConfig>,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
) {
    let peer = accepted.peer;
    let secured = tokio::select! {
        secured = tokio::time::timeout(limits.handshake, secure(&mut accepted, tls)) => secured,
        () = shutdown.soft.cancelled() => return,
    };
    let client = match secured {
        Ok(Ok(Some(client))) => client,
        Ok(Ok(None)) => return refuse_plain_http(accepted).await,
        Ok(Err(error)) => {
            tracing::debug!(listener = %accepted.listener, %peer, %error, "a connection did not get as far as TLS");
            return;
        }
        Err(_) => {
            tracing::debug!(listener = %accepted.listener, %peer, "a connection was too slow with its TLS handshake");
            return;
        }
    };
    let (config, peer) = client;
    let handshake = TlsAcceptor::from(config).accept(accepted.io);
    let io: HubIo = match tokio::time::timeout(limits.handshake, handshake).await {
        Ok(Ok(io)) => io,
        Ok(Err(error)) => {
            tracing::debug!(listener = %accepted.listener, %peer, %error, "a TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(listener = %accepted.listener, %peer, "a connection was too slow with its TLS handshake");
            return;
        }
    };
    let exporter = Exporter::of(io.get_ref().1);
    let h2 = io.get_ref().1.alpn_protocol() == Some(b"h2");
    let connection = Connection { peer, listener: accepted.listener, exporter };
    if let Err(error) = serve::requests(io, connection, h2, router, limits, shutdown).await {
        tracing::debug!(%peer, %error, "a connection ended with an error");
    }
}

/// Finds out whose connection it is and what it speaks; `None` for plain HTTP.
async fn secure(
    accepted: &mut Accepted,
    tls: Arc<ServerConfig>,
) -> io::Result<Option<(Arc<ServerConfig>, SocketAddr)>> {
    let _ = accepted.io.set_nodelay(true);
    let mut peer = accepted.peer;
    if accepted.behind_balancer {
        peer = proxy::read(&mut accepted.io).await?.unwrap_or(peer);
    }
    let mut first = [0; 12];
    let length = accepted.io.peek(&mut first).await?;
    match classify(&first[..length]) {
        FirstBytes::Tls => Ok(Some((tls, peer))),
        FirstBytes::PlainHttp => Ok(None),
        FirstBytes::Proxy => {
            tracing::warn!(listener = %accepted.listener, peer = %accepted.peer, "a PROXY protocol header from an address that is not listed in proxy_from: the connection is refused");
            Err(io::Error::other("a PROXY protocol header from an unlisted address"))
        }
        FirstBytes::Unknown => Err(io::Error::other("not TLS")),
    }
}

/// Says in plain HTTP that only HTTPS is spoken here.
async fn refuse_plain_http(accepted: Accepted) {
    let Accepted { mut io, local, .. } = accepted;
    let body =
        format!("This is a nave hub: it speaks HTTPS only. Use https:// with port {}.\n", local.port());
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let say = async {
        io.write_all(answer.as_bytes()).await?;
        io.shutdown().await?;
        // Closing with unread bytes would reset the connection before the answer is read.
        let mut rest = [0; 1024];
        while io.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), say).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        assert_eq!(classify(&[0x16, 3, 1]), FirstBytes::Tls);
        assert_eq!(classify(b"GET / HTTP/1.1"), FirstBytes::PlainHttp);
        assert_eq!(classify(b"PRI * HTTP/2.0"), FirstBytes::PlainHttp);
        assert_eq!(classify(b"PROXY TCP4 "), FirstBytes::Proxy);
        assert_eq!(classify(SIGNATURE), FirstBytes::Proxy);
        assert_eq!(classify(b""), FirstBytes::Unknown);
        assert_eq!(classify(b"\rx"), FirstBytes::Unknown);
        assert_eq!(classify(b"SSH-2.0"), FirstBytes::PlainHttp, "close enough: it is told to use HTTPS");
    }
}
