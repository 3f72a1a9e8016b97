//! The exporter's USB/IP server: hands the devices of a place to importers, one importer to a device at a time, and
//! gives them back to their drivers at the end.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::busid::BusId;
use super::device::{Device, Status};
use super::error::UsbError;
use super::refresh::RefreshPipe;
use super::socket::Socket;
use super::sysfs;
use super::wire::ImportRequest;

/// How long a connection may say nothing before it says which device it wants.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);
/// How often a device is looked at while somebody waits for it or uses it: the kernel tells nobody when the last importer
/// has left, and not every machine has the hook that tells of devices that come.
const LOOK: Duration = Duration::from_millis(250);
/// How long an importer may be silent before the kernel asks whether it lives.
const IDLE: Duration = Duration::from_secs(5);

/// The USB devices of a place, for importers.
#[derive(Debug)]
pub struct Server {
    exports: BTreeMap<BusId, Arc<Export>>,
    _listening: DropGuard,
}

/// A device of the place.
#[derive(Debug)]
struct Export {
    device: Device,
    /// Held by the connection that uses the device or is the next to.
    turn: Arc<Mutex<()>>,
    news: Notify,
}

/// An export that the kernel carries out; dropping it ends it, and only then is it the next one's turn.
struct Running {
    export: Arc<Export>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Server {
    /// Takes over the devices of a place. What an exporter that was killed left exported is ended and given back to its
    /// driver first. A device that is not there yet is no error.
    ///
    /// # Errors
    ///
    /// When this is not root, or the pipes for news cannot be made.
    pub async fn start(devices: impl IntoIterator<Item = Device>) -> Result<Self, UsbError> {
        let listening = CancellationToken::new();
        let guard = listening.clone().drop_guard();
        let mut exports = BTreeMap::new();
        for device in devices {
            device.recover().await?;
            let pipe = RefreshPipe::make(device.sysfs(), device.busid())?;
            let busid = device.busid().clone();
            let export = Arc::new(Export { device, turn: Arc::default(), news: Notify::new() });
            tokio::spawn(listening.clone().run_until_cancelled_owned(listen(pipe, Arc::clone(&export))));
            exports.insert(busid, export);
        }
        Ok(Self { exports, _listening: guard })
    }

    /// Whether a device of this port is among them.
    pub fn has(&self, busid: &BusId) -> bool {
        self.exports.contains_key(busid)
    }

    /// Serves one connection, a connected stream socket (TCP, or a Unix socket such as [`super::kernel_socket`] makes)
    /// on which nothing was read beyond what was said before USB/IP. Returns when the importer has left or the device was
    /// unplugged. Dropping the future takes the device away from the importer.
    pub async fn serve(&self, socket: OwnedFd) -> Result<(), UsbError> {
        let socket =
            Socket::new(socket, IDLE).map_err(UsbError::system("preparing the importer's connection"))?;
        let request = tokio::time::timeout(REQUEST_PATIENCE, socket.read())
            .await
            .map_err(|_| UsbError::NoRequest(REQUEST_PATIENCE.as_secs()))?
            .map_err(UsbError::system("reading the import request"))?;
        let Some(request) = request else { return Ok(()) };
        let busid = ImportRequest::decode(&request)?.busid;
        let export = self.exports.get(&busid).ok_or_else(|| UsbError::NotExported(busid.clone()))?;

        // Whoever has the device now may have lost its importer without knowing.
        export.news.notify_waiters();
        tracing::info!("an importer asks for the USB device {busid}");
        let turn = tokio::select! {
            turn = export.take() => turn?,
            heard = socket.heard() => {
                if matches!(heard, Ok(true)) {
                    return Err(UsbError::UnexpectedData);
                }
                tracing::info!("the importer stopped waiting for the USB device {busid}");
                return Ok(());
            }
        };
        let device = export.device.clone();
        // Some of it waits for whoever else works with the device.
        let reply = sysfs::in_thread(move || device.describe()).await??;
        let running = Running { export: Arc::clone(export), turn: Some(turn) };
        let kernels = socket.duplicate().map_err(UsbError::system("handing the connection to the kernel"))?;
        // In one piece: if this future is dropped meanwhile, what was begun is ended when the thread is done.
        let running = sysfs::in_thread(move || {
            running.export.device.export_now(kernels.as_raw_fd())?;
            Ok::<_, UsbError>(running)
        });
        let running = running.await??;
        socket.write(&reply.encode()).await.map_err(UsbError::system("answering the importer"))?;
        // The kernel has its own copy; the connection must end when that does.
        drop(socket);
        tracing::info!("the USB device {busid} is exported");
        export.until_over(reply.devnum).await;
        tracing::info!("the USB device {busid} is no longer exported");
        drop(running);
        Ok(())
    }

    /// Gives every device back to its default driver. To be called when no future of [`Server::serve`] is left, which
    /// would take the device again.
    pub async fn restore(&self) -> Result<(), UsbError> {
        let mut first = Ok(());
        for export in self.exports.values() {
            if let Err(why) = export.device.restore().await {
                tracing::warn!("the USB device {} was not given back: {why}", export.device.busid());
                first = first.and(Err(why));
            }
        }
        first
    }
}

impl Export {
    /// Waits until the device is there, free, and bound to the driver that exports it.
    async fn take(&self) -> Result<OwnedMutexGuard<()>, UsbError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let mut told = false;
        loop {
            let news = self.news.notified();
            self.device.bind().await?;
            match self.device.status()? {
                Status::Available => return Ok(turn),
                Status::Broken if !told => {
                    told = true;
                    tracing::warn!("{}", UsbError::Broken(self.device.busid().clone()));
                }
                _ => {}
            }
            let _ = tokio::time::timeout(LOOK, news).await;
        }
    }

    /// Waits until the device is no longer exported, or is not the same any more.
    async fn until_over(&self, devnum: u32) {
        loop {
            let news = self.news.notified();
            let same = self.device.devnum() == Some(devnum);
            if !same || !matches!(self.device.status(), Ok(Status::Exported)) {
                return;
            }
            let _ = tokio::time::timeout(LOOK, news).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (export, turn) = (Arc::clone(&self.export), self.turn.take());
        let stop = move || {
            export.device.stop_export_now();
            export.news.notify_waiters();
            drop(turn);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(stop)),
            Err(_) => stop(),
        }
    }
}

/// Passes a pipe's news on to those who wait.
async fn listen(mut pipe: RefreshPipe, export: Arc<Export>) {
    while pipe.heard().await.is_ok() {
        export.news.notify_waiters();
    }
}
