//! Connections that become raw bytes.

use std::io::ErrorKind;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as route;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;

use super::super::{HubIo, Limits, upgraded};
use super::bench::{Bench, Setup, rest, soon};

type Taken = (HubIo, Bytes);

/// A server that hands every upgraded connection to the test.
fn bench(limits: Limits) -> (Bench, mpsc::Receiver<Taken>) {
    let (taken, receive) = mpsc::channel(4);
    let switch = route(async move |mut request: Request<Body>| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { taken.send(upgraded(upgrade.await.unwrap()).unwrap()).await });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "nave-stream/1")
            .body(Body::empty())
            .unwrap()
    });
    let router = Router::new().route("/stream", switch);
    (Bench::start(Setup { router, limits, ..Setup::default() }), receive)
}

/// Upgrades a connection; `early` follows the request at once.
async fn upgrade(bench: &Bench, early: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = bench.tls("http/1.1").await;
    let head = b"GET /stream HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: nave-stream/1\r\n\r\n";
    stream.write_all(&[head, early].concat()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", answer.escape_ascii());
    stream
}

#[tokio::test]
async fn bytes_pass_both_ways_those_that_came_early_included() {
    let (bench, mut taken) = bench(Limits::default());
    let mut far = upgrade(&bench, b"early").await;
    let (mut near, read) = soon(taken.recv()).await.unwrap();
    let mut came = read.to_vec();
    far.write_all(b" and late").await.unwrap();
    while came.len() < 14 {
        came.push(near.read_u8().await.unwrap());
    }
    assert_eq!(came, b"early and late");
    near.write_all(b"back").await.unwrap();
    near.flush().await.unwrap();
    let mut back = [0; 4];
    far.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"back");
}

#[tokio::test]
async fn either_end_may_close_its_half() {
    let (bench, mut taken) = bench(Limits::default());
    let mut far = upgrade(&bench, b"").await;
    let (mut near, _) = soon(taken.recv()).await.unwrap();
    far.write_all(b"request").await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(rest(&mut near).await, (b"request".to_vec(), None));
    near.write_all(b"the whole answer").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(rest(&mut far).await, (b"the whole answer".to_vec(), None));
}

#[tokio::test]
async fn an_abort_is_a_reset_at_the_other_end() {
    let (bench, mut taken) = bench(Limits::default());
    let mut far = upgrade(&bench, b"").await;
    let (near, _) = soon(taken.recv()).await.unwrap();
    near.abort();
    assert_eq!(rest(&mut far).await, (Vec::new(), Some(ErrorKind::ConnectionReset)));
}

#[tokio::test]
async fn a_cut_is_told_from_an_end() {
    let (bench, mut taken) = bench(Limits::default());
    let far = upgrade(&bench, b"").await;
    let (mut near, _) = soon(taken.recv()).await.unwrap();
    drop(far);
    assert_eq!(rest(&mut near).await, (Vec::new(), Some(ErrorKind::UnexpectedEof)));
}

#[tokio::test]
async fn no_time_limit_cuts_it_and_the_caps_still_count_it() {
    let second = Duration::from_secs(1);
    let limits = Limits {
        header: second,
        idle: second / 2,
        body_stall: second / 2,
        connections: 2,
        ..Limits::default()
    };
    let (bench, mut taken) = bench(limits);
    let mut far = upgrade(&bench, b"").await;
    let (mut near, _) = soon(taken.recv()).await.unwrap();
    // Another connection lives its whole life under these limits meanwhile.
    let mut other = soon(bench.tls_again()).await;
    assert_eq!(rest(&mut bench.tcp().await).await.0, b"", "the hub is full with these two");
    rest(&mut other).await;
    far.write_all(b"still").await.unwrap();
    let mut came = [0; 5];
    near.read_exact(&mut came).await.unwrap();
    assert_eq!(&came, b"still");
    drop(near);
    let two = (soon(bench.tls_again()).await, soon(bench.tls_again()).await);
    drop(two);
}
