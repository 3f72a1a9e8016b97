//! Streams that end on this node: the target is connected first, then whichever path the other node's bytes
//! take is joined to it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nave_link::address::Target;
use nave_link::dial::{self, Known};
use nave_link::inner::{self, InnerError};
use nave_link::key::{PublicKey, SecretKey};
use nave_link::pipe::{self, Counts, Pipe};
use nave_link::protocol::{StreamAccepted, StreamOffer, TargetAllowed};
use nave_link::rpc::RpcError;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::allow::AllowRule;
use super::peers::Peers;

/// How long a target may take to accept a connection.
const TARGET_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other node may take to come, on whichever path.
const MEETING_TIMEOUT: Duration = Duration::from_secs(30);
/// The most streams that this node carries at once.
const MAX_STREAMS: usize = 1024;
/// The most direct connections that have not yet proved themselves.
const MAX_STRANGERS: usize = 64;

/// What a command on this machine lets others open for as long as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// What they name.
    pub target: Target,
    /// The command's own socket, where the target is no TCP service but the command itself.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// Whether the hub itself may be the other end, and so read what passes.
    #[serde(default)]
    pub hub: bool,
}

/// Who is at the other end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// Another node: what the operator allows, and what commands lend, is open to it.
    Node,
    /// The hub itself: only what commands lend to it by name.
    Hub,
}

/// What a stream leads to.
type Service = Either<TcpStream, UnixStream>;

/// Streams offered to this node and those under way.
pub struct Offers {
    key: Arc<SecretKey>,
    allow: Vec<AllowRule>,
    peers: Peers,
    /// What commands on this machine let others open for as long as they run, by the command.
    lent: Mutex<HashMap<u64, Vec<Lent>>>,
    streams: Mutex<HashMap<String, Offered>>,
}

/// One stream: waiting for the other node while `target` is there, under way once it was taken.
struct Offered {
    to: Target,
    asker: Asker,
    peer_key: PublicKey,
    target: Option<Service>,
    cut: CancellationToken,
}

impl Offers {
    /// No streams yet.
    pub fn new(key: Arc<SecretKey>, allow: Vec<AllowRule>, peers: Peers) -> Arc<Self> {
        Arc::new(Self { key, allow, peers, lent: Mutex::default(), streams: Mutex::default() })
    }

    /// Whether the operator allows a target.
    pub(super) fn check(&self, target: &Target, asker: Asker) -> Result<TargetAllowed, RpcError> {
        if self.allows(target, asker) {
            return Ok(TargetAllowed {});
        }
        if asker == Asker::Hub {
            return Err(RpcError::refused(
                "not_allowed",
                format!("its own operator does not let the hub read {target}"),
            ));
        }
        Err(RpcError::refused(
            "not_allowed",
            format!(
                "its own operator does not allow {target}: to change that, run `nave node run --allow {target}` there (with everything else that it shall allow)"
            ),
        ))
    }

    fn allows(&self, target: &Target, asker: Asker) -> bool {
        let is_lent = self.lent_as(target, asker).is_some();
        is_lent || (asker == Asker::Node && self.allow.iter().any(|rule| rule.allows(target)))
    }

    async fn connect(&self, target: &Target, asker: Asker) -> Result<Service, RpcError> {
        let Some(Lent { socket: Some(path), .. }) = self.lent_as(target, asker) else {
            return connect_target(target).await.map(Either::Left);
        };
        UnixStream::connect(path).await.map(Either::Right).map_err(|error| {
            let words = format!("what offers {target} there does not answer: {error}");
            RpcError::refused("target_unreachable", words)
        })
    }

    fn lent_as(&self, target: &Target, asker: Asker) -> Option<Lent> {
        let fits = |lent: &&Lent| lent.target == *target && (asker == Asker::Node || lent.hub);
        self.lent().values().flatten().find(fits).cloned()
    }

    /// Lets others open these targets as long as a command says so, and nothing else that it said before. Streams to what
    /// nothing allows any more end.
    pub fn lend(&self, command: u64, targets: Vec<Lent>) {
        if targets.is_empty() {
            self.lent().remove(&command);
        } else {
            self.lent().insert(command, targets);
        }
        self.streams().retain(|_, offered| {
            let allowed = self.allows(&offered.to, offered.asker);
            if !allowed {
                offered.cut.cancel();
            }
            allowed
        });
    }

    fn lent(&self) -> MutexGuard<'_, HashMap<u64, Vec<Lent>>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an offer: connects the target and waits for the other node, through the hub and directly. `hub_keys` are the
    /// keys of the hub: one who shows one of them is the hub, whatever it is called, and no node.
    pub async fn take(
        self: Arc<Self>,
        offer: StreamOffer,
        known: Known,
        hub_keys: &[PublicKey],
    ) -> Result<StreamAccepted, RpcError> {
        let is_hub = offer.peer_key == known.hub || hub_keys.contains(&offer.peer_key);
        let asker = if is_hub { Asker::Hub } else { Asker::Node };
        self.check(&offer.target, asker)?;
        if asker == Asker::Node {
            self.peers
                .check(&offer.peer, offer.peer_key)
                .map_err(|error| RpcError::refused("peer_changed", error.to_string()))?;
        }
        if self.streams().len() >= MAX_STREAMS {
            return Err(RpcError::refused("busy", format!("it carries {MAX_STREAMS} streams already")));
        }
        let target = self.connect(&offer.target, asker).await?;
        let cut = CancellationToken::new();
        let offered = Offered {
            to: offer.target.clone(),
            asker,
            peer_key: offer.peer_key,
            target: Some(target),
            cut: cut.clone(),
        };
        self.streams().insert(offer.stream.clone(), offered);
        // It may have been taken back while the target was being connected.
        if let Err(error) = self.check(&offer.target, asker) {
            self.cut(&offer.stream);
            return Err(error);
        }
        tokio::spawn(async move {
            let meeting = self.meet_through_hub(&offer, &known);
            let met = tokio::select! {
                met = tokio::time::timeout(MEETING_TIMEOUT, meeting) => met.unwrap_or(false),
                () = cut.cancelled() => false,
            };
            if !met {
                self.forget_unless_taken(&offer.stream);
            }
        });
        Ok(StreamAccepted {})
    }

    /// Ends a stream, whatever state it is in.
    pub fn cut(&self, stream: &str) {
        if let Some(offered) = self.streams().remove(stream) {
            offered.cut.cancel();
        }
    }

    /// Ends all streams: this node may not serve any more.
    pub fn cut_all(&self) {
        for (_, offered) in self.streams().drain() {
            offered.cut.cancel();
        }
    }

    /// Serves nodes that come without the hub. Returns when `stop` is cancelled.
    pub async fn listen(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let strangers = Arc::new(tokio::sync::Semaphore::new(MAX_STRANGERS));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Ok((io, address)) = accepted else {
                // Out of descriptors, most likely: let some connections end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&strangers).try_acquire_owned() else { continue };
            let offers = Arc::clone(&self);
            tokio::spawn(async move {
                let _ = io.set_nodelay(true);
                let key = Arc::clone(&offers.key);
                match tokio::time::timeout(TARGET_TIMEOUT, inner::accept(io, &key)).await {
                    Ok(Ok((io, stream, peer))) => {
                        drop(place);
                        offers.join(io, &stream, peer).await;
                    }
                    Ok(Err(error)) => tracing::info!(%address, %error, "a direct connection was refused"),
                    Err(_) => tracing::info!(%address, "a direct connection did not prove itself in time"),
                }
            });
        }
    }

    async fn meet_through_hub(self: &Arc<Self>, offer: &StreamOffer, known: &Known) -> bool {
        let relayed = match dial::stream(known, &offer.ticket).await {
            Ok(relayed) => relayed,
            Err(error) => {
                tracing::info!(stream = offer.stream, %error, "the stream cannot run through the hub");
                return false;
            }
        };
        match inner::accept(relayed, &self.key).await {
            Ok((io, stream, peer)) if stream == offer.stream => {
                let offers = Arc::clone(self);
                tokio::spawn(async move { offers.join(io, &stream, peer).await });
                true
            }
            Ok(_) => false,
            Err(InnerError::Tls(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                tracing::debug!(stream = offer.stream, "the other node took another path");
                false
            }
            Err(error) => {
                tracing::warn!(stream = offer.stream, %error, "the other node was refused");
                false
            }
        }
    }

    /// Joins the other node's bytes to the target, if the stream was offered to that node and is not taken yet.
    async fn join<S: Pipe>(&self, mut io: tokio_rustls::TlsStream<S>, stream: &str, peer: PublicKey) {
        let taken = {
            let mut streams = self.streams();
            match streams.get_mut(stream) {
                Some(offered) if offered.peer_key == peer => {
                    offered.target.take().map(|target| (target, offered.cut.clone()))
                }
                _ => None,
            }
        };
        let Some((target, cut)) = taken else {
            tracing::debug!(stream, %peer, "no such stream waits for that node");
            return;
        };
        if inner::confirm(&mut io).await.is_ok() {
            let end = pipe::join(io, target, Arc::new(Counts::default()), &cut).await;
            tracing::debug!(stream, ?end, "the stream ended");
        }
        self.streams().remove(stream);
    }

    fn forget_unless_taken(&self, stream: &str) {
        let mut streams = self.streams();
        if streams.get(stream).is_some_and(|offered| offered.target.is_some()) {
            streams.remove(stream);
        }
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<String, Offered>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect_target(target: &Target) -> Result<TcpStream, RpcError> {
    let unreachable = |problem: String| {
        RpcError::refused(
            "target_unreachable",
            format!("it cannot connect to {target}: {problem}; check that the service runs there"),
        )
    };
    let connect = TcpStream::connect((target.host(), target.port()));
    let io = tokio::time::timeout(TARGET_TIMEOUT, connect)
        .await
        .map_err(|_| unreachable(format!("no answer within {} s", TARGET_TIMEOUT.as_secs())))?
        .map_err(|error| unreachable(error.to_string()))?;
    // Small writes should not wait for each other; a socket that cannot be told so still works.
    let _ = io.set_nodelay(true);
    Ok(io)
}
