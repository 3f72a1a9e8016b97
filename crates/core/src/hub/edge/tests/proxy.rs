//! Balancers: whom to believe.

use axum::Router;
use axum::extract::Extension;
use axum::routing::get as route;
use ppp::v2::{Addresses, Builder, Command, IPv4, Protocol, Version};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::super::{Connection, Limits};
use super::bench::{Bench, Setup, get, handshake, http1_client, rest, text};

fn bench(listen: &'static str, proxy_from: &'static [&'static str], limits: Limits) -> Bench {
    let seen = async |Extension(connection): Extension<Connection>| {
        let Connection { peer, local, balancer, .. } = connection;
        format!("{peer} {local} {balancer:?}")
    };
    Bench::start(Setup { router: Router::new().route("/", route(seen)), limits, listen, proxy_from })
}

fn header(client: [u8; 4]) -> Vec<u8> {
    let ip = IPv4::new(client, [198, 51, 100, 1], 4000, 443);
    Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, ip).build().unwrap()
}

/// What the hub says about a connection that begins with `header`.
async fn seen(mut tcp: TcpStream, header: &[u8]) -> String {
    tcp.write_all(header).await.unwrap();
    let stream = handshake(tcp, &rustls::version::TLS13, "http/1.1").await.unwrap();
    text(http1_client(stream).await.send_request(get("/")).await.unwrap()).await
}

#[tokio::test]
async fn a_listed_balancer_is_believed() {
    let bench = bench("127.0.0.1:0", &["192.0.2.0/24", "127.0.0.0/8"], Limits::default());
    let tcp = bench.tcp().await;
    let balancer = tcp.local_addr().unwrap();
    assert_eq!(
        seen(tcp, &header([203, 0, 113, 9])).await,
        format!("203.0.113.9:4000 198.51.100.1:443 Some({balancer})")
    );

    let tcp = bench.tcp().await;
    let (own, hub) = (tcp.local_addr().unwrap(), bench.address);
    let local =
        Builder::with_addresses(Version::Two | Command::Local, Protocol::Unspecified, Addresses::Unspecified);
    assert_eq!(seen(tcp, &local.build().unwrap()).await, format!("{own} {hub} None"), "its own health check");
}

#[tokio::test]
async fn a_balancer_is_known_behind_its_mapped_address_too() {
    let bench = bench("[::]:0", &["127.0.0.1/32"], Limits::default());
    let tcp = TcpStream::connect(("127.0.0.1", bench.address.port())).await.unwrap();
    let balancer = tcp.local_addr().unwrap();
    let said = seen(tcp, &header([203, 0, 113, 9])).await;
    assert_eq!(said, format!("203.0.113.9:4000 198.51.100.1:443 Some({balancer})"));
}

#[tokio::test]
async fn a_listed_source_without_a_valid_header_is_closed() {
    let bench = bench("127.0.0.1:0", &["127.0.0.0/8"], Limits::default());
    assert!(handshake(bench.tcp().await, &rustls::version::TLS13, "http/1.1").await.is_err());
    let datagram = {
        let ip = IPv4::new([203, 0, 113, 9], [198, 51, 100, 1], 1, 2);
        Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Datagram, ip).build().unwrap()
    };
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c............",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"\r\n\r\n\0\r\nQU",
        &datagram,
    ];
    for bytes in garbage {
        let mut tcp = bench.tcp().await;
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        assert_eq!(rest(&mut tcp).await.0, b"", "{}", bytes.escape_ascii());
    }
}

#[tokio::test]
async fn an_unlisted_source_with_a_header_is_closed() {
    let bench = bench("127.0.0.1:0", &["192.0.2.0/24"], Limits::default());
    let mut tcp = bench.tcp().await;
    tcp.write_all(&header([192, 0, 2, 1])).await.unwrap();
    assert_eq!(rest(&mut tcp).await.0, b"");
    assert!(seen(bench.tcp().await, b"").await.ends_with(" None"), "without a header it is served");
}

#[tokio::test]
async fn caps_count_the_clients_address_and_not_the_balancers() {
    let limits = Limits { connections_per_address: 1, ..Limits::default() };
    let bench = bench("127.0.0.1:0", &["127.0.0.0/8"], limits);
    let mut open = Vec::new();
    for client in 1..=3 {
        let mut tcp = bench.tcp().await;
        tcp.write_all(&header([203, 0, 113, client])).await.unwrap();
        open.push(handshake(tcp, &rustls::version::TLS13, "http/1.1").await.unwrap());
    }
    let mut again = bench.tcp().await;
    again.write_all(&header([203, 0, 113, 1])).await.unwrap();
    assert!(handshake(again, &rustls::version::TLS13, "http/1.1").await.is_err());
}
