//! The ways into the places of this machine: what each lets others open, its USB devices, and the port for agents of
//! not-my-board where the operator wants one.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nave_core::clock::Clock;
use nave_core::node::Lent;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::link::{self, PlaceOffer};
use crate::node::commands::Commands;
use crate::node::export::ExportDescription;
use crate::node::exporter::{Exporter as Legacy, ExporterError};
use crate::node::usb::{self, Device, Sysfs, UsbError};

/// How doors are made.
pub struct Doors {
    /// Where the devices are.
    pub sysfs: Sysfs,
    /// Tells the time.
    pub clock: Clock,
    /// A folder that nobody else can enter, for sockets.
    pub folder: PathBuf,
    /// Whether agents of not-my-board are let in, by a port that is not encrypted.
    pub allow_legacy: bool,
    open: watch::Sender<BTreeMap<String, Arc<Door>>>,
}

/// A place that can be entered.
pub struct Door {
    description: ExportDescription,
    services: Vec<Lent>,
    devices: Arc<Devices>,
    /// What serves importers.
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The USB devices of a place, with or without a port beside them.
enum Devices {
    Legacy(Legacy),
    Own(usb::Server),
}

impl Devices {
    fn server(&self) -> &usb::Server {
        match self {
            Self::Legacy(legacy) => legacy.usb(),
            Self::Own(server) => server,
        }
    }
}

impl Doors {
    /// None are open yet.
    pub fn new(sysfs: Sysfs, clock: Clock, folder: PathBuf, allow_legacy: bool) -> Arc<Self> {
        Arc::new(Self { sysfs, clock, folder, allow_legacy, open: watch::Sender::default() })
    }

    /// What is open, whenever that changes.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<String, Arc<Door>>> {
        self.open.subscribe()
    }

    /// The door of a place.
    pub fn find(&self, place: &str) -> Option<Arc<Door>> {
        self.open.borrow().get(place).cloned()
    }

    /// Opens the doors of these places and closes all others; those that stay as they are, stay open. What could not be
    /// opened is told, place by place.
    pub async fn set(&self, descriptions: Vec<ExportDescription>) -> Vec<(String, ExporterError)> {
        let before = self.open.borrow().clone();
        let stays = |name: &str, door: &Door| {
            descriptions.iter().any(|new| new.name == *name && *new == door.description)
        };
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            before.into_iter().partition(|(name, door)| stays(name, door));
        for (name, door) in gone {
            self.open.send_if_modified(|open| open.remove(&name).is_some());
            if let Err(error) = door.close().await {
                tracing::warn!(place = name, %error, "a place was not closed as it should be");
            }
        }
        let mut problems = Vec::new();
        for description in descriptions.into_iter().filter(|new| !kept.contains_key(&new.name)) {
            let name = description.name.clone();
            match self.open_door(description).await {
                Ok(door) => {
                    self.open.send_modify(|open| drop(open.insert(name, Arc::new(door))));
                }
                Err(error) => problems.push((name, error)),
            }
        }
        problems
    }

    async fn open_door(&self, description: ExportDescription) -> Result<Door, ExporterError> {
        let devices = if self.allow_legacy {
            Devices::Legacy(Legacy::open(&description, &self.sysfs, self.clock.clone()).await?)
        } else {
            let devices = description.usb().into_iter();
            let devices = devices.map(|busid| Device::new(self.sysfs.clone(), busid));
            Devices::Own(usb::Server::start(devices).await?)
        };
        let tcp = description.parts.iter().flat_map(|part| part.tcp.values());
        let mut services: Vec<Lent> = tcp
            .filter_map(|tcp| Some((link::target(&tcp.host, tcp.port)?, tcp.web_terminal)))
            .map(|(target, hub)| Lent { target, socket: None, hub })
            .collect();
        let usb = description.parts.iter().flat_map(|part| part.usb.values());
        let usb: Vec<_> = usb.filter_map(|usb| link::usb_target(&usb.usbid)).collect();
        let mut listener = None;
        if !usb.is_empty() {
            let (opened, path) = self.listen(&description.name).map_err(ExporterError::Socket)?;
            services.extend(usb.into_iter().map(|target| Lent {
                target,
                socket: Some(path.clone()),
                hub: false,
            }));
            listener = Some(opened);
        }
        let devices = Arc::new(devices);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        if let Some(listener) = listener {
            let (devices, own) = (Arc::clone(&devices), tasks.clone());
            tasks.spawn(stop.clone().run_until_cancelled_owned(serve_usb(
                devices,
                listener,
                own,
                stop.clone(),
            )));
        }
        Ok(Door { description, services, devices, tasks, stop })
    }

    /// A socket for the streams to a place's USB devices.
    fn listen(&self, place: &str) -> io::Result<(UnixListener, PathBuf)> {
        // A place's name may be longer than a socket's path, or hold what no path may.
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        let path = self.folder.join(format!("usb-{:016x}.sock", hasher.finish()));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok((listener, path))
    }
}

impl Door {
    /// How the hub is told of the place.
    pub fn offer(&self) -> PlaceOffer {
        PlaceOffer {
            name: self.description.name.clone(),
            parts: self.description.parts.clone(),
            legacy_port: match &*self.devices {
                Devices::Legacy(legacy) => Some(legacy.address().port()),
                Devices::Own(_) => None,
            },
            hooks_within: self.commands().hooks_within().as_secs(),
            power: self.commands().power_commands(),
            power_within: self.commands().power_within().as_secs(),
        }
    }

    /// What is run for the place.
    pub fn commands(&self) -> &Commands {
        &self.description.commands
    }

    /// What the holder of the place may open.
    pub fn services(&self) -> &[Lent] {
        &self.services
    }

    /// Lets agents of not-my-board in that come from these addresses; done when those that had come from others are out.
    pub async fn let_in(&self, addresses: &[IpAddr]) {
        if let Devices::Legacy(legacy) = &*self.devices {
            legacy.gate().allow(addresses.iter().copied()).ended().await;
        }
    }

    /// Cuts what is open, and gives the USB devices back to their drivers.
    async fn close(&self) -> Result<(), UsbError> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        match &*self.devices {
            Devices::Legacy(legacy) => legacy.close().await,
            Devices::Own(server) => server.restore().await,
        }
    }
}

/// Serves those who come by streams to the USB devices of a place.
async fn serve_usb(
    devices: Arc<Devices>,
    listener: UnixListener,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket.into_std(),
            Err(error) => Err(error),
        };
        let Ok(socket) = socket else {
            // Out of descriptors, most likely: let some connections end first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let devices = Arc::clone(&devices);
        let serving = async move {
            if let Err(error) = devices.server().serve(OwnedFd::from(socket)).await {
                tracing::warn!(%error, "a USB device was not handed over");
            }
        };
        tasks.spawn(stop.clone().run_until_cancelled_owned(serving));
    }
}
