//! A TCP port of another node, here: every connection to a local listener becomes a stream of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use nave_link::address::NodeTarget;
use nave_link::dial::{self, DialError, RelayedStream};
use nave_link::inner::{self, InnerError};
use nave_link::key::PublicKey;
use nave_link::pipe::{self, Counts, Pipe};
use nave_link::protocol::{StreamCheck, StreamCut, StreamOpen, StreamOpened, StreamReport};
use nave_link::random::Random;
use nave_link::rpc::{CallError, Peer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attach::{Attached, attach};
use super::folder::{FolderError, NodeFolder};
use super::peers::{PeerChanged, PeerCheck, Peers};
use super::runtime::{Happening, RunError};

/// How long the hub and the other node may take to agree to a stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a direct address of the other node may take to answer.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a stream that does not pass the hub tells it how far it has come.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Why a port cannot be forwarded, or one connection not carried.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// This machine's node cannot be used.
    #[error(transparent)]
    Node(#[from] RunError),
    /// The hub or the other node said no.
    #[error("{target}: {source}")]
    Refused {
        /// What was asked for.
        target: NodeTarget,
        /// Their words.
        source: CallError,
    },
    /// The other node's key is not the known one.
    #[error(transparent)]
    PeerChanged(#[from] PeerChanged),
    /// The other node's key is not the one that was demanded.
    #[error("{name} has the key {seen}, not {expected} as --peer-key demands: nothing was sent to it")]
    PeerKey {
        /// The other node.
        name: String,
        /// What the hub says.
        seen: PublicKey,
        /// What was demanded.
        expected: PublicKey,
    },
    /// No path to the other node worked.
    #[error("no path leads to {name}: {problems}")]
    NoPath {
        /// The other node.
        name: String,
        /// What happened on each path.
        problems: String,
    },
}

impl From<FolderError> for ForwardError {
    fn from(error: FolderError) -> Self {
        Self::Node(error.into())
    }
}

#[derive(Debug, thiserror::Error)]
enum PathError {
    #[error("through the hub: {0}")]
    Hub(#[from] DialError),
    #[error("directly to {0}: {1}")]
    Direct(SocketAddr, std::io::Error),
    #[error("{0}")]
    Inner(#[from] InnerError),
}

/// A stream to the other node, on the path that came first.
enum Path {
    Relayed(Box<TlsStream<RelayedStream>>),
    Direct(Box<TlsStream<TcpStream>>),
}

/// Carries connections to one target on another node.
pub struct Forward {
    attached: Attached,
    target: NodeTarget,
    peer_key: Option<PublicKey>,
    peers: Peers,
    streams: Streams,
}

type Streams = Arc<Mutex<HashMap<String, CancellationToken>>>;

impl Forward {
    /// Asks the hub and the other node whether they allow it. `peer_key` is the key that the other node must have;
    /// without it, the key known from an earlier meeting.
    pub async fn prepare(
        folder: NodeFolder,
        target: NodeTarget,
        peer_key: Option<PublicKey>,
        random: Random,
        happen: impl Fn(Happening) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Result<Self, ForwardError> {
        let peers = Peers::open(&folder)?;
        let streams = Streams::default();
        let cuts = Arc::clone(&streams);
        let on_cut = move |cut: &StreamCut| {
            if let Some(cut) = cuts.lock().unwrap_or_else(PoisonError::into_inner).remove(&cut.stream) {
                cut.cancel();
            }
        };
        let attached = attach(folder, random, stop, on_cut, happen)?;
        let forward = Self { attached, target, peer_key, peers, streams };
        let check = StreamCheck { node: forward.target.node.clone(), target: forward.target.target.clone() };
        let checked = forward.attached.link().await?.call(&check, OPEN_TIMEOUT).await;
        forward.check_key(checked.map_err(|source| forward.refused(source))?.peer_key)?;
        Ok(forward)
    }

    /// Carries every connection to `listener` until `stop` is cancelled; `failed` hears why one was not carried.
    pub async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        stop: CancellationToken,
        failed: impl Fn(&ForwardError) + Send + Sync + 'static,
    ) {
        let failed = Arc::new(failed);
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let Ok((mut io, _)) = accepted else {
                // Out of descriptors, most likely: let some connections end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (forward, failed, stop) = (Arc::clone(&self), Arc::clone(&failed), stop.clone());
            tasks.spawn(async move {
                let opened = tokio::select! {
                    opened = forward.open() => opened,
                    () = stop.cancelled() => return,
                };
                match opened {
                    Ok((stream, path, link)) => forward.carry(io, &stream, path, &link, &stop).await,
                    Err(error) => {
                        io.abort();
                        failed(&error);
                    }
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn open(&self) -> Result<(String, Path, Peer), ForwardError> {
        let open = StreamOpen { node: self.target.node.clone(), target: self.target.target.clone() };
        let link = self.attached.link().await?;
        let opened = link.call(&open, OPEN_TIMEOUT).await.map_err(|source| self.refused(source))?;
        self.check_key(opened.peer_key)?;
        let path = self.fastest_path(&opened).await?;
        Ok((opened.stream, path, link))
    }

    /// Tries the way through the hub and every direct address at once; the first that stands wins.
    async fn fastest_path(&self, opened: &StreamOpened) -> Result<Path, ForwardError> {
        let known = self.attached.known();
        let mut paths = FuturesUnordered::new();
        for address in std::iter::once(None).chain(opened.direct.iter().copied().map(Some)) {
            paths.push(async move {
                let Some(address) = address else {
                    let relayed = dial::stream(known, &opened.ticket).await?;
                    let io = inner::connect(relayed, &known.key, opened.peer_key, &opened.stream).await?;
                    return Ok::<_, PathError>(Path::Relayed(Box::new(io)));
                };
                let connect = tokio::time::timeout(DIRECT_TIMEOUT, TcpStream::connect(address));
                let io = connect.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
                let io = io.map_err(|error| PathError::Direct(address, error))?;
                io.set_nodelay(true).map_err(|error| PathError::Direct(address, error))?;
                let io = inner::connect(io, &known.key, opened.peer_key, &opened.stream).await?;
                Ok(Path::Direct(Box::new(io)))
            });
        }
        let mut problems = Vec::new();
        while let Some(path) = paths.next().await {
            match path {
                Ok(path) => return Ok(path),
                Err(problem) => problems.push(problem.to_string()),
            }
        }
        Err(ForwardError::NoPath { name: self.target.node.clone(), problems: problems.join("; ") })
    }

    async fn carry(&self, io: TcpStream, stream: &str, path: Path, link: &Peer, stop: &CancellationToken) {
        // As in `connect_target`: a socket that cannot be told so still works.
        let _ = io.set_nodelay(true);
        let (cut, counts) = (stop.child_token(), Arc::new(Counts::default()));
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.to_owned(), cut.clone());
        let end = match path {
            Path::Relayed(path) => pipe::join(io, *path, Arc::clone(&counts), &cut).await,
            Path::Direct(path) => {
                let join = pipe::join(io, *path, Arc::clone(&counts), &cut);
                tokio::pin!(join);
                let mut tick = tokio::time::interval(REPORT_EVERY);
                loop {
                    tokio::select! {
                        end = &mut join => break end,
                        _ = tick.tick() => report(link, stream, &counts, false).await,
                    }
                }
            }
        };
        report(link, stream, &counts, true).await;
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
        tracing::debug!(stream, ?end, "the stream ended");
    }

    fn check_key(&self, seen: PublicKey) -> Result<(), ForwardError> {
        let name = &self.target.node;
        match self.peer_key {
            Some(expected) if expected != seen => {
                Err(ForwardError::PeerKey { name: name.clone(), seen, expected })
            }
            Some(expected) => Ok(self.peers.vouch(name, expected)?),
            None => self.peers.check(name, seen).map_err(|error| match error {
                PeerCheck::Changed(changed) => changed.into(),
                PeerCheck::Folder(error) => error.into(),
            }),
        }
    }

    fn refused(&self, source: CallError) -> ForwardError {
        ForwardError::Refused { target: self.target.clone(), source }
    }
}

/// A report that does not arrive only makes a list less exact.
async fn report(link: &Peer, stream: &str, counts: &Counts, ended: bool) {
    let report = StreamReport {
        stream: stream.to_owned(),
        sent: counts.forth.load(Ordering::Relaxed),
        received: counts.back.load(Ordering::Relaxed),
        ended,
    };
    let _ = link.notify(&report).await;
}
