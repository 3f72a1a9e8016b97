//! Who is slow, silent, too big or too many.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post as route;
use http::Request;
use http_body_util::Full;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::Limits;
use super::bench::{Bench, Setup, get, handshake, http1_client, http2_client, rest, soon};

const SHORT: Duration = Duration::from_millis(100);
/// Longer than any test runs.
const LONG: Duration = Duration::from_hours(1);

fn patient() -> Limits {
    Limits { handshake: LONG, header: LONG, idle: LONG, body_stall: LONG, drain: SHORT, ..Limits::default() }
}

fn bench(limits: Limits) -> Bench {
    let length = route(async |body: Bytes| body.len().to_string()).get(async || "here");
    Bench::start(Setup { router: Router::new().route("/", length), limits, ..Setup::default() })
}

#[tokio::test]
async fn a_handshake_that_does_not_come_or_does_not_end_is_cut() {
    let bench = bench(Limits { handshake: SHORT, ..patient() });
    let mut silent = bench.tcp().await;
    assert_eq!(rest(&mut silent).await.0, b"");
    let mut slow = bench.tcp().await;
    slow.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    assert_eq!(rest(&mut slow).await.0, b"");
}

#[tokio::test]
async fn a_header_that_does_not_come_or_does_not_end_is_cut() {
    let bench = bench(Limits { header: SHORT, ..patient() });
    assert_eq!(read_all(&bench, "http/1.1", b"").await, b"");
    assert_eq!(read_all(&bench, "http/1.1", b"GET / HTTP/1.1\r\nhost: h").await, b"");
    // Over HTTP/2 the server speaks too: its settings, and GOAWAY.
    read_all(&bench, "h2", b"").await;
    read_all(&bench, "h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
}

#[tokio::test]
async fn a_second_header_that_does_not_end_is_cut_though_idling_is_allowed() {
    let bench = bench(Limits { header: Duration::from_secs(1), ..patient() });
    let mut stream = bench.tls("http/1.1").await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    stream.write_all(b"GET").await.unwrap();
    assert_eq!(rest(&mut stream).await.0, b"");
}

#[tokio::test]
async fn a_connection_that_idles_is_closed() {
    let bench = bench(Limits { idle: SHORT, ..patient() });
    let mut http1 = http1_client(bench.tls("http/1.1").await).await;
    assert_eq!(http1.send_request(get("/")).await.unwrap().status(), StatusCode::OK);
    soon(async {
        while http1.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let mut http2 = http2_client(bench.tls("h2").await).await;
    assert_eq!(http2.send_request(get("/")).await.unwrap().status(), StatusCode::OK);
    soon(async {
        while http2.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_stalls_fails_its_request() {
    let bench = bench(Limits { body_stall: SHORT, ..patient() });
    let mut stream = bench.tls("http/1.1").await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nfive!").await.unwrap();
    let (answer, _) = rest(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", answer.escape_ascii());
}

#[tokio::test]
async fn headers_and_bodies_have_a_size() {
    let bench = bench(Limits { header_size: 8192, body_size: 100, ..patient() });
    let mut client = http1_client(bench.tls("http/1.1").await).await;
    let body = |octets: usize| {
        let body = Full::from(vec![b'x'; octets]);
        Request::post("https://hub.test/").header("host", "hub.test").body(body).unwrap()
    };
    assert_eq!(client.send_request(body(100)).await.unwrap().status(), StatusCode::OK);
    assert_eq!(client.send_request(body(101)).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);

    let mut client = http1_client(bench.tls("http/1.1").await).await;
    let mut large = get("/");
    large.headers_mut().insert("x-large", "x".repeat(9000).parse().unwrap());
    let answer = client.send_request(large.clone()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);

    let mut client = http2_client(bench.tls("h2").await).await;
    let answer = client.send_request(large).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn an_address_has_its_fill_and_gets_in_again_when_one_leaves() {
    let bench = bench(Limits { connections_per_address: 2, ..patient() });
    full_at_two(&bench).await;
}

#[tokio::test]
async fn a_full_hub_lets_in_again_when_one_leaves() {
    let bench = bench(Limits { connections: 2, ..patient() });
    full_at_two(&bench).await;
}

async fn full_at_two(bench: &Bench) {
    let first = bench.tls("http/1.1").await;
    let second = bench.tls("http/1.1").await;
    assert!(handshake(bench.tcp().await, &rustls::version::TLS13, "http/1.1").await.is_err());
    drop(first);
    let third = soon(bench.tls_again()).await;
    for stream in [second, third] {
        let answer = http1_client(stream).await.send_request(get("/")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

/// Sends bytes on a fresh connection and returns what comes until the server closes it.
async fn read_all(bench: &Bench, alpn: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = bench.tls(alpn).await;
    stream.write_all(bytes).await.unwrap();
    rest(&mut stream).await.0
}
