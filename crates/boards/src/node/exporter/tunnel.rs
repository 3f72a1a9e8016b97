//! One connection to an exporter: what it asks for is looked at, the target is connected to, and only then is it told that
//! bytes pass.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use nave_core::clock::Clock;
use nave_link::pipe::{self, Counts};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Refusal};
use super::head::Head;
use super::listen::Shared;
use crate::api::Part;
use crate::node::dialect::connect::USB;

/// How long a connection may take to say what it wants.
const ASKING: Duration = Duration::from_secs(30);
/// How long a target may take to answer. An agent waits for longer.
const DIALLING: Duration = Duration::from_secs(5);
/// How long a refusal may take to be read, and how much of what came instead is passed over.
const REFUSING: Duration = Duration::from_secs(2);
const PASSED_OVER: u64 = 1 << 20;
/// How much is read of a head at once, in bytes.
const PIECE: usize = 8 << 10;

/// What can be asked for, as it must be written: host and port of an interface, byte by byte.
#[derive(Debug)]
pub(super) struct Targets(HashMap<String, (String, u16)>);

impl Targets {
    pub(super) fn of(parts: &[Part]) -> Self {
        let interfaces = parts.iter().flat_map(|part| part.tcp.values());
        let targets = interfaces.filter_map(|interface| {
            let port = u16::try_from(interface.port).ok()?;
            Some((format!("{}:{port}", interface.host), (interface.host.clone(), port)))
        });
        Self(targets.collect())
    }
}

/// A request that was understood, and what came after it.
struct Asked {
    target: String,
    early: Vec<u8>,
}

/// Serves a connection until it ends or is cut.
pub(super) async fn run(shared: &Shared, mut io: TcpStream, address: IpAddr, cut: &CancellationToken) {
    let asked = async {
        let Ok(waiting) = Arc::clone(&shared.waiting).try_acquire_owned() else {
            return Some(Err(Refusal::busy()));
        };
        let asked = tokio::time::timeout(ASKING, ask(&mut io)).await.unwrap_or(None);
        drop(waiting);
        asked
    };
    let Some(Some(asked)) = cut.run_until_cancelled(asked).await else { return };
    let opened = match asked {
        Err(refusal) => Err(refusal),
        Ok(Asked { target, early }) if target == USB => {
            if early.is_empty() {
                return usb(shared, io, address, cut).await;
            }
            Err(Refusal::bad_request("USB/IP implementation cannot handle trailing data"))
        }
        Ok(asked) => match cut.run_until_cancelled(dial(shared, &asked)).await {
            None => return,
            Some(opened) => opened.map(|far| (far, asked)),
        },
    };
    match opened {
        Err(refusal) => {
            tracing::info!(%address, status = refusal.status, why = refusal.text.trim_end(), "a connection was refused");
            cut.run_until_cancelled(refuse(io, &refusal, &shared.clock)).await;
        }
        Ok((far, asked)) => {
            tracing::info!(%address, target = asked.target, "a tunnel is open");
            carry(shared, io, far, cut).await;
            tracing::info!(%address, target = asked.target, "a tunnel has ended");
        }
    }
}

/// Reads what is asked for; `None` when the connection ended first.
async fn ask(io: &mut TcpStream) -> Option<Result<Asked, Refusal>> {
    let mut bytes = Vec::with_capacity(PIECE);
    loop {
        match Head::parse(&bytes) {
            Err(refusal) => return Some(Err(refusal)),
            Ok(Some(head)) if head.method != "CONNECT" => return Some(Err(Refusal::method())),
            Ok(Some(head)) => {
                let early = bytes.split_off(head.length);
                return Some(Ok(Asked { target: head.target, early }));
            }
            Ok(None) => {}
        }
        let mut piece = io.take(PIECE as u64);
        match piece.read_buf(&mut bytes).await {
            Ok(0) if bytes.is_empty() => return None,
            Ok(0) => return Some(Err(Refusal::bad_request("peer unexpectedly closed connection"))),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// Connects to a target.
async fn dial(shared: &Shared, asked: &Asked) -> Result<TcpStream, Refusal> {
    let (host, port) = shared.targets.0.get(&asked.target).ok_or_else(Refusal::target)?;
    let connect = async {
        let mut far = TcpStream::connect((host.as_str(), *port)).await?;
        far.set_nodelay(true)?;
        far.write_all(&asked.early).await?;
        Ok(far)
    };
    match tokio::time::timeout(DIALLING, connect).await {
        Ok(Ok(far)) => Ok(far),
        Ok(Err(error)) => {
            let error: std::io::Error = error;
            Err(Refusal::unreachable(&asked.target, &error.to_string()))
        }
        Err(_) => {
            let why = format!("no answer within {} s", DIALLING.as_secs());
            Err(Refusal::unreachable(&asked.target, &why))
        }
    }
}

/// Carries bytes between the two until both have ended.
async fn carry(shared: &Shared, mut io: TcpStream, far: TcpStream, cut: &CancellationToken) {
    let said = async {
        io.set_nodelay(true)?;
        keep_alive(&io)?;
        io.write_all(&answer::open(&shared.clock)).await
    };
    if let Some(Ok(())) = cut.run_until_cancelled(said).await {
        pipe::join(io, far, Arc::new(Counts::default()), cut).await;
    }
}

/// Has the system ask whether a silent agent is still there, so that one that was switched off does not hold a target.
fn keep_alive(io: &TcpStream) -> std::io::Result<()> {
    setsockopt(io, sockopt::KeepAlive, &true)?;
    setsockopt(io, sockopt::TcpKeepIdle, &30)?;
    setsockopt(io, sockopt::TcpKeepInterval, &10)?;
    setsockopt(io, sockopt::TcpKeepCount, &3)?;
    Ok(())
}

/// Hands a connection to the USB/IP server, which is a part of the exporter.
async fn usb(shared: &Shared, mut io: TcpStream, address: IpAddr, cut: &CancellationToken) {
    let serve = async {
        io.write_all(&answer::open(&shared.clock)).await?;
        let socket = OwnedFd::from(io.into_std()?);
        if let Err(error) = shared.usb.serve(socket).await {
            tracing::warn!(%address, %error, "a USB device was not exported");
        }
        std::io::Result::Ok(())
    };
    cut.run_until_cancelled(serve).await;
}

/// Tells a refusal, and waits until it can have been read: to end a connection with bytes unread is a reset, which
/// overtakes the words.
pub(super) async fn refuse(mut io: TcpStream, refusal: &Refusal, clock: &Clock) {
    let tell = async {
        io.write_all(&refusal.bytes(clock)).await?;
        io.shutdown().await?;
        tokio::io::copy(&mut io.take(PASSED_OVER), &mut tokio::io::sink()).await
    };
    // Whoever does not listen is not told.
    let _ = tokio::time::timeout(REFUSING, tell).await;
}
