//! The engine: keeps requests and answers apart, limits both, notices when the other side is gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tokio_util::sync::CancellationToken;

use super::Method;
use super::message::{Message, RpcError, code, null};

const CANCEL: &str = "$/cancel";

/// The largest message, in bytes, and the most requests of the other side that are worked on at once.
pub const WEBSOCKET_LIMITS: (usize, usize) = (1 << 20, 64);

/// What a link's WebSocket is opened with: small buffers, since a hub holds thousands of idle ones.
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(4 << 20)
        .max_message_size(Some(WEBSOCKET_LIMITS.0))
        .max_frame_size(Some(WEBSOCKET_LIMITS.0))
}

/// How a peer watches the other side.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How often to ping; `None` leaves that to the other side.
    pub heartbeat: Option<Duration>,
    /// The other side is lost when nothing was heard from it for that long.
    pub lost_after: Duration,
}

/// Answers the other side's requests.
pub trait Handler: Send + Sync + 'static {
    /// Works on one request. Dropped when the other side cancels it.
    fn call(
        &self,
        method: String,
        params: Box<RawValue>,
    ) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>>;

    /// Hears a notice. Notices arrive in order and the next message waits: return quickly.
    fn notice(&self, method: &str, params: &RawValue);
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other side answered that it failed or refuses.
    #[error(transparent)]
    Refused(#[from] RpcError),
    /// No answer came in time; the other side was told to stop.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The link ended first.
    #[error("the link ended before the answer came: {0}")]
    Closed(PeerClosed),
    /// An answer came, but it cannot be read.
    #[error("the answer to {method} cannot be read")]
    Answer {
        /// The method called.
        method: &'static str,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
}

/// How a link ended, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PeerClosed(pub String);

type Pending = oneshot::Sender<Result<Box<RawValue>, RpcError>>;

struct Shared {
    outgoing: mpsc::Sender<Message>,
    pending: Mutex<HashMap<u64, Pending>>,
    next_id: AtomicU64,
    closing: CancellationToken,
    closed: CancellationToken,
    why: OnceLock<PeerClosed>,
}

/// One side of a link. Cloning it is cheap; the link ends when the other side goes, is lost, or [`Peer::close`] is called.
#[derive(Clone)]
pub struct Peer(Arc<Shared>);

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("closed", &self.0.closed.is_cancelled()).finish_non_exhaustive()
    }
}

impl Peer {
    /// Starts to speak on a WebSocket whose handshake is complete.
    pub fn start<S>(socket: WebSocketStream<S>, handler: Arc<dyn Handler>, limits: Limits) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (outgoing, queue) = mpsc::channel(32);
        let peer = Self(Arc::new(Shared {
            outgoing,
            pending: Mutex::default(),
            next_id: AtomicU64::new(1),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
            why: OnceLock::new(),
        }));
        tokio::spawn(run(peer.clone(), socket, queue, handler, limits));
        peer
    }

    /// Asks the other side and waits for its answer. Dropping the future cancels the request there.
    pub async fn call<M: Method>(&self, params: &M, timeout: Duration) -> Result<M::Answer, CallError> {
        let answer = self.call_raw(M::NAME, raw(params), timeout).await?;
        serde_json::from_str(answer.get()).map_err(|source| CallError::Answer { method: M::NAME, source })
    }

    /// As [`Peer::call`], for whoever passes requests on without knowing them.
    pub async fn call_raw(
        &self,
        method: &str,
        params: Box<RawValue>,
        timeout: Duration,
    ) -> Result<Box<RawValue>, CallError> {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.pending().insert(id, sender);
        let mut call = Call { peer: self, id, answered: false };
        let request = Message::Request { id, method: method.to_owned(), params };
        let exchange = async {
            self.0.outgoing.send(request).await.map_err(|_| self.closed_error())?;
            tokio::select! {
                answer = receiver => answer.map_err(|_| self.closed_error()),
                () = self.0.closed.cancelled() => Err(self.closed_error()),
            }
        };
        let answer =
            tokio::time::timeout(timeout, exchange).await.map_err(|_| CallError::Timeout(timeout))??;
        call.answered = true;
        Ok(answer?)
    }

    /// Tells the other side something; returns once it is queued.
    pub async fn notify<M: Method<Answer = ()>>(&self, params: &M) -> Result<(), PeerClosed> {
        self.notify_raw(M::NAME, raw(params)).await
    }

    async fn notify_raw(&self, method: &str, params: Box<RawValue>) -> Result<(), PeerClosed> {
        let notice = Message::Notice { method: method.to_owned(), params };
        self.0.outgoing.send(notice).await.map_err(|_| self.why())
    }

    /// Says goodbye with a reason for the other side, then ends the link.
    pub fn close(&self, reason: impl Into<String>) {
        let _ = self.0.why.set(PeerClosed(reason.into()));
        self.0.closing.cancel();
    }

    /// Whether the link has ended.
    pub fn is_closed(&self) -> bool {
        self.0.closed.is_cancelled()
    }

    /// Waits until the link has ended and says why.
    pub async fn closed(&self) -> PeerClosed {
        self.0.closed.cancelled().await;
        self.why()
    }

    /// Whether both handles speak on the same link.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn why(&self) -> PeerClosed {
        self.0.why.get().cloned().unwrap_or_else(|| PeerClosed("the link ended".to_owned()))
    }

    fn closed_error(&self) -> CallError {
        CallError::Closed(self.why())
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Pending>> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a request back when its caller is gone.
struct Call<'a> {
    peer: &'a Peer,
    id: u64,
    answered: bool,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.peer.pending().remove(&self.id);
        if !self.answered {
            let cancel = Message::Notice { method: CANCEL.to_owned(), params: raw(&self.id) };
            // A full queue means that the other side does not read: its answer will find nobody waiting.
            let _ = self.peer.0.outgoing.try_send(cancel);
        }
    }
}

fn raw<T: serde::Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| null())
}

async fn run<S>(
    peer: Peer,
    socket: WebSocketStream<S>,
    mut queue: mpsc::Receiver<Message>,
    handler: Arc<dyn Handler>,
    limits: Limits,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sink, mut stream) = socket.split();
    let heard = Mutex::new(Instant::now());
    let working = Working::new(peer.clone());

    let read = async {
        while let Some(frame) = stream.next().await {
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            match frame {
                Ok(Frame::Text(text)) => working.hear(&text, &handler).await,
                Ok(Frame::Close(frame)) => {
                    return frame.map_or_else(
                        || "the other side closed the link".to_owned(),
                        |frame| frame.reason.to_string(),
                    );
                }
                Ok(_) => {}
                Err(error) => return format!("the connection failed: {error}"),
            }
        }
        "the other side closed the connection".to_owned()
    };

    let write = async {
        let mut beat = tokio::time::interval(limits.heartbeat.unwrap_or(limits.lost_after));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.reset();
        loop {
            let frame = tokio::select! {
                message = queue.recv() => match message {
                    Some(message) => Frame::text(message.to_text()),
                    None => return "the link was dropped".to_owned(),
                },
                _ = beat.tick(), if limits.heartbeat.is_some() => Frame::Ping(bytes::Bytes::new()),
                () = peer.0.closing.cancelled() => {
                    let reason = peer.why().0;
                    let mut end = reason.len().min(120);
                    while !reason.is_char_boundary(end) {
                        end -= 1;
                    }
                    Frame::Close(Some(CloseFrame { code: CloseCode::Normal, reason: reason[..end].into() }))
                }
            };
            let last = matches!(frame, Frame::Close(_));
            match tokio::time::timeout(limits.lost_after, sink.send(frame)).await {
                Ok(Ok(())) if last => return peer.why().0,
                Ok(Ok(())) => {}
                Ok(Err(error)) => return format!("the connection failed: {error}"),
                Err(_) => return "the other side stopped reading".to_owned(),
            }
        }
    };

    let watch = async {
        loop {
            let last = *heard.lock().unwrap_or_else(PoisonError::into_inner);
            let deadline = last + limits.lost_after;
            if Instant::now() >= deadline {
                return format!("nothing was heard for {} s", limits.lost_after.as_secs_f32());
            }
            tokio::time::sleep_until(deadline).await;
        }
    };

    let why = tokio::select! { why = read => why, why = write => why, why = watch => why };
    let _ = peer.0.why.set(PeerClosed(why));
    peer.0.closed.cancel();
    peer.pending().clear();
    working.stop();
}

/// The other side's requests that are being worked on.
struct Working {
    peer: Peer,
    slots: Arc<Semaphore>,
    tasks: Arc<Mutex<HashMap<u64, AbortHandle>>>,
}

impl Working {
    fn new(peer: Peer) -> Self {
        Self { peer, slots: Arc::new(Semaphore::new(WEBSOCKET_LIMITS.1)), tasks: Arc::default() }
    }

    async fn hear(&self, text: &str, handler: &Arc<dyn Handler>) {
        match Message::parse(text) {
            Ok(Message::Request { id, method, params }) => self.begin(id, method, params, handler).await,
            Ok(Message::Notice { method, params }) if method == CANCEL => {
                if let Ok(id) = serde_json::from_str(params.get())
                    && let Some(task) = self.tasks().remove(&id)
                {
                    task.abort();
                }
            }
            Ok(Message::Notice { method, params }) => handler.notice(&method, &params),
            Ok(Message::Answer { id, result }) => {
                if let Some(waiting) = self.peer.pending().remove(&id) {
                    let _ = waiting.send(result);
                }
            }
            Err(error) => tracing::debug!(%error, "a message on the link cannot be read"),
        }
    }

    async fn begin(&self, id: u64, method: String, params: Box<RawValue>, handler: &Arc<dyn Handler>) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            let busy = RpcError::new(code::BUSY, "too many requests are under way on this link");
            let _ = self.peer.0.outgoing.send(Message::Answer { id, result: Err(busy) }).await;
            return;
        };
        let work = handler.call(method, params);
        let (peer, tasks) = (self.peer.clone(), Arc::clone(&self.tasks));
        // Held while the task is entered, so that a quick one cannot leave before it was entered.
        let mut entered = self.tasks();
        let task = tokio::spawn(async move {
            let result = work.await;
            tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let _ = peer.0.outgoing.send(Message::Answer { id, result }).await;
            drop(slot);
        });
        entered.insert(id, task.abort_handle());
    }

    fn stop(&self) {
        for (_, task) in self.tasks().drain() {
            task.abort();
        }
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, HashMap<u64, AbortHandle>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
