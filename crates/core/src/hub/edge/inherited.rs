//! Listening sockets that whoever started the hub has opened: on descriptor 0 (systemd's `StandardInput=socket`,
//! inetd), or announced in `LISTEN_FDS` (`sd_listen_fds(3)`).

use std::fmt;
use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
};
use tokio::net::TcpListener;

use super::listener::Problem;

/// The first descriptor that `LISTEN_FDS` speaks of.
const FIRST: RawFd = 3;

/// The inherited sockets that nobody has taken yet.
pub struct Inherited(ListenFd);

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.announced()).finish()
    }
}

impl Inherited {
    /// What this process inherited; `LISTEN_FDS` counts only if `LISTEN_PID` is this process or not set. Removes
    /// both from the environment, so call it once, before there are other threads.
    pub fn from_env() -> Self {
        Self(ListenFd::from_env())
    }

    /// Nothing inherited but, perhaps, descriptor 0.
    pub fn none() -> Self {
        Self(ListenFd::empty())
    }

    /// The descriptors that `LISTEN_FDS` announced.
    pub fn announced(&self) -> impl Iterator<Item = RawFd> + use<> {
        FIRST..FIRST + RawFd::try_from(self.0.len()).unwrap_or(0)
    }

    /// Takes over a listening TCP socket.
    pub(super) fn take(&mut self, descriptor: RawFd) -> Result<TcpListener, Problem> {
        let listener = if descriptor == 0 {
            let stdin = io::stdin();
            listening(&stdin).map_err(|problem| {
                Problem::Inherited(format!(
                    "{problem}; start the hub with a listening socket there (in systemd: StandardInput=socket)"
                ))
            })?;
            StdListener::from(stdin.as_fd().try_clone_to_owned()?)
        } else {
            let missing = || {
                let announced = self.0.len();
                Problem::Inherited(format!(
                    "it was not passed to this process: LISTEN_FDS announced {announced}, counted from descriptor {FIRST}"
                ))
            };
            let index = usize::try_from(descriptor - FIRST).map_err(|_| missing())?;
            if index >= self.0.len() {
                return Err(missing());
            }
            match self.0.take_tcp_listener(index) {
                Ok(Some(listener)) => {
                    listening(&listener).map_err(Problem::Inherited)?;
                    listener
                }
                Ok(None) => return Err(Problem::Inherited("another listener has it already".to_owned())),
                Err(error) => return Err(Problem::Inherited(error.to_string())),
            }
        };
        listener.set_nonblocking(true)?;
        Ok(TcpListener::from_std(listener)?)
    }
}

impl Inherited {
    /// Takes over a listening Unix socket; the error says why not.
    pub fn take_unix(&mut self, descriptor: RawFd) -> Result<UnixListener, String> {
        let listener = if descriptor == 0 {
            let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
            UnixListener::from(stdin)
        } else {
            let announced = self.0.len();
            let missing = || {
                format!(
                    "it was not passed to this process: LISTEN_FDS announced {announced}, counted from descriptor {FIRST}"
                )
            };
            let index = usize::try_from(descriptor - FIRST).ok().filter(|index| *index < announced);
            let taken = self.0.take_unix_listener(index.ok_or_else(missing)?);
            taken.map_err(|error| error.to_string())?.ok_or("something else has it already")?
        };
        match getsockopt(&listener, sockopt::AcceptConn) {
            Ok(true) if listener.local_addr().is_ok() => {}
            Ok(_) => return Err("it is a socket, but not a Unix socket that listens".to_owned()),
            Err(error) => return Err(format!("it is not a socket ({error})")),
        }
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(listener)
    }
}

/// Whether it is a TCP socket that listens; if not, what it is.
fn listening(socket: &impl AsFd) -> Result<(), String> {
    use std::os::fd::AsRawFd as _;
    let not_a_socket = |error| format!("it is not a socket ({error})");
    let kind = getsockopt(socket, sockopt::SockType).map_err(not_a_socket)?;
    let address: SockaddrStorage = getsockname(socket.as_fd().as_raw_fd()).map_err(not_a_socket)?;
    let internet = matches!(address.family(), Some(AddressFamily::Inet | AddressFamily::Inet6));
    if kind != SockType::Stream || !internet {
        return Err("it is a socket, but not one for TCP".to_owned());
    }
    match getsockopt(socket, sockopt::AcceptConn) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it is a TCP socket, but does not listen (in systemd: Accept=no)".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
