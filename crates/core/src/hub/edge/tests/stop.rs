//! Stopping: softly, and then hard.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as route;
use http::{Request, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use super::super::{HubIo, Limits, upgraded};
use super::bench::{Bench, Setup, get, http1_client, http2_client, rest, soon, text};

/// A server whose `/slow` waits for the test, which hears when it is reached.
fn bench(limits: Limits) -> (Bench, mpsc::Receiver<()>, Arc<Semaphore>) {
    let (reached, hear) = mpsc::channel(4);
    let go = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&go);
    let slow = route(async move || {
        reached.send(()).await.unwrap();
        wait.acquire().await.unwrap().forget();
        "done"
    });
    let router = Router::new().route("/slow", slow).route("/", route(async || "here"));
    (Bench::start(Setup { router, limits, ..Setup::default() }), hear, go)
}

#[tokio::test]
async fn a_soft_stop_finishes_what_runs_and_takes_nothing_new() {
    for alpn in ["http/1.1", "h2"] {
        let (bench, mut reached, go) = bench(Limits::default());
        let stream = bench.tls(alpn).await;
        let running = tokio::spawn(async move {
            let answer = if alpn == "h2" {
                http2_client(stream).await.send_request(get("/slow")).await
            } else {
                http1_client(stream).await.send_request(get("/slow")).await
            };
            text(answer.unwrap()).await
        });
        soon(reached.recv()).await.unwrap();
        bench.shutdown.stop();
        soon(async { while TcpStream::connect(bench.address).await.is_ok() {} }).await;
        assert!(!bench.served.is_finished(), "{alpn}: it waits for the request");
        go.add_permits(1);
        assert_eq!(soon(running).await.unwrap(), "done", "{alpn}");
        soon(bench.served).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_and_one_that_just_came_may_ask() {
    let (bench, _reached, _go) = bench(Limits { drain: Duration::from_secs(5), ..Limits::default() });
    let mut idle = http1_client(bench.tls("http/1.1").await).await;
    assert_eq!(text(idle.send_request(get("/")).await.unwrap()).await, "here");
    let mut fresh = http1_client(bench.tls("http/1.1").await).await;
    bench.shutdown.stop();
    soon(async {
        while idle.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(text(soon(fresh.send_request(get("/"))).await.unwrap()).await, "here");
    soon(bench.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_silent_connection_holds_a_stop_up_for_the_drain_time_only() {
    let (bench, _reached, _go) = bench(Limits { drain: Duration::from_millis(50), ..Limits::default() });
    let mut silent = bench.tls("http/1.1").await;
    bench.shutdown.stop();
    soon(bench.served).await.unwrap().unwrap();
    rest(&mut silent).await;
}

#[tokio::test]
async fn a_hard_stop_cuts_what_runs() {
    let (bench, mut reached, _go) = bench(Limits::default());
    let mut stream = bench.tls("http/1.1").await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    soon(reached.recv()).await.unwrap();
    bench.shutdown.cut();
    soon(bench.served).await.unwrap().unwrap();
    assert_eq!(rest(&mut stream).await.0, b"");
}

#[tokio::test]
async fn an_upgraded_connection_is_told_and_waited_for() {
    let (taken, mut receive) = mpsc::channel::<HubIo>(1);
    let switch = route(async move |mut request: Request<Body>| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { taken.send(upgraded(upgrade.await.unwrap()).unwrap().0).await });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "x")
            .body(Body::empty())
            .unwrap()
    });
    let bench = Bench::router(Router::new().route("/", switch));
    let mut far = bench.tls("http/1.1").await;
    far.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await.unwrap();
    let near = soon(receive.recv()).await.unwrap();
    bench.shutdown.stop();
    soon(async { while TcpStream::connect(bench.address).await.is_ok() {} }).await;
    assert!(!bench.served.is_finished(), "its holder has not let go of it");
    drop(near);
    soon(bench.served).await.unwrap().unwrap();
}
