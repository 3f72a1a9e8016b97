//! A socket as the application has it: says, asks, pings and ends it; and the answers that it owes and is owed.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::application::{Event, Gone};
use super::connection::{Connection, NotSent};
use super::engine::Text;
use super::packet;
use super::server::random_id;

/// The socket has ended: what was to be sent is not, what was asked is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended")]
pub struct Lost;

/// One client in one namespace. Cloning it is cheap; all clones are one.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

/// An event, and the room that it takes until it was dealt with.
pub(super) struct Incoming {
    pub(super) event: Event,
    pub(super) _room: OwnedSemaphorePermit,
}

pub(super) struct Inner {
    pub(super) connection: Arc<Connection>,
    pub(super) namespace: &'static str,
    sid: String,
    state: Mutex<State>,
    over: CancellationToken,
}

struct State {
    phase: Phase,
    /// What the hub asked.
    asked: HashMap<u64, oneshot::Sender<Value>>,
    next: u64,
}

enum Phase {
    /// It waits to be let in; what is to be sent then.
    Waiting {
        later: Vec<Text>,
        bytes: usize,
        inbox: mpsc::Sender<Box<Incoming>>,
    },
    Open(mpsc::Sender<Box<Incoming>>),
    Ended(Gone),
}

impl Inner {
    pub(super) fn new(
        connection: &Arc<Connection>,
        namespace: &'static str,
        inbox: mpsc::Sender<Box<Incoming>>,
    ) -> Arc<Self> {
        let phase = Phase::Waiting { later: Vec::new(), bytes: 0, inbox };
        Arc::new(Self {
            connection: Arc::clone(connection),
            namespace,
            sid: random_id(&connection.common.random),
            state: Mutex::new(State { phase, asked: HashMap::new(), next: 0 }),
            over: CancellationToken::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the client that it is in, and what was to be told to it since.
    pub(super) fn open(&self) {
        // It counts as known before it hears so, since it may answer at length.
        self.connection.no_stranger();
        let mut state = self.state();
        let Phase::Waiting { later, inbox, .. } = &mut state.phase else { return };
        let (later, inbox) = (std::mem::take(later), inbox.clone());
        let mut pushed = self.connection.push(packet::connected(self.namespace, &self.sid));
        for text in later {
            pushed = pushed.and_then(|()| self.connection.push(text));
        }
        state.phase = Phase::Open(inbox);
        drop(state);
        self.close_if_slow(pushed);
    }

    fn close_if_slow(&self, pushed: Result<(), NotSent>) {
        if pushed == Err(NotSent::Slow) {
            self.connection.close(Gone::Slow);
        }
    }

    fn send(&self, text: Text) -> Result<(), Lost> {
        let most = self.connection.settings().backlog;
        let mut state = self.state();
        // Under the lock, so that nothing overtakes what waited.
        let pushed = match &mut state.phase {
            Phase::Waiting { later, bytes, .. } if *bytes < most.0 && later.len() < most.1 => {
                *bytes += text.len();
                later.push(text);
                Ok(())
            }
            Phase::Waiting { .. } => Err(NotSent::Slow),
            Phase::Open(_) => self.connection.push(text),
            Phase::Ended(_) => Err(NotSent::Ended),
        };
        drop(state);
        self.close_if_slow(pushed);
        pushed.map_err(|_| Lost)
    }

    /// Where events go: nowhere any more when it has ended, and nowhere yet, which is an error, before it is let in.
    pub(super) fn inbox(&self) -> Result<Option<mpsc::Sender<Box<Incoming>>>, ()> {
        match &self.state().phase {
            Phase::Waiting { .. } => Err(()),
            Phase::Open(inbox) => Ok(Some(inbox.clone())),
            Phase::Ended(_) => Ok(None),
        }
    }

    /// The number of a question.
    fn ask(&self, asker: oneshot::Sender<Value>) -> Result<u64, Lost> {
        let mut state = self.state();
        if matches!(state.phase, Phase::Ended(_)) {
            return Err(Lost);
        }
        let id = state.next;
        state.next += 1;
        state.asked.insert(id, asker);
        Ok(id)
    }

    /// The client answered.
    pub(super) fn answered(&self, id: u64, payload: Option<Box<RawValue>>) {
        let Some(asker) = self.state().asked.remove(&id) else { return };
        let value = payload.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or(Value::Null);
        // Who asked may have gone.
        let _ = asker.send(value);
    }

    /// Why it has ended, if it has.
    pub(super) fn ended(&self) -> Option<Gone> {
        match self.state().phase {
            Phase::Ended(why) => Some(why),
            _ => None,
        }
    }

    pub(super) fn end(&self, why: Gone) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Ended(_)) {
            return;
        }
        state.phase = Phase::Ended(why);
        let asked = std::mem::take(&mut state.asked);
        drop(state);
        drop(asked);
        self.over.cancel();
    }
}

impl Socket {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Its id, which the client knows too. Nobody can do anything with it.
    pub fn id(&self) -> &str {
        &self.0.sid
    }

    /// Says something to the client. A client that is too slow to read is closed instead.
    pub fn emit(&self, event: &str, payload: &(impl Serialize + ?Sized)) -> Result<(), Lost> {
        self.0.send(packet::event(self.0.namespace, None, event, &raw(payload)))
    }

    /// As [`Self::emit`], what was written once for many sockets.
    pub fn emit_prepared(&self, prepared: &Prepared) -> Result<(), Lost> {
        self.0.send(prepared.text(self.0.namespace))
    }

    /// Asks the client and waits for its answer, for as long as it is connected; `Null` is an answer without content. The
    /// future keeps nothing of the arguments.
    pub fn request<P: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &P,
    ) -> impl Future<Output = Result<Value, Lost>> + Send + 'static + use<P> {
        let (inner, event, payload) = (Arc::clone(&self.0), event.to_owned(), raw(payload));
        async move {
            let (asker, answer) = oneshot::channel();
            let id = inner.ask(asker)?;
            let _forget = Forget { inner: &inner, id };
            inner.send(packet::event(inner.namespace, Some(id), &event, &payload))?;
            answer.await.map_err(|_| Lost)
        }
    }

    /// Whether the client gives a sign of life within that time after a ping, which is sent now. Where the hub is behind with
    /// reading what the client sent, it is taken for alive.
    pub async fn alive(&self, within: Duration) -> bool {
        self.0.connection.alive(within).await
    }

    /// Closes the connection without a word; the client comes back after a while. What waits to be sent is sent before
    /// that, if the client takes it soon.
    pub fn close(&self) {
        self.0.connection.close(Gone::Closed);
    }

    /// Puts the client out of the namespace; it comes back at once, by a new connection if it is in no other namespace.
    pub fn disconnect(&self) {
        // Who has ended or is too slow is out anyway.
        let _ = self.0.send(packet::disconnected(self.0.namespace));
        self.0.connection.leave(&self.0, Gone::Disconnected);
    }

    /// Ends when the socket does.
    pub async fn over(&self) {
        self.0.over.cancelled().await;
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    /// What waits to be read by the client, on the whole connection: packets and bytes.
    pub fn backlog(&self) -> (usize, usize) {
        self.0.connection.backlog()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.0.sid).field(&self.0.namespace).finish()
    }
}

/// Forgets a question whose asker has gone.
struct Forget<'a> {
    inner: &'a Inner,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let forgotten = self.inner.state().asked.remove(&self.id);
        drop(forgotten);
    }
}

/// The answer that a client waits for.
pub struct Ack {
    inner: Arc<Inner>,
    id: u64,
    answered: bool,
}

impl Ack {
    pub(super) fn new(inner: &Arc<Inner>, id: u64) -> Self {
        Self { inner: Arc::clone(inner), id, answered: false }
    }

    /// Answers.
    pub fn answer(mut self, payload: &(impl Serialize + ?Sized)) {
        self.say(&raw(payload));
    }

    fn say(&mut self, payload: &RawValue) {
        self.answered = true;
        // Who has gone waits for nothing.
        let _ = self.inner.send(packet::answer(self.inner.namespace, self.id, payload));
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if !self.answered {
            self.say(&raw(&json!({ "success": false, "error": "the hub could not answer this request; its log says why" })));
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ack").field(&self.id).finish()
    }
}

/// An event that is written once and sent to many. Cloning it is cheap.
#[derive(Clone)]
pub struct Prepared(Arc<Unwritten>);

struct Unwritten {
    event: String,
    payload: Box<RawValue>,
    written: Mutex<Vec<(&'static str, Text)>>,
}

impl Prepared {
    /// That event.
    pub fn new(event: &str, payload: &(impl Serialize + ?Sized)) -> Self {
        let unwritten =
            Unwritten { event: event.to_owned(), payload: raw(payload), written: Mutex::default() };
        Self(Arc::new(unwritten))
    }

    /// The text for a namespace, of which there are few.
    fn text(&self, namespace: &'static str) -> Text {
        let Unwritten { event, payload, written } = &*self.0;
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = written.iter().find(|(of, _)| *of == namespace) {
            return text.clone();
        }
        let text = packet::event(namespace, None, event, payload);
        written.push((namespace, text.clone()));
        text
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prepared").field(&self.0.event).finish()
    }
}

/// As JSON. What cannot be written so is a defect of the hub, and no client's fault: it is logged and `null`.
fn raw(payload: &(impl Serialize + ?Sized)) -> Box<RawValue> {
    to_raw_value(payload).unwrap_or_else(|error| {
        tracing::error!(%error, "a message to a client cannot be written as JSON; that is a defect, please report it");
        RawValue::NULL.to_owned()
    })
}
