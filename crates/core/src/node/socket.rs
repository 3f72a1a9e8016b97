//! The running node's socket for commands on the same machine. It speaks the link's own protocol: a command's
//! requests go on to the hub as this node's, and the hub's cuts come back to the command that opened the stream.

use std::collections::HashMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_link::protocol::{StreamCut, StreamOpen, StreamOpened, StreamReport, ToHub};
use nave_link::rpc::{CallError, Handler, Limits, Method, Peer, RpcError, code, websocket_config};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use super::folder::NodeFolder;
use super::offers::Lent;
use super::runtime::{NodeRuntime, RunError};

/// A Unix socket tells by itself when the other side is gone.
const LIMITS: Limits = Limits { heartbeat: None, lost_after: Duration::from_hours(8760) };
/// How long a command's request may take at the hub.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a command's request waits for a link that is being made.
const LINK_WAIT: Duration = Duration::from_secs(15);

/// What a command says to the process that runs the node, and not to the hub: what others may open on this machine for
/// as long as the command runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lend {
    pub(super) targets: Vec<Lent>,
}

impl Method for Lend {
    const NAME: &'static str = "offers.lend";
    type Answer = ();
}

/// The number of the command that runs in the node's own process; the others follow.
pub(super) const OWN: u64 = 0;

/// Which command opened which stream.
#[derive(Default)]
pub struct LocalCommands {
    streams: Mutex<HashMap<String, Peer>>,
    own: OnceLock<CutHook>,
}

/// Hears of streams that the hub cut.
pub(super) type CutHook = Arc<dyn Fn(&StreamCut) + Send + Sync>;

impl LocalCommands {
    /// Tells the command that opened a stream that the hub cut it.
    pub fn cut(&self, cut: &StreamCut) {
        if let Some(own) = self.own.get() {
            own(cut);
        }
        let opener = self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&cut.stream);
        if let Some(opener) = opener {
            let cut = cut.clone();
            tokio::spawn(async move { opener.notify(&cut).await });
        }
    }

    /// Lets the command that runs in this very process hear of all cuts.
    pub(super) fn hear_all(&self, hook: CutHook) {
        let _ = self.own.set(hook);
    }

    fn opened(&self, stream: String, by: &Peer) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|_, opener| !opener.is_closed());
        streams.insert(stream, by.clone());
    }

    fn ended(&self, stream: &str) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
    }
}

/// Takes the right to keep this node's link; another process may hold it.
pub(super) fn lock(folder: &NodeFolder) -> Result<Flock<fs::File>, RunError> {
    let path = folder.lock();
    let listen = |source| RunError::Listen { address: path.display().to_string(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(listen)?;
    nave_link::secret_file::follow_folder(&path).map_err(|error| listen(io::Error::other(error)))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => RunError::Running(path.display().to_string()),
        other => listen(io::Error::from(other)),
    })
}

/// Opens the socket. Only the holder of the lock does this, so that a socket found there is a leftover.
pub(super) fn bind(folder: &NodeFolder) -> Result<UnixListener, RunError> {
    let path = folder.socket();
    let listen = |source| RunError::Listen { address: path.display().to_string(), source };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(listen(error)),
        _ => {}
    }
    // The folder around it has mode 0700, so that nobody else reaches it even before the next line.
    let listener = UnixListener::bind(&path).map_err(listen)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(listen)?;
    Ok(listener)
}

/// Reaches the process that runs this node; `None` when none does.
pub(super) async fn connect(folder: &NodeFolder, handler: Arc<dyn Handler>) -> Option<Peer> {
    let io = UnixStream::connect(folder.socket()).await.ok()?;
    let socket = WebSocketStream::from_raw_socket(io, Role::Client, Some(websocket_config())).await;
    Some(Peer::start(socket, handler, LIMITS))
}

/// Serves commands until `stop` is cancelled.
pub(super) async fn serve(runtime: Arc<NodeRuntime>, listener: UnixListener, stop: CancellationToken) {
    let mut number = OWN;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((io, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        number += 1;
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(websocket_config())).await;
        let answers = Arc::new(Answers { runtime: Arc::clone(&runtime), number, command: OnceLock::new() });
        let peer = Peer::start(socket, Arc::clone(&answers) as Arc<dyn Handler>, LIMITS);
        let _ = answers.command.set(peer.clone());
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = peer.closed() => {}
                () = stop.cancelled() => peer.close("the node was stopped"),
            }
            // Nothing is lent after this: requests are read by the peer, which has ended.
            answers.runtime.offers().lend(answers.number, Vec::new());
            // The circle of peer and handler ends here.
            drop(answers);
        });
    }
}

struct Answers {
    runtime: Arc<NodeRuntime>,
    number: u64,
    command: OnceLock<Peer>,
}

impl Handler for Answers {
    fn call(
        &self,
        method: String,
        params: Box<RawValue>,
    ) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
        let runtime = Arc::clone(&self.runtime);
        let command = self.command.get().cloned();
        if method == Lend::NAME {
            return std::future::ready(self.lend(&params)).boxed();
        }
        async move {
            ToHub::parse(&method, &params)?;
            let hub = wait_for_link(&runtime).await?;
            let answer = hub.call_raw(&method, params, REQUEST_TIMEOUT).await.map_err(passed_on)?;
            if method == StreamOpen::NAME
                && let (Some(command), Ok(opened)) =
                    (command, serde_json::from_str::<StreamOpened>(answer.get()))
            {
                runtime.commands().opened(opened.stream, &command);
            }
            Ok(answer)
        }
        .boxed()
    }

    fn notice(&self, method: &str, params: &RawValue) {
        let Ok(ToHub::StreamReport(report)) = ToHub::parse(method, params) else { return };
        if report.ended {
            self.runtime.commands().ended(&report.stream);
        }
        let hub = self.runtime.peer().borrow().clone();
        if let Some(hub) = hub {
            tokio::spawn(async move { hub.notify::<StreamReport>(&report).await });
        }
    }
}

impl Answers {
    fn lend(&self, params: &RawValue) -> Result<Box<RawValue>, RpcError> {
        let lend: Lend = serde_json::from_str(params.get())
            .map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))?;
        self.runtime.offers().lend(self.number, lend.targets);
        serde_json::value::to_raw_value(&()).map_err(|error| RpcError::new(code::INTERNAL, error.to_string()))
    }
}

/// The link, now or as soon as it stands.
pub(super) async fn wait_for_link(runtime: &NodeRuntime) -> Result<Peer, RpcError> {
    let mut link = runtime.peer();
    let stands = tokio::time::timeout(LINK_WAIT, link.wait_for(Option::is_some)).await;
    match stands {
        Ok(Ok(peer)) => peer.clone().ok_or_else(|| RpcError::new(code::INTERNAL, "the link went as it came")),
        _ => Err(RpcError::refused(
            "not_connected",
            "this machine's node is not connected to its hub; its log says why",
        )),
    }
}

fn passed_on(error: CallError) -> RpcError {
    match error {
        CallError::Refused(error) => error,
        other => RpcError::new(code::INTERNAL, other.to_string()),
    }
}
