//! Listening sockets: bound or inherited, and the loop that accepts from one whatever goes wrong.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket};

use super::inherited::Inherited;
use super::quiet::Quiet;
use super::server::Server;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const LAST_BACKOFF: Duration = Duration::from_secs(1);

/// One listener, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// What logs and `nave status` call it.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// The identity that it shows, by its name in [`super::Identities`].
    pub identity: String,
    /// The balancers in front of it: connections from there must begin with a PROXY header of version 2, and
    /// connections from elsewhere must not.
    pub proxy_from: Vec<IpNet>,
}

/// Where a listener listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// On a TCP port; `[::]` takes IPv4 too.
    Tcp(SocketAddr),
    /// On a socket that whoever started the hub has opened.
    Inherited(RawFd),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Inherited(descriptor) => write!(f, "fd:{descriptor}"),
        }
    }
}

/// A text that is no [`Address`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address to listen on; write ADDRESS:PORT, [IPV6]:PORT, or fd:N for an inherited socket")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `192.0.2.1:3101`, `[::]:3101` or `fd:0`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = match text.strip_prefix("fd:") {
            Some(descriptor) => {
                descriptor.parse::<u16>().ok().map(|descriptor| Self::Inherited(descriptor.into()))
            }
            None => text.parse().ok().map(Self::Tcp),
        };
        address.ok_or_else(|| AddressError(text.to_owned()))
    }
}

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listener {listener:?} cannot listen on {address}: {problem}")]
pub struct BindError {
    listener: String,
    address: Address,
    problem: Problem,
}

impl BindError {
    pub(super) fn new(config: &ListenerConfig, problem: Problem) -> Self {
        Self { listener: config.name.clone(), address: config.address, problem }
    }
}

/// What is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("another program listens there; stop it (`ss -ltnp` names it) or choose another port")]
    InUse,
    #[error(
        "ports below 1024 are for root; choose a higher one, have systemd open the socket, or grant CAP_NET_BIND_SERVICE"
    )]
    Privileged,
    #[error("this machine has no such address; `ip address` shows those it has")]
    NoSuchAddress,
    #[error("{0}")]
    Inherited(String),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Listeners that hold their sockets and do not accept yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) listeners: Vec<BoundListener>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct BoundListener {
    pub(super) terms: Arc<Terms>,
    address: SocketAddr,
    socket: TcpListener,
    /// Others hold the same open socket, and with it its flags.
    inherited: bool,
}

/// What a listener's connections need to know of it; apart from its socket, which must not live as long as they do.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) name: Arc<str>,
    pub(super) identity: String,
    pub(super) proxy_from: Vec<IpNet>,
}

/// Opens all listeners, or none. Must be called within the runtime.
///
/// # Errors
///
/// Names the listener, its address, and what to do.
pub fn bind(configs: &[ListenerConfig], inherited: &mut Inherited) -> Result<Bound, BindError> {
    let listeners = configs
        .iter()
        .map(|config| open(config, inherited).map_err(|problem| BindError::new(config, problem)));
    Ok(Bound { listeners: listeners.collect::<Result<_, _>>()? })
}

fn open(config: &ListenerConfig, inherited: &mut Inherited) -> Result<BoundListener, Problem> {
    let socket = match config.address {
        Address::Tcp(address) => listen(address).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Problem::InUse,
            io::ErrorKind::PermissionDenied if address.port() < 1024 => Problem::Privileged,
            io::ErrorKind::AddrNotAvailable => Problem::NoSuchAddress,
            _ => Problem::Io(error),
        })?,
        Address::Inherited(descriptor) => inherited.take(descriptor)?,
    };
    let terms = Arc::new(Terms {
        name: config.name.as_str().into(),
        identity: config.identity.clone(),
        proxy_from: config.proxy_from.clone(),
    });
    keep_alive(&socket).map_err(io::Error::from)?;
    let inherited = matches!(config.address, Address::Inherited(_));
    Ok(BoundListener { terms, address: socket.local_addr()?, socket, inherited })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() {
        // The system's default may differ (net.ipv6.bindv6only).
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Finds out that a silent peer is gone after two minutes, so that no upgraded connection outlives its other end
/// for ever. On Linux accepted sockets take these options over from the listening one.
fn keep_alive(socket: &TcpListener) -> nix::Result<()> {
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &60)?;
    setsockopt(socket, sockopt::TcpKeepInterval, &15)?;
    setsockopt(socket, sockopt::TcpKeepCount, &4)
}

impl Bound {
    /// Each listener's name and the address it really has (what port 0 became).
    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.listeners.iter().map(|listener| (&*listener.terms.name, listener.address))
    }
}

impl BoundListener {
    /// Accepts until the soft stop; then the socket is closed.
    pub(super) async fn accept(self, server: &Server) {
        let soft = server.0.shutdown.soft();
        let failed = Quiet::new(Duration::from_secs(10));
        let mut backoff = FIRST_BACKOFF;
        loop {
            if self.inherited {
                stay_non_blocking(&self.socket);
            }
            let Some(accepted) = soft.run_until_cancelled(self.socket.accept()).await else { return };
            match accepted {
                Ok((tcp, peer)) => {
                    backoff = FIRST_BACKOFF;
                    server.take(&self.terms, tcp, peer);
                }
                Err(error) if of_one_connection(&error) => {
                    tracing::debug!(listener = %self.terms.name, %error, "a connection failed before it was accepted");
                }
                Err(error) => {
                    if let Some(left_out) = failed.due() {
                        tracing::error!(listener = %self.terms.name, %error, left_out, "no connection can be accepted at the moment; raise the limit of open files if it is that (LimitNOFILE=)");
                    }
                    if soft.run_until_cancelled(tokio::time::sleep(backoff)).await.is_none() {
                        return;
                    }
                    backoff = (backoff * 2).min(LAST_BACKOFF);
                }
            }
        }
    }
}

/// systemd clears the flag on a socket that is its unit's standard input whenever it runs another command of the unit
/// (`ExecReload=`, say); an accept would then block its whole thread. If this fails, so does the accept that follows.
fn stay_non_blocking(socket: &TcpListener) {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let _ = fcntl(socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
}

/// Whether an error of accept(2) is about the connection and not about the listener: see "Error handling" there.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn accepted_sockets_notice_a_peer_that_is_gone() {
        let config = ListenerConfig {
            name: "main".to_owned(),
            address: "127.0.0.1:0".parse().unwrap(),
            identity: "self".to_owned(),
            proxy_from: Vec::new(),
        };
        let bound = bind(&[config], &mut Inherited::none()).unwrap();
        let listener = &bound.listeners[0];
        let (_client, accepted) =
            tokio::join!(TcpStream::connect(listener.address), listener.socket.accept());
        let (accepted, _) = accepted.unwrap();
        assert!(getsockopt(&accepted, sockopt::KeepAlive).unwrap());
        assert_eq!(getsockopt(&accepted, sockopt::TcpKeepIdle).unwrap(), 60);
    }

    #[test]
    fn errors_of_one_connection_are_told_from_those_of_the_listener() {
        use nix::errno::Errno;
        for errno in [Errno::ECONNABORTED, Errno::EINTR, Errno::EHOSTUNREACH, Errno::ETIMEDOUT] {
            assert!(of_one_connection(&errno.into()), "{errno}");
        }
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EINVAL] {
            assert!(!of_one_connection(&errno.into()), "{errno}");
        }
    }
}
