//! A certificate that is replaced while the hub runs.

use axum::Router;
use axum::routing::get as route;

use super::super::{Identities, Inherited, Limits, ListenerConfig, Server, Shutdown, bind};
use super::bench::{Bench, certificate, get, http1_client, text};

#[tokio::test]
async fn new_handshakes_see_the_new_certificate_and_live_connections_stay() {
    let bench = Bench::router(Router::new().route("/", route(async || "here")));
    let shown = |stream: &tokio_rustls::client::TlsStream<_>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let before = bench.tls("http/1.1").await;
    let first = shown(&before);
    let mut client = http1_client(before).await;
    assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, "here");

    let renewed = certificate("second.test");
    bench.identities.set("self", renewed.clone()).unwrap();
    let after = bench.tls("http/1.1").await;
    assert_eq!(shown(&after), renewed.cert[0]);
    assert_ne!(shown(&after), first);
    client.ready().await.unwrap();
    assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, "here", "the old one still serves");
}

#[tokio::test]
async fn a_listener_with_an_unknown_identity_is_refused_at_once() {
    let identities = Identities::new();
    identities.set("self", certificate("hub.test")).unwrap();
    let config = ListenerConfig {
        name: "farm".to_owned(),
        address: "127.0.0.1:0".parse().unwrap(),
        identity: "ca".to_owned(),
        proxy_from: Vec::new(),
    };
    let bound = bind(&[config], &mut Inherited::none()).unwrap();
    let server = Server::new(Router::new(), identities, Limits::default(), Shutdown::new());
    insta::assert_snapshot!(server.serve(bound).await.unwrap_err(), @r#"listener "farm" is to show the identity "ca", which this hub does not have; its identities are: self"#);
}
