//! Both halves in one program, without a hub between them: over TCP, and as encrypted connections are carried.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use futures::FutureExt as _;
use nave_boards::node::usb::{
    Attachment, Connect, Device, Heard, PortStatus, Server, State, Sysfs, Vhci, kernel_socket, uevent,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::board::{self, DEVPATH, PORT};

/// The emulated processor is slow, and the kernel waits for devices as if they were real.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Carried {
    /// The kernels speak TCP to each other.
    Directly,
    /// The kernels speak to this program, which carries the bytes.
    ByUs,
}

fn socket(stream: TcpStream, carried: Carried) -> io::Result<OwnedFd> {
    match carried {
        Carried::Directly => Ok(stream.into_std()?.into()),
        Carried::ByUs => kernel_socket(stream),
    }
}

/// An exporter of the board.
struct Exporter {
    server: Arc<Server>,
    address: SocketAddr,
    accepting: JoinHandle<io::Result<()>>,
    serving: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Exporter {
    async fn start(carried: Carried) -> anyhow::Result<Self> {
        let server = Arc::new(Server::start([Device::new(Sysfs::system(), PORT.parse()?)]).await?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let accepting = tokio::spawn({
            let (server, serving) = (Arc::clone(&server), Arc::clone(&serving));
            async move {
                loop {
                    let (stream, _) = listener.accept().await?;
                    let (server, socket) = (Arc::clone(&server), socket(stream, carried)?);
                    let task = tokio::spawn(async move {
                        if let Err(why) = server.serve(socket).await {
                            say(&format!("the exporter: {why}"));
                        }
                    });
                    serving.lock().unwrap().push(task);
                }
            }
        });
        Ok(Self { server, address, accepting, serving })
    }

    /// What an exporter does when a lease ends.
    async fn cut_all(&self) {
        let tasks = std::mem::take(&mut *self.serving.lock().unwrap());
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.accepting.abort();
        self.cut_all().await;
        Ok(self.server.restore().await?)
    }

    fn connect(&self, carried: Carried) -> Arc<Connect> {
        let address = self.address;
        Arc::new(move || async move { socket(TcpStream::connect(address).await?, carried) }.boxed())
    }

    fn attach(&self, port_num: u32, carried: Carried) -> anyhow::Result<Attachment> {
        Ok(Attachment::start(Sysfs::system(), PORT.parse()?, port_num, self.connect(carried)))
    }
}

fn say(text: &str) {
    tracing::info!("{text}");
}

async fn attached(attachment: &Attachment) -> anyhow::Result<String> {
    attachment.attached_within(PATIENCE).await.map_err(|why| anyhow!("not attached: {why}"))
}

async fn lost(attachment: &Attachment) -> anyhow::Result<()> {
    let mut state = attachment.state();
    let gone = state.wait_for(|state| !matches!(state, State::Attached { .. }));
    tokio::time::timeout(PATIENCE, gone).await??;
    Ok(())
}

pub async fn scenario() -> anyhow::Result<()> {
    board::build().await?;
    board::has_driver("usb").await?;
    for carried in [Carried::Directly, Carried::ByUs] {
        say(&format!("--- {carried:?}"));
        let exporter = Exporter::start(carried).await?;
        used(&exporter, carried).await?;
        taken_away(&exporter, carried).await?;
        exporter.stop().await?;
        board::has_driver("usb").await?;
    }
    refused().await
}

/// Attached, used, unplugged, plugged in, detached.
async fn used(exporter: &Exporter, carried: Carried) -> anyhow::Result<()> {
    let attachment = exporter.attach(0, carried)?;
    let busid = attached(&attachment).await?;
    ensure!(Vhci::open(&Sysfs::system()).await?.busids(0)?.contains(&busid), "it came as {busid}");
    board::read_disk(&busid).await?;
    board::talk(&busid).await?;
    say("attached and used");

    board::unplug()?;
    lost(&attachment).await?;
    board::plug_in()?;
    ensure!(uevent(&Sysfs::system(), DEVPATH).await? == Heard::Exporter, "nobody heard of the event");
    let busid = attached(&attachment).await?;
    board::read_disk(&busid).await?;
    say("unplugged and plugged in");

    attachment.detach().await;
    ensure!(Vhci::open(&Sysfs::system()).await?.status(0)? == PortStatus::Free, "it is still attached");
    Ok(())
}

/// The lease ends while the device is in use; then the next has it.
async fn taken_away(exporter: &Exporter, carried: Carried) -> anyhow::Result<()> {
    let attachment = exporter.attach(1, carried)?;
    attached(&attachment).await?;
    // The second import request waits for its turn by now, and must not get one.
    exporter.cut_all().await;
    lost(&attachment).await?;
    attached(&attachment).await?;
    say("taken away and given back");
    attachment.detach().await;
    Ok(())
}

/// What cannot work is said at once.
async fn refused() -> anyhow::Result<()> {
    let exporter = Exporter::start(Carried::Directly).await?;
    let far = exporter.attach(5000, Carried::Directly)?;
    let why = far.attached_within(PATIENCE).await.unwrap_err();
    assert_eq!(why, "Configured port_num is out of range. Expected max 119, got 5000");
    far.detach().await;

    // No such device at the exporter.
    let wrong = Attachment::start(Sysfs::system(), "1-9".parse()?, 0, exporter.connect(Carried::Directly));
    let told = wrong.state().wait_for(|state| matches!(state, State::Failed { .. })).await?.clone();
    let State::Failed { why, is_final: false } = told else { bail!("{told:?}") };
    ensure!(why.starts_with("the exporter closed the connection"), "{why}");
    wrong.detach().await;
    exporter.stop().await
}
