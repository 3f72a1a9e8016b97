//! The agent's side: keeps a device of an exporter attached to a port of this machine, through unplugging, lost
//! connections and exporters that come back.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::busid::BusId;
use super::claim::Claim;
use super::error::UsbError;
use super::socket::Socket;
use super::sysfs::{self, Sysfs};
use super::vhci::{PortStatus, Vhci};
use super::wire::{ImportReply, ImportRequest, Speed};

/// Opens a connection to the exporter's USB/IP server: a connected stream socket, TCP or Unix (see
/// [`super::kernel_socket`]), on which USB/IP comes next in both directions.
pub type Connect = dyn Fn() -> BoxFuture<'static, io::Result<OwnedFd>> + Send + Sync;

/// How long the exporter may be silent before the kernel asks whether it lives; longer than the exporter's own, so that
/// not both ask at once.
const IDLE: Duration = Duration::from_secs(7);
/// The first and the longest pause before another try, and likewise how long a try may take.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// How often the port is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long the kernel may take to free a port: longer than it waits for an answer of a device that is gone.
const FREEING: Duration = Duration::from_secs(8);
/// How long the kernel may take to get to know a device; some need a second try.
const ENUMERATING: Duration = Duration::from_secs(12);

/// How an attachment is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The exporter is asked for the device, and has not answered.
    Waiting,
    /// The device can be used; this kernel calls it so.
    Attached {
        /// As in `/sys/bus/usb/devices`.
        busid: String,
    },
    /// The last try failed; unless it is final, another follows.
    Failed {
        /// What happened and what to do, for people.
        why: String,
        /// Whether trying again would not help before something is changed on this machine.
        is_final: bool,
    },
}

/// A device that is kept attached; dropping it detaches it.
#[derive(Debug)]
pub struct Attachment {
    state: watch::Receiver<State>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// What the task works with.
struct Keeper {
    sysfs: Sysfs,
    busid: BusId,
    port_num: u32,
    connect: Arc<Connect>,
    state: watch::Sender<State>,
}

impl Attachment {
    /// Begins to attach the device on the exporter's port `busid` to this machine's port `port_num`.
    pub fn start(sysfs: Sysfs, busid: BusId, port_num: u32, connect: Arc<Connect>) -> Self {
        let (sender, state) = watch::channel(State::Waiting);
        let stop = CancellationToken::new();
        let keeper = Keeper { sysfs, busid, port_num, connect, state: sender };
        let task = tokio::spawn({
            let stop = stop.clone();
            async move {
                let mut claim = None;
                stop.run_until_cancelled(keeper.keep(&mut claim)).await;
                if let Some(claim) = claim {
                    detach(claim).await;
                }
            }
        });
        Self { state, stop, task: Some(task) }
    }

    /// How it is doing, now and later.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Waits until the device is attached and gives its name.
    ///
    /// # Errors
    ///
    /// The reason for people, as far as it is known, when it did not come within `patience` or cannot come at all. It is
    /// still tried then.
    pub async fn attached_within(&self, patience: Duration) -> Result<String, String> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| match state {
            State::Attached { .. } => true,
            State::Failed { is_final, .. } => *is_final,
            State::Waiting => false,
        });
        let reached = match timeout(patience, settled).await {
            Ok(settled) => settled.map_or(State::Waiting, |state| state.clone()),
            Err(_) => self.state.borrow().clone(),
        };
        match reached {
            State::Attached { busid } => Ok(busid),
            State::Failed { why, .. } => Err(why),
            State::Waiting => Err(NOT_YET.to_owned()),
        }
    }

    /// Detaches the device and returns when the port is free.
    pub async fn detach(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(why) = task.await
        {
            tracing::warn!("the task of a USB attachment did not end well: {why}");
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What is said while the exporter does not answer.
const NOT_YET: &str =
    "the exporter has not handed the USB device over yet; is it plugged in and switched on?";

impl Keeper {
    async fn keep(self, claim: &mut Option<Claim>) {
        let mut pause = SHORTEST;
        loop {
            match self.attach(claim).await {
                Ok(()) => pause = SHORTEST,
                Err(why) => {
                    tracing::warn!("USB device {} for port {}: {why}", self.busid, self.port_num);
                    self.failed(&why);
                    self.watching(claim.as_mut(), sleep(pause)).await;
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    }

    /// Asks for the device and attaches it. What was attached before may still be there and in use: then the exporter
    /// answers when the device comes back after it was unplugged.
    async fn attach(&self, claim: &mut Option<Claim>) -> Result<(), UsbError> {
        let vhci = Vhci::open(&self.sysfs).await?;
        // Whatever its speed will be.
        vhci.port(self.port_num, Speed::High)?;
        let (socket, device) = if claim.is_some() {
            self.watching(claim.as_mut(), self.import()).await?
        } else {
            self.first_import().await?
        };
        let port = vhci.port(self.port_num, device.speed)?;
        let mut claimed = match claim.take_if(|claim| claim.port() == port) {
            Some(claimed) => claimed,
            None => Claim::new(vhci, port)?,
        };
        free(&mut claimed).await?;
        if let Some(moment) = claimed.free_from() {
            sleep_until(moment).await;
        }
        let (claimed, attached) = sysfs::in_thread(move || {
            let attached = claimed.attach_now(&socket, &device);
            (claimed, attached)
        })
        .await?;
        let claimed = claim.insert(claimed);
        attached?;
        self.enumerated(claimed).await
    }

    /// Asks for a device that was not attached yet. The exporter may still think that an importer has it who is gone: so
    /// it is asked anew, more and more patiently.
    async fn first_import(&self) -> Result<(OwnedFd, ImportReply), UsbError> {
        let mut patience = SHORTEST;
        loop {
            match timeout(patience, self.import()).await {
                Ok(imported) => return imported,
                Err(_) => self.say(State::Failed { why: NOT_YET.to_owned(), is_final: false }),
            }
            patience = (patience * 2).min(LONGEST);
        }
    }

    /// Asks the exporter for the device, and waits until it hands it over.
    async fn import(&self) -> Result<(OwnedFd, ImportReply), UsbError> {
        let socket = (self.connect)().await.map_err(UsbError::Connect)?;
        let socket = Socket::new(socket, IDLE).map_err(UsbError::system("preparing the connection"))?;
        let request = ImportRequest { busid: self.busid.clone() };
        socket.write(&request.encode()).await.map_err(UsbError::Connect)?;
        let reply = socket.read().await.map_err(UsbError::Connect)?.ok_or(UsbError::Closed)?;
        let device = ImportReply::decode(&reply)?;
        if device.busid != self.busid {
            return Err(UsbError::AnotherDevice { wanted: self.busid.clone(), got: device.busid });
        }
        let socket = socket.duplicate().map_err(UsbError::system("handing the connection to the kernel"))?;
        Ok((socket, device))
    }

    /// Waits until the kernel knows the device, or has lost it already.
    async fn enumerated(&self, claim: &mut Claim) -> Result<(), UsbError> {
        let deadline = Instant::now() + ENUMERATING;
        loop {
            match claim.look()? {
                PortStatus::Attached(busid) => {
                    tracing::info!("USB device {} of the exporter is attached as {busid}", self.busid);
                    self.say(State::Attached { busid });
                    return Ok(());
                }
                // Unplugged again, or the connection broke.
                PortStatus::Free => {
                    self.say(State::Waiting);
                    return Ok(());
                }
                PortStatus::Connecting if Instant::now() < deadline => sleep(LOOK).await,
                PortStatus::Connecting | PortStatus::Broken => {
                    claim.detach_now();
                    return Err(UsbError::NotEnumerated);
                }
            }
        }
    }

    /// Does something, and meanwhile says whether the device is there.
    async fn watching<T>(&self, claim: Option<&mut Claim>, work: impl Future<Output = T>) -> T {
        let Some(claim) = claim else { return work.await };
        let watch = async {
            loop {
                match claim.look() {
                    Ok(PortStatus::Attached(busid)) => self.say(State::Attached { busid }),
                    _ if self.is_attached() => self.say(State::Waiting),
                    _ => {}
                }
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            done = work => done,
            never = watch => never,
        }
    }

    fn is_attached(&self) -> bool {
        matches!(*self.state.borrow(), State::Attached { .. })
    }

    fn failed(&self, why: &UsbError) {
        // As long as the device is there, its next hand-over is nobody's trouble.
        if !self.is_attached() {
            let is_final = matches!(
                why,
                UsbError::Module { .. }
                    | UsbError::NotRoot { .. }
                    | UsbError::PortOutOfRange { .. }
                    | UsbError::PortInUse { .. }
            );
            self.say(State::Failed { why: why.to_string(), is_final });
        }
    }

    fn say(&self, new: State) {
        self.state.send_if_modified(|state| {
            let changed = *state != new;
            *state = new;
            changed
        });
    }
}

/// Waits until a port is free. What is still on it and ours goes: a new connection is here to take its place.
async fn free(claim: &mut Claim) -> Result<(), UsbError> {
    let deadline = Instant::now() + FREEING;
    loop {
        let status = claim.look()?;
        if status == PortStatus::Free && !claim.lingers() {
            return Ok(());
        }
        if !claim.is_ours() || Instant::now() >= deadline {
            let PortStatus::Attached(busid) = status else {
                return Err(UsbError::PortInUse { port: claim.port(), by: None });
            };
            return Err(UsbError::PortInUse { port: claim.port(), by: Some(busid) });
        }
        if status != PortStatus::Free {
            claim.detach_now();
        }
        sleep(LOOK).await;
    }
}

/// Detaches what is on a port and gives it back.
async fn detach(mut claim: Claim) {
    if claim.is_ours()
        && let Err(why) = free(&mut claim).await
    {
        tracing::warn!("{why}");
    }
}
