//! What can go wrong with USB, in words for whoever has to put it right.

use std::io;
use std::path::PathBuf;

use super::busid::{BusId, BusIdError};
use super::wire::WireError;

/// Why a USB device could not be exported or attached.
#[derive(Debug, thiserror::Error)]
pub enum UsbError {
    /// A text that names no port.
    #[error(transparent)]
    BusId(#[from] BusIdError),
    /// Nothing is plugged in there now.
    #[error("there is no USB device at {0}; is it plugged in and switched on?")]
    NoDevice(BusId),
    /// What is plugged in there cannot be used by another machine.
    #[error(
        "the kernel does not lend the USB device at {0}: it is a hub, or itself attached from another machine; give the \
         port that the device proper hangs on"
    )]
    NotLendable(BusId),
    /// Somebody asked for a port that this place does not have.
    #[error("the place has no USB device at {0}")]
    NotExported(BusId),
    /// The kernel cannot do it here.
    #[error(
        "the kernel module {module} cannot be loaded ({problem}). It comes with the kernel's package on Debian \
         (linux-image-amd64 or linux-image-arm64, not the smaller -cloud- kernels), with \
         linux-modules-extra-$(uname -r) on Ubuntu, and with kernel-modules-extra on Fedora"
    )]
    Module {
        /// The module.
        module: &'static str,
        /// What `modprobe` or the system says.
        problem: String,
    },
    /// Not allowed by the system.
    #[error("{path} may be used by root only; run this as root")]
    NotRoot {
        /// What was to be used.
        path: PathBuf,
    },
    /// The import description wants a port that the virtual host controller does not have.
    #[error("Configured port_num is out of range. Expected max {max}, got {got}")]
    PortOutOfRange {
        /// The last port.
        max: u32,
        /// The port that is wanted.
        got: u32,
    },
    /// Something else is attached to the port.
    #[error(
        "port {port} of the virtual USB host controller is in use{}; detach it with `usbip detach -p {port}`, or choose \
         another port_num",
        by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default()
    )]
    PortInUse {
        /// The port, as the kernel counts.
        port: u32,
        /// Who uses it, where that is known.
        by: Option<String>,
    },
    /// The other side does not speak the protocol.
    #[error("not USB/IP: {0}")]
    Wire(#[from] WireError),
    /// The other side answered with another device.
    #[error("{got} was offered instead of {wanted}")]
    AnotherDevice {
        /// What was asked for.
        wanted: BusId,
        /// What came.
        got: BusId,
    },
    /// The other side sent something where nothing may come.
    #[error("unexpected data before the device was handed over")]
    UnexpectedData,
    /// The other side ended the connection, which is how an exporter says no.
    #[error(
        "the exporter closed the connection without handing the device over; its log says why (the place may not be \
         reserved by you, or has no such USB device)"
    )]
    Closed,
    /// There was no connection to be had.
    #[error("cannot connect to the exporter: {0}")]
    Connect(#[source] io::Error),
    /// The other side said nothing for too long.
    #[error("no import request came within {0} s")]
    NoRequest(u64),
    /// The device was handed over, and the kernel could not talk to it.
    #[error("the device was handed over, but does not answer the kernel; see `dmesg`")]
    NotEnumerated,
    /// The exporter's kernel gave up on the device.
    #[error(
        "the exporter's kernel cannot reset the device at {0} (usbip_status 3); unplug it and plug it in again"
    )]
    Broken(BusId),
    /// The system refused something else.
    #[error("{what}: {source}")]
    System {
        /// What was tried, and on what.
        what: String,
        /// What the system says.
        source: io::Error,
    },
}

impl UsbError {
    pub(super) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    /// Whether the device went away while it was worked with: the files that stand for it are gone.
    pub(super) fn is_vanished(&self) -> bool {
        let Self::System { source, .. } = self else { return false };
        source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(nix::libc::ENODEV)
    }
}
