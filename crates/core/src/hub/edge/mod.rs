//! The hub's doors: what turns a socket into requests. Which requests there are, and who may make them, is not known
//! here.

mod caps;
mod connection;
mod listener;
pub mod local;
pub mod proxy;
mod serve;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nave_link::pipe::Prefixed;
use nave_link::proof::Exporter;
use tokio_util::sync::CancellationToken;

pub use connection::{FirstBytes, classify};
pub use listener::{BindError, Door, bind};
pub use local::LocalPeer;
pub use proxy::Network;
pub use tls::Identities;

/// What a request's bytes travel on, when the request was an upgrade.
pub type HubIo = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and port of this machine.
    Tcp(SocketAddr),
    /// A socket that whoever started the hub opened: its descriptor's number.
    Inherited(u32),
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// For the log.
    pub name: String,
    /// Where to listen.
    pub address: Address,
    /// Which identity to serve.
    pub identity: String,
    /// Balancers that put a PROXY protocol header before every connection.
    pub proxy_from: Vec<Network>,
}

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time until TLS stands.
    pub handshake: Duration,
    /// Time until a request's head is there.
    pub header: Duration,
    /// Time without a request, after which a connection is closed; upgraded connections have rules of their own.
    pub idle: Duration,
    /// Connections from one address (one /64 in IPv6).
    pub connections_per_address: usize,
    /// Connections altogether.
    pub connections: usize,
    /// Bytes of a request's head.
    pub header_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            connections_per_address: 2_000,
            connections: 20_000,
            header_size: 32 << 10,
        }
    }
}

/// How a hub stops: first softly, finishing what is under way, then for good.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take nothing new.
    pub soft: CancellationToken,
    /// End everything.
    pub hard: CancellationToken,
}

/// The connection that a request came on; in its extensions.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The other end: the client, also behind a listed balancer.
    pub peer: SocketAddr,
    /// The listener's name.
    pub listener: Arc<str>,
    /// What a key can be proved on; none below TLS 1.3.
    pub exporter: Option<Exporter>,
}

/// The bytes of an upgraded request, with those that were read too early in front.
pub fn upgraded(upgraded: hyper::upgrade::Upgraded) -> Option<Prefixed<HubIo>> {
    let parts = upgraded.downcast::<hyper_util::rt::TokioIo<HubIo>>().ok()?;
    Some(Prefixed::new(parts.read_buf, parts.io.into_inner()))
}
