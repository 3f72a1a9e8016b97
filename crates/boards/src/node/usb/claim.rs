//! A port of the virtual host controller in the hands of this process: two programs of Nave's never fight over one, and
//! what one that was killed left attached is known as such by the next.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tokio::time::Instant;

use super::error::UsbError;
use super::vhci::{PortStatus, Vhci};
use super::wire::ImportReply;

/// How long the kernel waits for an answer to a question of its own (`USB_CTRL_GET_TIMEOUT`), and some more.
const ANSWER: Duration = Duration::from_millis(5500);

/// A port that is this process's; dropping it detaches what is on it.
#[derive(Debug)]
pub(super) struct Claim {
    vhci: Vhci,
    port: u32,
    /// Whether something may be attached to it that is ours.
    ours: bool,
    /// What the kernel called the last device on it.
    busid: Option<String>,
    /// Whether the kernel was done with getting to know the last device on it.
    settled: bool,
    /// When the last device was gone.
    lost: Option<Instant>,
    /// Its lock ends with the process, its content does not: a file with content that nobody locks was left behind.
    lock: Flock<File>,
}

impl Claim {
    /// Claims a port by the kernel's number.
    ///
    /// # Errors
    ///
    /// When another process has claimed it, or this is not root.
    pub(super) fn new(vhci: Vhci, port: u32) -> Result<Self, UsbError> {
        let path = vhci.sysfs().port_lock(port);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(|why| match why.kind() {
            std::io::ErrorKind::PermissionDenied => UsbError::NotRoot { path: path.clone() },
            _ => UsbError::system(format!("opening {}", path.display()))(why),
        })?;
        let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| UsbError::PortInUse { port, by: Some("another process of Nave's".to_owned()) })?;
        let mut left = String::new();
        lock.read_to_string(&mut left).map_err(UsbError::system(format!("reading {}", path.display())))?;
        Ok(Self { vhci, port, ours: !left.is_empty(), busid: None, settled: true, lost: None, lock })
    }

    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// What is on the port now. A device is attached when programs can find it.
    pub(super) fn look(&mut self) -> Result<PortStatus, UsbError> {
        let mut status = self.vhci.status(self.port)?;
        if let PortStatus::Attached(busid) = &status {
            let device = self.vhci.sysfs().usb("devices").join(busid);
            self.settled |= has_interfaces(&device, busid);
            self.busid = Some(busid.clone());
            if !device.exists() {
                status = PortStatus::Connecting;
            }
        } else {
            self.lost.get_or_insert_with(Instant::now);
        }
        Ok(status)
    }

    /// Whether the kernel still has to take leave of the last device.
    pub(super) fn lingers(&self) -> bool {
        self.busid.as_ref().is_some_and(|busid| self.vhci.sysfs().usb("devices").join(busid).exists())
    }

    /// When another device can be attached. A kernel that loses a device while it gets to know it waits for that device's
    /// answer, and would take the next device's answers for the lost one's.
    pub(super) fn free_from(&self) -> Option<Instant> {
        self.lost.filter(|_| !self.settled).map(|lost| lost + ANSWER)
    }

    /// Whether what is attached to the port was attached by this process, or by one of Nave's that is no more.
    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }

    /// Attaches a device that was handed over on a socket, and notes that it is ours.
    pub(super) fn attach_now(&mut self, socket: &OwnedFd, device: &ImportReply) -> Result<(), UsbError> {
        self.ours = true;
        (self.settled, self.lost) = (false, None);
        let noted = self.lock.set_len(0).and_then(|()| self.lock.write_all_at(b"attached\n", 0));
        noted.map_err(UsbError::system(format!("noting that port {} is in use", self.port)))?;
        self.vhci.attach_now(self.port, socket.as_raw_fd(), device)
    }

    /// Detaches what is on the port; the kernel does it in its own time.
    pub(super) fn detach_now(&self) {
        self.vhci.detach_now(self.port);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.ours {
            self.detach_now();
            if let Err(why) = self.lock.set_len(0) {
                tracing::warn!("port {} stays noted as in use: {why}", self.port);
            }
        }
    }
}

/// Whether a device's configuration is chosen. Its file for that cannot be asked: reading it waits until the kernel knows
/// the device, and it may be this thread that carries the device's answers.
fn has_interfaces(device: &Path, busid: &str) -> bool {
    let interface = format!("{busid}:");
    let entries = std::fs::read_dir(device).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&interface))
}
