//! Requests over both versions of HTTP and of TLS, and what they carry.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get as route;
use hyper::StatusCode;
use nave_link::key::SecretKey;
use nave_link::proof;
use nave_link::random::Random;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Connection, Limits, REQUEST_ID, TlsVersion};
use super::bench::{Bench, Setup, get, handshake, http1_client, http2_client, text};
use crate::api::ErrorBody;
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

#[tokio::test]
async fn the_exporter_is_the_same_at_both_ends_and_only_there() {
    let random = Random::seeded(7);
    let (hub, node) = (Arc::new(SecretKey::generate(&random)), SecretKey::generate(&random).public());
    let public = hub.public();
    let proof = move |exporter| proof::Connection { hub: public, node, exporter };
    let signed = move |Extension(connection): Extension<Connection>| {
        let signature = proof(connection.exporter.unwrap()).sign(proof::Role::Hub, &hub);
        async move { signature.to_string() }
    };
    let bench = Bench::router(Router::new().route("/", route(signed)));
    let (stream, other) = (bench.tls("http/1.1").await, bench.tls("http/1.1").await);
    let here = proof(proof::Exporter::of(stream.get_ref().1).unwrap());
    let there = proof(proof::Exporter::of(other.get_ref().1).unwrap());

    let response = http1_client(stream).await.send_request(get("/")).await.unwrap();
    let signature = text(response).await.parse().unwrap();
    assert!(here.verify(proof::Role::Hub, &signature));
    assert!(!there.verify(proof::Role::Hub, &signature));
}

#[tokio::test]
async fn http2_offers_no_extended_connect_and_names_its_limits() {
    let bench =
        Bench::start(Setup { limits: Limits { streams: 7, ..Limits::default() }, ..Setup::default() });
    let mut stream = bench.tls("h2").await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // The server's preface is its SETTINGS frame: RFC 9113 sections 3.4 and 6.5.
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "the first frame is SETTINGS");
    let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut settings).await.unwrap();
    let settings: BTreeMap<u16, u32> = settings
        .chunks(6)
        .map(|one| {
            (u16::from_be_bytes([one[0], one[1]]), u32::from_be_bytes([one[2], one[3], one[4], one[5]]))
        })
        .collect();
    assert_eq!(settings.get(&3), Some(&7), "SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(settings.get(&6), Some(&(32 * 1024)), "SETTINGS_MAX_HEADER_LIST_SIZE");
    assert_eq!(settings.get(&8).copied().unwrap_or(0), 0, "SETTINGS_ENABLE_CONNECT_PROTOCOL");
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_request_only() {
    let broken = route(async || -> &'static str { panic!("on purpose") });
    let bench = Bench::router(echo().route("/broken", broken));
    let mut client = http1_client(bench.tls("http/1.1").await).await;
    let answer = client.send_request(get("/broken")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let id = answer.headers()[REQUEST_ID].to_str().unwrap().to_owned();
    let told: ErrorBody = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(told.error.message, "the hub failed; its log has the details");
    assert_eq!(told.error.request, Some(id), "so that the log can be searched for it");
    assert_eq!(client.send_request(get("/")).await.unwrap().status(), StatusCode::OK);
}
