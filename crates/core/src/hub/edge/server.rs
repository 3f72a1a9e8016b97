//! From an accepted socket to requests on the router: source, caps, PROXY header, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use nave_link::proof::Exporter;
use rustls::{ProtocolVersion, ServerConnection};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::activity::Activity;
use super::connection::{Connection, ConnectionId, LocalPeer, TlsVersion};
use super::first_bytes::{FirstBytes, classify};
use super::gate::{Gate, Permit};
use super::http::{self, Front, Peer, Version};
use super::identities::Identities;
use super::io::{Held, HubIo};
use super::limits::Limits;
use super::listener::{Bound, Terms};
use super::quiet::Quiet;
use super::shutdown::Shutdown;
use super::{plain, proxy};

/// How often a line that peers can cause is logged at most.
const QUIET: Duration = Duration::from_secs(10);

/// Open connections on the hub's own socket.
const LOCAL_CONNECTIONS: usize = 256;

/// One router behind all listeners. Cloning it is cheap; all clones are one and share the caps.
#[derive(Clone, Debug)]
pub struct Server(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    router: Router,
    identities: Identities,
    pub(super) limits: Limits,
    pub(super) shutdown: Shutdown,
    pub(super) gate: Gate,
    /// Apart from the rest, so that the operator gets in when the hub is full.
    pub(super) local_gate: Gate,
    pub(super) tracker: TaskTracker,
    pub(super) full: Quiet,
    crowded: Quiet,
    refused: Quiet,
}

/// A listener names an identity that the hub does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "listener {listener:?} is to show the identity {identity:?}, which this hub does not have; its identities are: {known}"
)]
pub struct UnknownIdentity {
    listener: Arc<str>,
    identity: String,
    known: String,
}

/// Why a connection was closed before its first request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the peer closed it")]
    Gone,
    #[error("the handshake took longer than {} s", .0.as_secs())]
    Slow(Duration),
    #[error(
        "it sent a PROXY header, and {0} is not listed in proxy_from; list it there if it is a balancer of yours"
    )]
    UnlistedProxy(std::net::IpAddr),
    #[error(
        "{0} is listed in proxy_from, and did not begin with a PROXY header of version 2; have the balancer send one"
    )]
    NoProxyHeader(std::net::IpAddr),
    #[error(transparent)]
    Proxy(#[from] proxy::Error),
    #[error("it spoke plain HTTP, and was told to use https")]
    PlainHttp,
    #[error("it did not speak TLS")]
    NotTls,
    #[error("its address {0} has as many connections as one may have (connections_per_address)")]
    Crowded(std::net::IpAddr),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Server {
    /// A server that is ready to serve listeners.
    pub fn new(router: Router, identities: Identities, limits: Limits, shutdown: Shutdown) -> Self {
        let router = router.layer(DefaultBodyLimit::max(limits.body_size));
        Self(Arc::new(Shared {
            gate: Gate::new(limits.connections, limits.connections_per_address),
            local_gate: Gate::new(LOCAL_CONNECTIONS, LOCAL_CONNECTIONS),
            router,
            identities,
            limits,
            shutdown,
            tracker: TaskTracker::new(),
            full: Quiet::new(QUIET),
            crowded: Quiet::new(QUIET),
            refused: Quiet::new(QUIET),
        }))
    }

    /// Serves what was bound until the soft stop; then ends when the last connection (upgraded ones included) is
    /// closed, or at the hard stop.
    ///
    /// # Errors
    ///
    /// At once, when a listener names an identity that is not there.
    pub async fn serve(&self, bound: Bound) -> Result<(), UnknownIdentity> {
        for listener in bound.listeners.iter().map(|listener| &listener.terms) {
            if self.0.identities.current(&listener.identity).is_none() {
                return Err(UnknownIdentity {
                    listener: Arc::clone(&listener.name),
                    identity: listener.identity.clone(),
                    known: self.0.identities.names().join(", "),
                });
            }
        }
        futures::future::join_all(bound.listeners.into_iter().map(|listener| listener.accept(self))).await;
        self.drained().await;
        Ok(())
    }

    /// Ends when no connection is left, or at the hard stop.
    pub(super) async fn drained(&self) {
        self.0.tracker.close();
        tokio::select! {
            () = self.0.tracker.wait() => {}
            () = self.0.shutdown.hard().cancelled() => {}
        }
    }

    /// Takes over an accepted connection.
    pub(super) fn take(&self, listener: &Arc<Terms>, tcp: TcpStream, peer: SocketAddr) {
        let Some(permit) = self.0.gate.enter() else {
            if let Some(left_out) = self.0.full.due() {
                let (limit, listener) = (self.0.limits.connections, &listener.name);
                tracing::warn!(%listener, %peer, limit, left_out, "a connection is closed: the hub has as many as it may have (connections)");
            }
            return;
        };
        let (server, listener) = (self.clone(), Arc::clone(listener));
        self.spawn(async move {
            let peer = proxy::unmap(peer);
            match server.open(&listener, tcp, peer, permit).await {
                Ok((io, version, front)) => server.speak(io, version, front).await,
                Err(refused) => server.log(&refused, &listener, peer),
            }
        });
    }

    /// Runs a connection until it ends or the hard stop comes.
    pub(super) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let hard = self.0.shutdown.hard().clone();
        self.0.tracker.spawn(async move { hard.run_until_cancelled(connection).await });
    }

    pub(super) async fn speak(&self, io: HubIo, version: Version, front: Front) {
        if let Err(error) = http::serve(io, version, front, &self.0.limits, &self.0.shutdown).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an HTTP connection failed");
        }
    }

    /// What a connection on the hub's own socket is served with.
    pub(super) fn local_front(&self, peer: LocalPeer) -> Front {
        self.front(Peer::Local(peer), Version::Http1)
    }

    fn front(&self, peer: Peer, version: Version) -> Front {
        let Shared { router, limits, .. } = &*self.0;
        let body_stall = (version == Version::Http1).then_some(limits.body_stall);
        Front { router: router.clone(), peer, activity: Activity::new(), body_stall }
    }

    async fn open(
        &self,
        listener: &Terms,
        tcp: TcpStream,
        peer: SocketAddr,
        permit: Permit,
    ) -> Result<(HubIo, Version, Front), Refused> {
        let limit = self.0.limits.handshake;
        tokio::time::timeout(limit, self.handshake(listener, tcp, peer, permit))
            .await
            .unwrap_or(Err(Refused::Slow(limit)))
    }

    async fn handshake(
        &self,
        listener: &Terms,
        mut tcp: TcpStream,
        accepted_from: SocketAddr,
        mut permit: Permit,
    ) -> Result<(HubIo, Version, Front), Refused> {
        tcp.set_nodelay(true)?;
        let (mut peer, mut local, mut balancer) = (accepted_from, proxy::unmap(tcp.local_addr()?), None);
        if listener.proxy_from.iter().any(|network| network.contains(&peer.ip())) {
            if first_byte(&tcp).await? != FirstBytes::ProxyV2 {
                return Err(Refused::NoProxyHeader(peer.ip()));
            }
            if let proxy::Source::Client { source, destination } = proxy::read(&mut tcp).await? {
                (peer, local, balancer) = (source, destination, Some(accepted_from));
            }
        }
        if !permit.attribute(peer.ip()) {
            return Err(Refused::Crowded(peer.ip()));
        }
        match first_byte(&tcp).await? {
            FirstBytes::Tls => {}
            FirstBytes::ProxyV2 => return Err(Refused::UnlistedProxy(peer.ip())),
            FirstBytes::Other => return Err(Refused::NotTls),
            FirstBytes::Http | FirstBytes::ProxyV1 | FirstBytes::Unknown => {
                return Err(plain::answer(tcp, peer.ip()).await);
            }
        }
        let Some(config) = self.0.identities.current(&listener.identity) else {
            return Err(Refused::Io(io::Error::other("its listener's identity is gone")));
        };
        let stream = TlsAcceptor::from(config).accept(tcp).await.map_err(Refused::Tls)?;
        let tls: &ServerConnection = stream.get_ref().1;
        let connection = Connection {
            id: ConnectionId::next(),
            peer,
            local,
            balancer,
            listener: Arc::clone(&listener.name),
            tls_version: match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => TlsVersion::V13,
                _ => TlsVersion::V12,
            },
            exporter: Exporter::of(tls),
            shutdown: self.0.shutdown.clone(),
        };
        let version = if tls.alpn_protocol() == Some(b"h2") { Version::Http2 } else { Version::Http1 };
        let front = self.front(Peer::Remote(connection), version);
        let held = Held { _permit: permit, _tracked: self.0.tracker.token() };
        Ok((HubIo::tls(stream, Arc::clone(&front.activity), held), version, front))
    }

    fn log(&self, refused: &Refused, listener: &Terms, peer: SocketAddr) {
        let listener = &listener.name;
        let quiet = match refused {
            Refused::Crowded(_) => &self.0.crowded,
            Refused::UnlistedProxy(_) | Refused::NoProxyHeader(_) | Refused::Proxy(_) => &self.0.refused,
            // Every scanner on the Internet causes these.
            _ => return tracing::debug!(%listener, %peer, reason = %refused, "a connection is closed"),
        };
        if let Some(left_out) = quiet.due() {
            tracing::warn!(%listener, %peer, reason = %refused, left_out, "a connection is closed");
        }
    }
}

/// Looks at the first byte without taking it. One is enough to tell what is TLS; looking at more would have to
/// spin until they are there.
async fn first_byte(tcp: &TcpStream) -> Result<FirstBytes, Refused> {
    let mut byte = [0];
    match tcp.peek(&mut byte).await? {
        0 => Err(Refused::Gone),
        _ => Ok(classify(&byte)),
    }
}
