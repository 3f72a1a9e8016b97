//! The port of an exporter: who comes in, how many at once, and how it is closed again.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nave_core::clock::Clock;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Refusal;
use super::gate::Gate;
use super::tunnel::{self, Targets};
use crate::node::export::ExportDescription;
use crate::node::usb::{self, Device, Sysfs, UsbError};

/// The most connections at once of those who are let through: each takes two of the 1024 file descriptors that a process
/// usually has. And of those of them that have not said yet what they want.
const MOST_OPEN: usize = 400;
const MOST_WAITING: usize = 64;
/// The most refusals that are told at once; who comes then is cut off without words.
const MOST_REFUSED: usize = 64;
/// How long nothing is accepted after the system refused, for want of file descriptors for example.
const PAUSE: Duration = Duration::from_millis(200);
const BACKLOG: u32 = 1024;

/// Why an exporter does not start.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// Its port cannot be listened on.
    #[error("cannot listen on port {port}: {source}. Is another exporter running?")]
    Listen {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The socket for streams to its USB devices cannot be opened.
    #[error("cannot open a socket for the place's USB devices: {0}")]
    Socket(#[source] io::Error),
    /// Its USB devices cannot be taken over.
    #[error(transparent)]
    Usb(#[from] UsbError),
}

/// A place's door. It is open until [`Exporter::close`].
pub struct Exporter {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
}

pub(super) struct Shared {
    pub(super) gate: Gate,
    pub(super) targets: Targets,
    pub(super) usb: usb::Server,
    pub(super) clock: Clock,
    pub(super) waiting: Arc<Semaphore>,
    open: Arc<Semaphore>,
    refused: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Exporter {
    /// Takes over the USB devices of a place and listens on its port, on every address of this machine. Nobody is let
    /// through yet.
    ///
    /// # Errors
    ///
    /// When a device or the port cannot be had.
    pub async fn open(
        description: &ExportDescription,
        sysfs: &Sysfs,
        clock: Clock,
    ) -> Result<Self, ExporterError> {
        let port = description.port;
        let failed = |source| ExporterError::Listen { port, source };
        // The port first: whoever has it already exports the devices too.
        let listener = listen(port).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let devices = description.usb().into_iter().map(|busid| Device::new(sysfs.clone(), busid));
        let usb = usb::Server::start(devices).await?;
        let shared = Arc::new(Shared {
            gate: Gate::default(),
            targets: Targets::of(&description.parts),
            usb,
            clock,
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            open: Arc::new(Semaphore::new(MOST_OPEN)),
            refused: Arc::new(Semaphore::new(MOST_REFUSED)),
            tasks: TaskTracker::new(),
        });
        let stop = CancellationToken::new();
        shared.tasks.spawn(accept(Arc::clone(&shared), listener, stop.clone()));
        Ok(Self { shared, address, stop })
    }

    /// Its USB devices.
    pub fn usb(&self) -> &usb::Server {
        &self.shared.usb
    }

    /// Who is let through.
    pub fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts what is open, and gives the USB devices back to their drivers.
    ///
    /// # Errors
    ///
    /// When a device was not given back.
    pub async fn close(&self) -> Result<(), UsbError> {
        self.stop.cancel();
        self.shared.gate.allow([]).ended().await;
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.usb.restore().await
    }
}

/// For IPv6 and IPv4; where the machine has no IPv6, for IPv4 alone.
fn listen(port: u16) -> io::Result<TcpListener> {
    let both = TcpSocket::new_v6().and_then(|socket| {
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv6Addr::UNSPECIFIED, port).into())?;
        socket.listen(BACKLOG)
    });
    match both {
        Err(error) if is_without_ipv6(&error) => {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind((Ipv4Addr::UNSPECIFIED, port).into())?;
            socket.listen(BACKLOG)
        }
        both => both,
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    let missing = [nix::errno::Errno::EAFNOSUPPORT, nix::errno::Errno::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| missing.contains(&nix::errno::Errno::from_raw(code)))
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((io, peer)) => admit(&shared, io, peer, &stop),
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Lets a connection in or refuses it.
fn admit(shared: &Arc<Shared>, io: TcpStream, peer: SocketAddr, stop: &CancellationToken) {
    let address = peer.ip().to_canonical();
    let refusal = match shared.gate.enter(address) {
        None => {
            tracing::debug!(%address, "somebody came who is not let through");
            Refusal::address()
        }
        Some(entry) => match Arc::clone(&shared.open).try_acquire_owned() {
            Err(_) => {
                tracing::warn!(%address, "there are more than {MOST_OPEN} connections: no more is let through");
                Refusal::busy()
            }
            Ok(slot) => {
                let shared = Arc::clone(shared);
                let tasks = shared.tasks.clone();
                tasks.spawn(async move {
                    tunnel::run(&shared, io, address, &entry.cut).await;
                    drop((entry, slot));
                });
                return;
            }
        },
    };
    if let Ok(slot) = Arc::clone(&shared.refused).try_acquire_owned() {
        let (shared, stop) = (Arc::clone(shared), stop.clone());
        let tasks = shared.tasks.clone();
        tasks.spawn(async move {
            stop.run_until_cancelled(tunnel::refuse(io, &refusal, &shared.clock)).await;
            drop(slot);
        });
    }
}
