//! USB devices over a network by the kernel's own USB/IP drivers: the exporter's side lends devices, the agent's side
//! attaches them. User space exchanges one request and one reply (`wire`) and hands the socket to the kernel, by files in
//! `/sys`; the devices' traffic never passes through here, except where `kernel_socket` carries an encrypted stream.

mod attachment;
mod busid;
mod claim;
mod device;
mod error;
mod refresh;
mod server;
mod socket;
mod sysfs;
mod vhci;
pub mod wire;

pub use attachment::{Attachment, Connect, State};
pub use busid::{BusId, BusIdError};
pub use device::{Device, Status};
pub use error::UsbError;
pub use refresh::{Heard, uevent};
pub use server::Server;
pub use socket::kernel_socket;
pub use sysfs::Sysfs;
pub use vhci::{PortStatus, Vhci};
