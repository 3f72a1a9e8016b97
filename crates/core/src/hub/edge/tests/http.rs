//! Requests over both versions of HTTP and of TLS, and what they carry.

use axum::Router;
use axum::extract::Extension;
use axum::routing::get as route;
use hyper::StatusCode;

use super::super::{Connection, REQUEST_ID, TlsVersion};
use super::Bench;
use super::bench::{get, handshake, http1_client, http2_client, text};
use crate::id::RequestId;

fn echo() -> Router {
    let seen = |Extension(connection): Extension<Connection>, Extension(id): Extension<RequestId>| async move {
        let Connection { peer, local, listener, tls_version, exporter, .. } = connection;
        format!("{peer} {local} {listener} {tls_version:?} {} {id}", exporter.is_some())
    };
    Router::new().route("/", route(seen))
}

#[tokio::test]
async fn both_versions_of_tls_and_of_http_reach_the_router() {
    let bench = Bench::router(echo());
    for (tls, alpn, said) in [
        (&rustls::version::TLS13, "h2", (TlsVersion::V13, true)),
        (&rustls::version::TLS13, "http/1.1", (TlsVersion::V13, true)),
        (&rustls::version::TLS12, "h2", (TlsVersion::V12, false)),
        (&rustls::version::TLS12, "", (TlsVersion::V12, false)),
    ] {
        let tcp = bench.tcp().await;
        let from = tcp.local_addr().unwrap();
        let stream = handshake(tcp, tls, alpn).await.unwrap();
        let response = if alpn == "h2" {
            http2_client(stream).await.send_request(get("/")).await.unwrap()
        } else {
            http1_client(stream).await.send_request(get("/")).await.unwrap()
        };
        assert_eq!(response.status(), StatusCode::OK);
        let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        let (version, exporter) = said;
        let wanted = format!("{from} {} main {version:?} {exporter} {id}", bench.address);
        assert_eq!(text(response).await, wanted, "{tls:?} {alpn:?}");
    }
}
