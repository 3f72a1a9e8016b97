//! A conversation in which both sides call each other: requests are worked on side by side, may be cancelled, and are
//! answered once or, when they were cancelled, never. What carries the messages is not known here, nor what the methods
//! are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "node")]
use std::task::Poll;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::message::{self, Failure, Id, Incoming, Params};
use super::python::{arguments, hashable};
use super::work::{Stage, Work};

/// The most requests of the other side that are worked on at once.
const MOST_REQUESTS: usize = 4096;

const CANCEL: &str = "rpc.cancel";

/// What a request came to.
pub(crate) struct Outcome {
    /// As it is sent: the other side may show members in the order in which they come.
    pub(crate) value: Box<RawValue>,
    /// Done as the answer goes on its way; never if the request was cancelled first.
    pub(crate) delivered: Option<Box<dyn FnOnce() + Send>>,
}

impl From<Value> for Outcome {
    fn from(value: Value) -> Self {
        Self::of(&value)
    }
}

impl Outcome {
    /// A value.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        // What is answered are texts, numbers, lists and maps with texts as keys: all of them are JSON.
        let value = serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self { value, delivered: None }
    }
}

/// Answers the other side's requests.
pub(crate) trait Methods: Send + Sync + 'static {
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
pub(crate) enum CallError {
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
pub(crate) struct Channel(Arc<Shared>);

/// What a channel sends.
pub(crate) type Outgoing = mpsc::Receiver<Vec<u8>>;

impl Channel {
    /// A channel, and what it sends.
    pub(crate) fn new() -> (Self, Outgoing) {
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
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let id = self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.call_as(id, method, params).await
    }

    async fn call_as(&self, id: u64, method: &str, params: Value) -> Result<Value, CallError> {
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

    /// Calls the other side until nobody wants that any more, and then has it cancelled there. What the other side did
    /// before it heard so still counts: `None` means that it was cancelled in time.
    #[cfg(feature = "node")]
    pub(crate) async fn call_until(
        &self,
        method: &str,
        params: Value,
        unwanted: CancellationToken,
    ) -> Option<Result<Value, CallError>> {
        let id = self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let mut call = std::pin::pin!(self.call_as(id, method, params));
        let cancel = async {
            unwanted.cancelled().await;
            self.call(CANCEL, json!([id])).await
        };
        tokio::select! {
            biased;
            result = &mut call => Some(result),
            // Answers come in order: one to the call itself would have been heard by now.
            cancelled = cancel => match (futures::poll!(call), cancelled) {
                (Poll::Ready(result), _) => Some(result),
                (Poll::Pending, Err(error)) => Some(Err(error)),
                (Poll::Pending, Ok(_)) => None,
            },
        }
    }

    /// Ends the conversation.
    pub(crate) fn close(&self) {
        self.0.closing.cancel();
    }

    /// Whether the conversation has ended.
    #[cfg(feature = "node")]
    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.is_cancelled()
    }

    /// Waits for the end of the conversation.
    pub(crate) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }

    /// Waits until this side wants the conversation to end.
    pub(super) async fn closing(&self) {
        self.0.closing.cancelled().await;
    }

    /// The connection is gone: nothing is answered any more.
    pub(super) fn end(&self) {
        self.0.closed.cancel();
        self.pending().clear();
    }

    /// Tells the other side something that has no answer.
    #[cfg(feature = "hub")]
    pub(crate) async fn notify(&self, method: &str) -> Result<(), CallError> {
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

/// The other side's requests.
pub(super) struct Serving {
    channel: Channel,
    methods: Arc<dyn Methods>,
    slots: Arc<Semaphore>,
    works: Arc<Mutex<HashMap<String, Arc<Work>>>>,
    tasks: TaskTracker,
}

impl Serving {
    pub(super) fn new(channel: Channel, methods: Arc<dyn Methods>) -> Self {
        let slots = Arc::new(Semaphore::new(MOST_REQUESTS));
        Self { channel, methods, slots, works: Arc::default(), tasks: TaskTracker::new() }
    }

    fn works(&self) -> MutexGuard<'_, HashMap<String, Arc<Work>>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one message.
    pub(super) async fn hear(&self, bytes: &[u8]) {
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
            let cancelled = to_cancel(params).map(|key| self.works().get(&key).cloned());
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
                let answer = message::answer(&id, result.as_ref().map(|outcome| &*outcome.value));
                // From here on nothing waits. What belongs to the answer comes first: whoever has the answer asks for the
                // next thing by it, on another thread.
                if let Ok(Outcome { delivered: Some(delivered), .. }) = result {
                    delivered();
                }
                permit.send(answer);
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
    pub(super) async fn end(&self) {
        let works: Vec<Arc<Work>> = self.works().values().cloned().collect();
        for work in works {
            work.reach(Stage::Cancelled);
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Which request is to be cancelled, by its key.
fn to_cancel(params: Params) -> Result<String, Failure> {
    let [id] = arguments("Channel._cancel_local", ["id_"], params)?;
    Ok(hashable(&id)?.to_string())
}
