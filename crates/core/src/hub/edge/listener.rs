//! Listening sockets: opened here or inherited, accepting until the hub stops.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::caps::Caps;
use super::{Address, Identities, Limits, ListenerConfig, Shutdown, connection};
use crate::hub::source::unmapped;

/// Why the hub cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The system refused.
    #[error("cannot listen on {address}: {source}{advice}")]
    Refused {
        /// Where.
        address: String,
        /// What the system says.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// No such socket was handed over.
    #[error(
        "descriptor {0} is not a listening TCP socket: whoever starts the hub must hand one over (systemd: StandardInput=socket for 0, else LISTEN_FDS)"
    )]
    NotInherited(u32),
}

/// A listening socket.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    config: ListenerConfig,
    local: SocketAddr,
}

/// Opens or takes over every listening socket.
pub fn bind(configs: Vec<ListenerConfig>) -> Result<Vec<Door>, BindError> {
    let mut inherited = listenfd::ListenFd::from_env();
    configs
        .into_iter()
        .map(|config| {
            let listener = match config.address {
                Address::Tcp(address) => {
                    open(address).map_err(|source| refused(address.to_string(), source))?
                }
                Address::Inherited(0) => from_stdin()?,
                Address::Inherited(number) => number
                    .checked_sub(3)
                    .and_then(|index| inherited.take_tcp_listener(index as usize).ok().flatten())
                    .ok_or(BindError::NotInherited(number))?,
            };
            let ready = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
            let listener = ready.map_err(|source| refused(config.name.clone(), source))?;
            let local = listener.local_addr().map_err(|source| refused(config.name.clone(), source))?;
            Ok(Door { listener, config, local })
        })
        .collect()
}

/// With address reuse, and a backlog that survives a whole farm coming back at once, which std's own does not.
fn open(address: SocketAddr) -> io::Result<StdListener> {
    use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, sockopt};
    use std::os::fd::AsRawFd as _;
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    socket::listen(&fd, Backlog::new(4096).unwrap_or(Backlog::MAXCONN))?;
    Ok(fd.into())
}

fn from_stdin() -> Result<StdListener, BindError> {
    use nix::sys::socket::{getsockopt, sockopt};
    let stdin = io::stdin();
    let fd = stdin.as_fd();
    match getsockopt(&fd, sockopt::AcceptConn) {
        Ok(true) => fd.try_clone_to_owned().map(Into::into).map_err(|_| BindError::NotInherited(0)),
        _ => Err(BindError::NotInherited(0)),
    }
}

fn refused(address: String, source: io::Error) -> BindError {
    let advice = match source.kind() {
        io::ErrorKind::AddrInUse => {
            ": something listens there already; stop it, or choose another port with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            ": ports below 1024 are root's; use systemd's socket unit, or another port"
        }
        io::ErrorKind::AddrNotAvailable => ": this machine does not have that address",
        _ => "",
    };
    BindError::Refused { address, source, advice }
}

impl Door {
    /// Where it really listens.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Serves every connection until the hub stops; then waits for those under way.
    pub async fn serve(
        self,
        identities: Arc<Identities>,
        router: Router,
        limits: Limits,
        shutdown: Shutdown,
    ) {
        let Self { listener, config, local } = self;
        let caps = Caps::new(limits.connections_per_address, limits.connections);
        let name: Arc<str> = config.name.as_str().into();
        let config = Arc::new(config);
        let connections = TaskTracker::new();
        let mut refused = 0_u64;
        let mut told = tokio::time::Instant::now();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.soft.cancelled() => break,
            };
            let (io, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: let some connections end first.
                    tracing::warn!(listener = %name, %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let peer = SocketAddr::new(unmapped(peer.ip()), peer.port());
            let behind_balancer = config.proxy_from.iter().any(|network| network.contains(peer.ip()));
            // A balancer brings many clients: it is limited as a whole only.
            let place = if behind_balancer { None } else { caps.take(peer.ip()) };
            if place.is_none() && !behind_balancer {
                refused += 1;
                if told.elapsed() > Duration::from_secs(10) {
                    tracing::warn!(listener = %name, %peer, refused, "too many connections: some were refused");
                    told = tokio::time::Instant::now();
                }
                continue;
            }
            let Some(tls) = identities.get(&config.identity) else { continue };
            let accepted =
                connection::Accepted { io, peer, local, listener: Arc::clone(&name), behind_balancer };
            let (router, shutdown) = (router.clone(), shutdown.clone());
            connections.spawn(async move {
                connection::run(accepted, tls, router, limits, shutdown).await;
                drop(place);
            });
        }
        drop(listener);
        connections.close();
        tokio::select! {
            () = connections.wait() => {}
            () = shutdown.hard.cancelled() => {}
        }
    }
}
