//! Opening listeners, and what is said when one cannot be opened.

use std::net::TcpListener;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get as route;
use tokio::net::TcpStream;

use super::super::listener::{BindError, Problem};
use super::super::{Address, Connection, Inherited, ListenerConfig, bind};
use super::bench::{Bench, Setup, get, handshake, http1_client, text};

fn config(address: &str) -> ListenerConfig {
    ListenerConfig {
        name: "main".to_owned(),
        address: address.parse().unwrap(),
        identity: "self".to_owned(),
        proxy_from: Vec::new(),
    }
}

#[tokio::test]
async fn ipv6_and_ipv4_arrive_at_one_listener_unmapped() {
    let seen = async |Extension(connection): Extension<Connection>| {
        format!("{} {}", connection.peer.ip(), connection.local.ip())
    };
    let router = Router::new().route("/", route(seen));
    let bench = Bench::start(Setup { router, listen: "[::]:0", ..Setup::default() });
    for address in ["127.0.0.1", "::1"] {
        let tcp = TcpStream::connect((address, bench.address.port())).await.unwrap();
        let stream = handshake(tcp, &rustls::version::TLS13, "http/1.1").await.unwrap();
        let said = text(http1_client(stream).await.send_request(get("/")).await.unwrap()).await;
        assert_eq!(said, format!("{address} {address}"));
    }
}

#[tokio::test]
async fn errors_name_the_listener_the_address_and_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = |address: &str| {
        bind(&[config(address)], &mut Inherited::none()).unwrap_err().to_string().replace(&port, "PORT")
    };
    insta::assert_snapshot!(message(&format!("127.0.0.1:{port}")), @r#"listener "main" cannot listen on 127.0.0.1:PORT: another program listens there; stop it (`ss -ltnp` names it) or choose another port"#);
    insta::assert_snapshot!(message("192.0.2.1:443"), @r#"listener "main" cannot listen on 192.0.2.1:443: this machine has no such address; `ip address` shows those it has"#);
    insta::assert_snapshot!(message("fd:7"), @r#"listener "main" cannot listen on fd:7: it was not passed to this process: LISTEN_FDS announced 0, counted from descriptor 3"#);
    let privileged = BindError::new(&config("[::]:443"), Problem::Privileged);
    insta::assert_snapshot!(privileged, @r#"listener "main" cannot listen on [::]:443: ports below 1024 are for root; choose a higher one, have systemd open the socket, or grant CAP_NET_BIND_SERVICE"#);
}

#[tokio::test]
async fn one_that_fails_opens_none() {
    let free = {
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        probe.local_addr().unwrap().to_string()
    };
    bind(&[config(&free), config("192.0.2.1:443")], &mut Inherited::none()).unwrap_err();
    TcpListener::bind(&free).expect("the port is free again");
}

#[test]
fn addresses_are_read_as_they_are_written() {
    for text in ["127.0.0.1:3101", "[::]:443", "fd:0"] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
    }
    for text in ["", "3101", "localhost:3101", "fd:", "fd:-1", "fd:x", "127.0.0.1", "127.0.0.1:70000"] {
        let error = text.parse::<Address>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}
