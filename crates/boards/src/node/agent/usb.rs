//! What an agent needs of a machine to attach USB devices: the kernel's side is elsewhere.

use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::farm::Wire;

/// Opens a new connection to the exporter's USB/IP server, as often as it is called: a device that was unplugged is
/// imported anew.
pub type Connect = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Wire>> + Send + Sync>;

/// A machine that USB devices can be attached to.
pub trait UsbPorts: Send + Sync + 'static {
    /// Attaches a device and keeps it attached, whatever happens to the connection or the plug; done when it is there the
    /// first time. Whoever drops the future has attached nothing.
    fn attach(
        &self,
        usbid: String,
        port_num: u32,
        connect: Connect,
    ) -> BoxFuture<'static, Result<Box<dyn AttachedUsb>, String>>;

    /// Where a device on this port would appear, for people: `5-1/6-1`, a number for each speed.
    fn port(&self, port_num: u32) -> String;
}

/// A device that was attached. It is detached when dropped.
pub trait AttachedUsb: Send + Sync {
    /// Where it is now, as the kernel names it; `None` while it is unplugged.
    fn port(&self) -> Option<String>;

    /// Detaches it; done when the kernel has let go of it.
    fn detach(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// A machine without a virtual USB host controller.
#[derive(Clone, Copy, Debug)]
pub struct NoUsb;

impl UsbPorts for NoUsb {
    fn attach(
        &self,
        usbid: String,
        _: u32,
        _: Connect,
    ) -> BoxFuture<'static, Result<Box<dyn AttachedUsb>, String>> {
        Box::pin(async move { Err(format!("this agent cannot attach USB devices (wanted is {usbid})")) })
    }

    fn port(&self, port_num: u32) -> String {
        port_num.to_string()
    }
}
