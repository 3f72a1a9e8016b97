//! What an agent needs of a machine to attach USB devices, and the kernel's virtual host controller as that.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::either::Either;

use super::farm::Wire;
use crate::node::usb::{self, BusId, State, Sysfs, Vhci, kernel_socket};

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
        patience: Duration,
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

/// The kernel's virtual USB host controller, `vhci_hcd`.
#[derive(Clone, Debug)]
pub struct KernelUsb(Sysfs);

impl KernelUsb {
    /// The one that these files lead to.
    pub fn new(sysfs: Sysfs) -> Self {
        Self(sysfs)
    }
}

impl UsbPorts for KernelUsb {
    fn attach(
        &self,
        usbid: String,
        port_num: u32,
        connect: Connect,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Box<dyn AttachedUsb>, String>> {
        let sysfs = self.0.clone();
        async move {
            let busid: BusId = usbid.parse().map_err(|error: usb::BusIdError| error.to_string())?;
            let connect: Arc<usb::Connect> = Arc::new(move || {
                let connected = connect();
                async move { socket(connected.await?) }.boxed()
            });
            let attachment = usb::Attachment::start(sysfs, busid, port_num, connect);
            match attachment.attached_within(patience).await {
                Ok(_) => Ok(Box::new(attachment) as Box<dyn AttachedUsb>),
                Err(why) => {
                    attachment.detach().await;
                    Err(why)
                }
            }
        }
        .boxed()
    }

    fn port(&self, port_num: u32) -> String {
        let busids = Vhci::find(&self.0).ok().flatten().and_then(|vhci| vhci.busids(port_num).ok());
        busids.map_or_else(|| port_num.to_string(), |busids| busids.join("/"))
    }
}

impl AttachedUsb for usb::Attachment {
    fn port(&self) -> Option<String> {
        match &*self.state().borrow() {
            State::Attached { busid } => Some(busid.clone()),
            State::Waiting | State::Failed { .. } => None,
        }
    }

    fn detach(self: Box<Self>) -> BoxFuture<'static, ()> {
        usb::Attachment::detach(*self).boxed()
    }
}

/// What the kernel is given of a connection.
fn socket(wire: Wire) -> io::Result<OwnedFd> {
    match wire {
        Either::Left(tcp) => Ok(tcp.into_std()?.into()),
        Either::Right(stream) => kernel_socket(stream),
    }
}
