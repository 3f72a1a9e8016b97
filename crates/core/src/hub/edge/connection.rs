//! What a request's handler may know of the connection it came on: the request extensions [`Connection`] and
//! [`LocalPeer`].

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nave_link::proof::Exporter;

use super::shutdown::Shutdown;

/// Tells connections of one process apart, in logs and lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(super) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// The version of TLS that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// The TLS connection that a request came on.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Which connection.
    pub id: ConnectionId,
    /// Where it comes from: unmapped, and behind a listed balancer what that says.
    pub peer: SocketAddr,
    /// What the peer dialled: unmapped, and behind a listed balancer what that says.
    pub local: SocketAddr,
    /// The balancer that passed it on.
    pub balancer: Option<SocketAddr>,
    /// The listener's name.
    pub listener: Arc<str>,
    /// The version of TLS.
    pub tls_version: TlsVersion,
    /// Ties signatures to this connection; `None` before TLS 1.3.
    pub exporter: Option<Exporter>,
    /// For what outlives its request (an upgraded connection, a long poll): when to stop.
    pub shutdown: Shutdown,
}

/// Whoever is at the other end of the hub's own socket, as the kernel reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPeer {
    /// The Unix user id: root's, or that of the data folder's owner.
    pub uid: u32,
}
