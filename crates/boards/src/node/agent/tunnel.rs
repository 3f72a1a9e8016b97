//! One attached interface: a listener on `localhost` whose connections lead to the place, or a USB device.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nave_link::pipe::{self, Counts, Pipe as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::farm::{Farm, Place, Target};
use super::plan::{Attachment, Kind};
use super::usb::{AttachedUsb, Connect, UsbPorts};

/// How long an interface may take until it is there.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before a target is tried again that is down.
const AGAIN: Duration = Duration::from_millis(250);
/// How long to wait when connections cannot be accepted, such as when too many files are open.
const BREATH: Duration = Duration::from_millis(100);

/// A reserved place, which may move while it is attached.
#[derive(Clone, Debug)]
pub struct Seat(Arc<RwLock<Place>>);

impl Seat {
    /// A place.
    pub fn new(place: Place) -> Self {
        Self(Arc::new(RwLock::new(place)))
    }

    /// The place as it is reached now.
    pub fn place(&self) -> Place {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The place is reached in another way from now on.
    pub fn move_to(&self, place: Place) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

/// By what interfaces are attached.
#[derive(Clone)]
pub struct Means {
    /// The hub.
    pub farm: Arc<dyn Farm>,
    /// This machine's virtual USB ports.
    pub usb: Arc<dyn UsbPorts>,
}

/// An interface that is attached until this is dropped.
pub enum Tunnel {
    /// A TCP service.
    Tcp(AbortOnDropHandle<()>),
    /// A USB device.
    Usb(Box<dyn AttachedUsb>),
}

impl Tunnel {
    /// Attaches an interface. The error says why not, for people.
    pub async fn open(means: &Means, seat: &Seat, wanted: &Attachment) -> Result<Self, String> {
        match &wanted.kind {
            Kind::Tcp { host, port, local_port } => {
                let listeners = listen(*local_port).await.map_err(|error| {
                    let why = match error.kind() {
                        io::ErrorKind::AddrInUse => "another program listens on it".to_owned(),
                        _ => error.to_string(),
                    };
                    format!("port {local_port} of this machine cannot be used: {why}")
                })?;
                let target = Target::Tcp { host: host.clone(), port: *port };
                reach(&means.farm, seat, &target).await.map_err(|why| format!("{host}:{port} {why}"))?;
                let serving = serve(listeners, Arc::clone(&means.farm), seat.clone(), target);
                Ok(Self::Tcp(AbortOnDropHandle::new(tokio::spawn(serving))))
            }
            Kind::Usb { usbid, port_num } => {
                let (farm, seat) = (Arc::clone(&means.farm), seat.clone());
                let target = Target::Usb { usbid: usbid.clone() };
                let connect: Connect = Arc::new(move || farm.connect(&seat.place(), &target));
                let attached = means.usb.attach(usbid.clone(), *port_num, connect, PATIENCE).await;
                attached.map(Self::Usb).map_err(|why| format!("USB device {usbid}: {why}"))
            }
        }
    }

    /// Where it is and whether it is there.
    pub fn port(&self, usb: &dyn UsbPorts, kind: &Kind) -> (bool, String) {
        match (self, kind) {
            (Self::Usb(device), _) => match device.port() {
                Some(port) => (true, port),
                None => (false, closed_port(usb, kind)),
            },
            (Self::Tcp(_), kind) => (true, closed_port(usb, kind)),
        }
    }

    /// Detaches it.
    pub async fn close(self) {
        match self {
            Self::Tcp(serving) => {
                serving.abort();
                // Ended or aborted: the port is free then.
                let _ = serving.await;
            }
            Self::Usb(device) => device.detach().await,
        }
    }
}

/// Where an interface would be if it were attached.
pub fn closed_port(usb: &dyn UsbPorts, kind: &Kind) -> String {
    match kind {
        Kind::Tcp { local_port, .. } => local_port.to_string(),
        Kind::Usb { port_num, .. } => usb.port(*port_num),
    }
}

/// Listens on `localhost`, in IPv4 and, where there is such a thing, in IPv6.
async fn listen(port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners = vec![TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?];
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
        Ok(listener) => listeners.push(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        Err(error) => tracing::debug!(port, %error, "there is no IPv6 loopback"),
    }
    Ok(listeners)
}

/// Tries a target until it answers or patience ends.
async fn reach(farm: &Arc<dyn Farm>, seat: &Seat, target: &Target) -> Result<(), String> {
    let mut last = None;
    let tries = async {
        loop {
            match farm.check(&seat.place(), target).await {
                Ok(()) => return,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    if tokio::time::timeout(PATIENCE, tries).await.is_ok() {
        return Ok(());
    }
    Err(match last {
        Some(error) => format!("cannot be reached through the exporter: {error}"),
        None => format!("does not answer within {} s", PATIENCE.as_secs()),
    })
}

/// Carries connections until it is dropped, and them with it.
async fn serve(listeners: Vec<TcpListener>, farm: Arc<dyn Farm>, seat: Seat, target: Target) {
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (farm, seat, target) = (Arc::clone(&farm), seat.clone(), target.clone());
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((client, _)) => {
                            connections.spawn(carry(client, Arc::clone(&farm), seat.clone(), target.clone()));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "a connection is not accepted");
                            tokio::time::sleep(BREATH).await;
                        }
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
    }
    while accepting.join_next().await.is_some() {}
}

async fn carry(mut client: TcpStream, farm: Arc<dyn Farm>, seat: Seat, target: Target) {
    let place = seat.place();
    // Small packets, such as keystrokes, are not held back.
    let _ = client.set_nodelay(true);
    let remote = match farm.connect(&place, &target).await {
        Ok(remote) => remote,
        Err(error) => {
            tracing::warn!(place = place.name, ?target, %error, "a connection is not carried");
            client.abort();
            return;
        }
    };
    // Cut by being dropped.
    let end = pipe::join(client, remote, Arc::new(Counts::default()), &CancellationToken::new()).await;
    tracing::debug!(place = place.name, ?target, ?end, "a connection ended");
}
