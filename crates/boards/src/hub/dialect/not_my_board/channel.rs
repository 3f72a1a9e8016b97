//! One WebSocket on which both sides call each other: requests are worked on side by side, may be cancelled, and are
//! answered once or, when they were cancelled, never. What the methods are is not known here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::message::{self, Failure, Id, Incoming, Params};
use super::work::{Stage, Work};

/// The largest message, in bytes.
const LARGEST: usize = 16 << 20;
/// The most requests of one client that are worked on at once.
const MOST_REQUESTS: usize = 4096;
/// How often a client is pinged, and how long after that it may stay silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const LOST_AFTER: Duration = Duration::from_secs(40);
/// How long a client may take to read one message, and the goodbye.
const WRITE: Duration = Duration::from_secs(20);
const GOODBYE: Duration = Duration::from_secs(2);

const CANCEL: &str = "rpc.cancel";

/// What a request came to.
pub(super) struct Outcome {
    pub(super) value: Value,
    /// Done once the answer is on its way; never if the request was cancelled first.
    pub(super) delivered: Option<Box<dyn FnOnce() + Send>>,
}

impl From<Value> for Outcome {
    fn from(value: Value) -> Self {
        Self { value, delivered: None }
    }
}

/// Answers the other side's requests.
pub(super) trait Methods: Send + Sync + 'static {
    /// Works on one request. Dropped when the other side cancels it, or goes away.
    fn call(
        &self,
        channel: Channel,
        method: String,
        params: Params,
    ) -> BoxFuture<'static, Result<Outcome, Failure>>;
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// The other side said so.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The connection ended.
    #[error("Connection closed")]
    Closed,
}

struct Shared {
    outgoing: mpsc::Sender<Vec<u8>>,
    pending: Mutex<HashMap<u64, oneshot::Sender<Result<Value, Failure>>>>,
    last_id: AtomicU64,
    closing: CancellationToken,
    closed: CancellationToken,
}

/// One side of the conversation. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct Channel(Arc<Shared>);

/// What a channel sends.
pub(super) type Outgoing = mpsc::Receiver<Vec<u8>>;

/// What a client's WebSocket is opened with.
pub(super) fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(64 << 20)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST))
}

impl Channel {
    /// A channel, and what it sends.
    pub(super) fn new() -> (Self, Outgoing) {
        let (outgoing, queue) = mpsc::channel(64);
        let shared = Shared {
            outgoing,
            pending: Mutex::default(),
            last_id: AtomicU64::new(0),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        };
        (Self(Arc::new(shared)), queue)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<Value, Failure>>>> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the other side, for as long as it takes or the connection lasts.
    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let id = self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answered) = oneshot::channel();
        self.pending().insert(id, sender);
        let _forget = Forget { channel: self, id };
        let call = async {
            let request = message::request(Some(id), method, &params);
            self.0.outgoing.send(request).await.map_err(|_| CallError::Closed)?;
            match answered.await {
                Ok(result) => result.map_err(CallError::Failed),
                Err(_) => Err(CallError::Closed),
            }
        };
        self.0.closed.run_until_cancelled(call).await.unwrap_or(Err(CallError::Closed))
    }

    /// Ends the conversation.
    pub(super) fn close(&self) {
        self.0.closing.cancel();
    }

    /// Waits for the end of the conversation.
    pub(super) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }

    /// Tells the other side something that has no answer.
    pub(super) async fn notify(&self, method: &str) -> Result<(), CallError> {
        let notice = message::request(None, method, &json!({}));
        self.0.outgoing.send(notice).await.map_err(|_| CallError::Closed)
    }
}

/// Forgets a call whose caller is gone.
struct Forget<'a> {
    channel: &'a Channel,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.channel.pending().remove(&self.id);
    }
}

/// Serves a connection until it ends; by then every request has ended too.
pub(super) async fn serve<S>(
    socket: WebSocketStream<S>,
    (channel, mut queue): (Channel, Outgoing),
    methods: Arc<dyn Methods>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sink, mut stream) = socket.split();
    let heard = Mutex::new(Instant::now());
    let serving = Serving::new(channel.clone(), methods);

    let read = async {
        while let Some(frame) = stream.next().await {
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            match frame {
                Ok(Frame::Text(text)) => serving.hear(text.as_bytes()).await,
                Ok(Frame::Binary(bytes)) => serving.hear(&bytes).await,
                Ok(Frame::Close(_)) => return None,
                Ok(_) => {}
                Err(SocketError::Capacity(CapacityError::MessageTooLong { .. })) => {
                    return Some((CloseCode::Size, "message too big"));
                }
                Err(_) => return None,
            }
        }
        None
    };
    let write = async {
        let mut beat = tokio::time::interval(PING_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.reset();
        let mut pings: u32 = 0;
        loop {
            let frame = tokio::select! {
                message = queue.recv() => match message {
                    Some(message) => Frame::Binary(Bytes::from(message)),
                    None => return None,
                },
                _ = beat.tick() => {
                    pings = pings.wrapping_add(1);
                    Frame::Ping(Bytes::copy_from_slice(&pings.to_be_bytes()))
                }
            };
            match tokio::time::timeout(WRITE, sink.send(frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    };
    let watch = async {
        loop {
            let deadline = *heard.lock().unwrap_or_else(PoisonError::into_inner) + LOST_AFTER;
            if Instant::now() >= deadline {
                return None;
            }
            tokio::time::sleep_until(deadline).await;
        }
    };
    let stopped = async {
        tokio::select! {
            () = stop.cancelled() => Some((CloseCode::Restart, "service restart")),
            () = channel.0.closing.cancelled() => Some((CloseCode::Normal, "")),
        }
    };
    let goodbye = tokio::select! {
        goodbye = read => goodbye,
        goodbye = write => goodbye,
        goodbye = watch => goodbye,
        goodbye = stopped => goodbye,
    };
    channel.0.closed.cancel();
    channel.pending().clear();
    drop(queue);
    serving.end().await;
    if let Some((code, reason)) = goodbye {
        let close = CloseFrame { code, reason: reason.into() };
        let say = async {
            if sink.send(Frame::Close(Some(close))).await.is_ok()
                && let Ok(socket) = sink.reunite(stream)
            {
                drain(socket.into_inner()).await;
            }
        };
        // Best effort: whoever does not read it learns it from the connection's end.
        let _ = tokio::time::timeout(GOODBYE, say).await;
    }
}

/// Reads on until the other side goes: to end a connection with bytes unread is a reset, which overtakes the goodbye.
async fn drain<S: AsyncRead + Unpin>(mut io: S) {
    let mut scrap = vec![0; 16 << 10];
    while io.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
}

/// The other side's requests.
struct Serving {
    channel: Channel,
    methods: Arc<dyn Methods>,
    slots: Arc<Semaphore>,
    works: Arc<Mutex<HashMap<String, Arc<Work>>>>,
    tasks: TaskTracker,
}

impl Serving {
    fn new(channel: Channel, methods: Arc<dyn Methods>) -> Self {
        let slots = Arc::new(Semaphore::new(MOST_REQUESTS));
        Self { channel, methods, slots, works: Arc::default(), tasks: TaskTracker::new() }
    }

    fn works(&self) -> MutexGuard<'_, HashMap<String, Arc<Work>>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn hear(&self, bytes: &[u8]) {
        match Incoming::parse(bytes) {
            Incoming::Request { id, method, params } => self.begin(id, method, params).await,
            Incoming::Invalid(id) => self.send(message::invalid_request(&id)).await,
            Incoming::Answer { id, result } => {
                if let Some(waiting) = self.channel.pending().remove(&id) {
                    // Whoever stopped waiting needs no answer.
                    let _ = waiting.send(result);
                }
            }
            Incoming::Ignored(why) => tracing::debug!(why, "a message is ignored"),
        }
    }

    async fn send(&self, message: Vec<u8>) {
        // The connection ends when nobody takes messages any more.
        let _ = self.channel.0.outgoing.send(message).await;
    }

    async fn begin(&self, id: Option<Id>, method: String, params: Params) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            if let Some(id) = id {
                let busy = Failure::raised("too many requests are under way on this connection");
                self.send(message::answer(&id, Err(&busy))).await;
            }
            return;
        };
        let work = Arc::new(Work::default());
        if let Some(id) = &id {
            self.works().insert(id.key(), Arc::clone(&work));
        }
        let request: BoxFuture<'static, Result<Outcome, Failure>> = if method == CANCEL {
            let cancelled = super::methods::to_cancel(params).map(|key| self.works().get(&key).cloned());
            Box::pin(async move {
                if let Some(work) = cancelled? {
                    work.cancel().await;
                }
                Ok(Value::Null.into())
            })
        } else {
            self.methods.call(self.channel.clone(), method, params)
        };
        let (channel, works) = (self.channel.clone(), Arc::clone(&self.works));
        let mut task = Box::pin(async move {
            let ended = work.ends();
            let answer = async {
                let result = request.await;
                let Some(id) = &id else { return None };
                let permit = channel.0.outgoing.clone().reserve_owned().await.ok()?;
                Some((id.clone(), result, permit))
            };
            if let Some(Some((id, result, permit))) = work.unless_cancelled(answer).await
                && work.reach(Stage::Answered)
            {
                // From here on nothing waits: the answer and what belongs to it happen together.
                permit.send(message::answer(&id, result.as_ref().map(|outcome| &outcome.value)));
                if let Ok(Outcome { delivered: Some(delivered), .. }) = result {
                    delivered();
                }
            }
            if let Some(id) = id {
                let mut works = works.lock().unwrap_or_else(PoisonError::into_inner);
                // A client may have used the id again meanwhile.
                if works.get(&id.key()).is_some_and(|known| Arc::ptr_eq(known, &work)) {
                    works.remove(&id.key());
                }
            }
            drop((ended, slot));
        });
        // Begun here, so that requests take effect in the order in which they came, and then side by side.
        if futures::poll!(task.as_mut()).is_pending() {
            self.tasks.spawn(task);
        }
    }

    /// Cancels what is under way and waits for its end.
    async fn end(&self) {
        let works: Vec<Arc<Work>> = self.works().values().cloned().collect();
        for work in works {
            work.reach(Stage::Cancelled);
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}
