//! The answer to whoever speaks plain HTTP to a TLS port: one clear line, and a close that lets it arrive.

use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::first_bytes::{FirstBytes, classify};
use super::server::Refused;

const ANSWER: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\n",
    "Content-Type: text/plain; charset=utf-8\r\n",
    "Content-Length: 85\r\n",
    "Connection: close\r\n",
    "\r\n",
    "This hub speaks HTTPS only: use an address that begins with https:// and not http://\n",
);

/// Closing while the peer's bytes lie unread would reset the connection and could destroy the answer on its way
/// (RFC 9112 section 9.6), so they are read for a while.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_OCTETS: u64 = 64 * 1024;

/// Reads on until the first bytes are told; answers what is a request, and closes. Returns what it was.
pub(super) async fn answer(mut tcp: TcpStream, peer: IpAddr) -> Refused {
    let kind = match told(&mut tcp).await {
        Ok(kind) => kind,
        Err(error) => return error.into(),
    };
    match kind {
        FirstBytes::Http => {}
        FirstBytes::ProxyV1 | FirstBytes::ProxyV2 => return Refused::UnlistedProxy(peer),
        FirstBytes::Tls | FirstBytes::Other => return Refused::NotTls,
        FirstBytes::Unknown => return Refused::Gone,
    }
    // Whether it arrives is the peer's affair; all ends here anyway.
    if tcp.write_all(ANSWER.as_bytes()).await.is_ok() && tcp.shutdown().await.is_ok() {
        let mut rest = tcp.take(LINGER_OCTETS);
        let mut sink = tokio::io::sink();
        tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut sink)).await.ok();
    }
    Refused::PlainHttp
}

async fn told(tcp: &mut TcpStream) -> std::io::Result<FirstBytes> {
    let mut bytes = [0; 32];
    let mut filled = 0;
    loop {
        let read = tcp.read(&mut bytes[filled..]).await?;
        filled += read;
        let kind = classify(&bytes[..filled]);
        if read == 0 || kind != FirstBytes::Unknown {
            return Ok(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says_and_has_one_line() {
        let (head, body) = ANSWER.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert_eq!(body.matches('\n').count(), 1);
    }
}
