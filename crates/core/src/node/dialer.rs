//! Streams that begin on this node: asked for at the hub, and carried by whichever path stands first.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use nave_link::address::NodeTarget;
use nave_link::dial::{self, DialError, Known, RelayedStream};
use nave_link::inner::{self, InnerError};
use nave_link::key::PublicKey;
use nave_link::pipe::{Counts, Pipe};
use nave_link::protocol::{StreamCheck, StreamCut, StreamOpen, StreamOpened, StreamReport};
use nave_link::random::Random;
use nave_link::rpc::{CallError, Peer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

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

/// Why a stream was not opened.
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

/// Opens streams from this node.
pub struct Dialer {
    attached: Attached,
    peers: Peers,
    cuts: Cuts,
}

/// What ends which stream.
type Cuts = Arc<Mutex<HashMap<String, CancellationToken>>>;

impl Dialer {
    /// For the node in `folder`; `happen` hears of its link if this process has to keep it itself.
    pub fn new(
        folder: NodeFolder,
        random: Random,
        happen: impl Fn(Happening) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Result<Self, ForwardError> {
        let peers = Peers::open(&folder)?;
        let cuts = Cuts::default();
        let own = Arc::clone(&cuts);
        let on_cut = move |cut: &StreamCut| {
            if let Some(cut) = own.lock().unwrap_or_else(PoisonError::into_inner).remove(&cut.stream) {
                cut.cancel();
            }
        };
        Ok(Self { attached: attach(folder, random, stop, on_cut, happen)?, peers, cuts })
    }

    /// The hub and the key to prove to it.
    pub fn known(&self) -> &Known {
        self.attached.known()
    }

    /// Asks the hub and the other node whether they allow a stream. `peer_key` is the key that the other node must have;
    /// without it, the key known from an earlier meeting.
    pub async fn check(&self, target: &NodeTarget, peer_key: Option<PublicKey>) -> Result<(), ForwardError> {
        let check = StreamCheck { node: target.node.clone(), target: target.target.clone() };
        let checked = self.attached.link().await?.call(&check, OPEN_TIMEOUT).await;
        self.check_key(target, checked.map_err(|source| refused(target, source))?.peer_key, peer_key)
    }

    /// Opens a stream; the other node has connected the target when this returns.
    pub async fn open(
        &self,
        target: &NodeTarget,
        peer_key: Option<PublicKey>,
    ) -> Result<OpenStream, ForwardError> {
        let open = StreamOpen { node: target.node.clone(), target: target.target.clone() };
        let link = self.attached.link().await?;
        let opened = link.call(&open, OPEN_TIMEOUT).await.map_err(|source| refused(target, source))?;
        self.check_key(target, opened.peer_key, peer_key)?;
        let path = self.fastest_path(target, &opened).await?;
        Ok(OpenStream::new(path, opened.stream, link, &self.cuts))
    }

    /// Tries the way through the hub and every direct address at once; the first that stands wins.
    async fn fastest_path(&self, target: &NodeTarget, opened: &StreamOpened) -> Result<Path, ForwardError> {
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
                let io = connect.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
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
        Err(ForwardError::NoPath { name: target.node.clone(), problems: problems.join("; ") })
    }

    fn check_key(
        &self,
        target: &NodeTarget,
        seen: PublicKey,
        expected: Option<PublicKey>,
    ) -> Result<(), ForwardError> {
        let name = &target.node;
        match expected {
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
}

fn refused(target: &NodeTarget, source: CallError) -> ForwardError {
    ForwardError::Refused { target: target.clone(), source }
}

/// A stream to another node, encrypted up to there. It ends when it is dropped, and fails when the hub cuts it.
pub struct OpenStream {
    path: Path,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    counts: Arc<Counts>,
    /// Ends what reports about it.
    _reports: DropGuard,
}

impl OpenStream {
    fn new(path: Path, id: String, link: Peer, cuts: &Cuts) -> Self {
        let cut = CancellationToken::new();
        cuts.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), cut.clone());
        let counts = Arc::<Counts>::default();
        let ended = CancellationToken::new();
        let is_direct = matches!(path, Path::Direct(_));
        tokio::spawn(report_until(ended.clone(), is_direct, id, link, Arc::clone(&counts), Arc::clone(cuts)));
        Self { path, cut: Box::pin(cut.cancelled_owned()), counts, _reports: ended.drop_guard() }
    }

    /// Whether the bytes do not pass the hub.
    pub fn is_direct(&self) -> bool {
        matches!(self.path, Path::Direct(_))
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => {
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the hub cut the stream"))
            }
            Poll::Pending => Ok(()),
        }
    }
}

/// Tells the hub how far a stream has come, if it cannot see that itself, and in any case that it ended.
async fn report_until(
    ended: CancellationToken,
    is_direct: bool,
    stream: String,
    link: Peer,
    counts: Arc<Counts>,
    cuts: Cuts,
) {
    let say = async |ended| {
        let report = StreamReport {
            stream: stream.clone(),
            sent: counts.forth.load(Ordering::Relaxed),
            received: counts.back.load(Ordering::Relaxed),
            ended,
        };
        // A report that does not arrive only makes a list less exact.
        let _ = link.notify(&report).await;
    };
    let mut tick = tokio::time::interval(REPORT_EVERY);
    loop {
        tokio::select! {
            () = ended.cancelled() => break,
            _ = tick.tick(), if is_direct => say(false).await,
        }
    }
    say(true).await;
    cuts.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
}

impl Pipe for OpenStream {
    fn abort(&mut self) {
        match &mut self.path {
            Path::Relayed(io) => io.abort(),
            Path::Direct(io) => io.abort(),
        }
    }
}

impl AsyncRead for OpenStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        let before = buffer.filled().len();
        let polled = match &mut self.path {
            Path::Relayed(io) => Pin::new(io).poll_read(context, buffer),
            Path::Direct(io) => Pin::new(io).poll_read(context, buffer),
        };
        self.counts.back.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for OpenStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        let polled = match &mut self.path {
            Path::Relayed(io) => Pin::new(io).poll_write(context, bytes),
            Path::Direct(io) => Pin::new(io).poll_write(context, bytes),
        };
        if let Poll::Ready(Ok(written)) = polled {
            self.counts.forth.fetch_add(written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        match &mut self.path {
            Path::Relayed(io) => Pin::new(io).poll_flush(context),
            Path::Direct(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.path {
            Path::Relayed(io) => Pin::new(io).poll_shutdown(context),
            Path::Direct(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
