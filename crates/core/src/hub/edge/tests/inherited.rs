//! Sockets that somebody else opened: this test starts itself again as the hub that inherits one.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::routing::get as route;
use tokio::net::TcpStream;

use super::super::{Address, Identities, Inherited, Limits, ListenerConfig, Server, Shutdown, bind};
use super::bench::{certificate, get, handshake, http1_client, soon, text};

/// Set for the process that is to be the hub; says which descriptor.
const ROLE: &str = "NAVE_TEST_INHERIT";
const TEST: &str = "hub::edge::tests::inherited::a_hub_serves_what_it_inherited";

struct Hub(Child);

impl Drop for Hub {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs this test in a shell with `listener` on descriptor 0 and 3.
fn start(listener: &TcpListener, descriptor: &str, shell: &str) -> Hub {
    let this = std::env::current_exe().unwrap();
    let hub = Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact {TEST} --nocapture 3<&0")])
        .arg(this)
        .env(ROLE, descriptor)
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_PID")
        .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())))
        .stdout(Stdio::null())
        .spawn();
    Hub(hub.unwrap())
}

async fn be_the_hub(descriptor: &str) {
    let mut inherited = Inherited::from_env();
    let config = ListenerConfig {
        name: "inherited".to_owned(),
        address: Address::Inherited(descriptor.parse().unwrap()),
        identity: "self".to_owned(),
        proxy_from: Vec::new(),
    };
    let bound = bind(&[config], &mut inherited).unwrap();
    let identities = Identities::new();
    identities.set("self", certificate("hub.test")).unwrap();
    let router = Router::new().route("/", route(async || "inherited"));
    let server = Server::new(router, identities, Limits::default(), Shutdown::new());
    server.serve(bound).await.unwrap();
}

/// Asks until it is answered: the socket is there before the hub is.
async fn ask(listener: &TcpListener) -> String {
    let address = listener.local_addr().unwrap();
    soon(async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let stream = handshake(tcp, &rustls::version::TLS13, "http/1.1").await.unwrap();
        text(http1_client(stream).await.send_request(get("/")).await.unwrap()).await
    })
    .await
}

#[tokio::test]
async fn a_hub_serves_what_it_inherited() {
    if let Ok(descriptor) = std::env::var(ROLE) {
        return be_the_hub(&descriptor).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (descriptor, shell) in [("0", ""), ("3", "export LISTEN_FDS=1 LISTEN_PID=$$;")] {
        let _hub = start(&listener, descriptor, shell);
        assert_eq!(ask(&listener).await, "inherited", "descriptor {descriptor}");
    }
}

#[tokio::test]
async fn a_hub_without_free_descriptors_recovers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _hub = start(&listener, "0", "ulimit -n 40;");
    assert_eq!(ask(&listener).await, "inherited");
    let mut many = Vec::new();
    for _ in 0..80 {
        many.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
    }
    drop(many);
    assert_eq!(ask(&listener).await, "inherited");
}

#[tokio::test]
async fn descriptors_that_were_meant_for_another_process_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut hub = start(&listener, "3", "export LISTEN_FDS=1 LISTEN_PID=1;");
    let status = tokio::task::spawn_blocking(move || hub.0.wait().unwrap()).await.unwrap();
    assert!(!status.success());
}
