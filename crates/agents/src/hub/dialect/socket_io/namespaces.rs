//! The namespaces that a connection is in, and the task of each socket: from asking to join to its end.

use std::sync::{Arc, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::application::{Application, Asking, Event, Gone, Verdict};
use super::connection::Connection;
use super::engine::BadPacket;
use super::packet::{self, Content, Packet};
use super::socket::{Ack, Incoming, Inner, Socket};

/// How many events wait for the application, at most.
const INBOX: usize = 32;

/// What a connection is in. There are as many as its path has, so a list does.
pub(super) struct Namespaces {
    joined: Vec<(&'static str, Standing)>,
    /// Since when it is in none and asks for none.
    alone_since: Option<Instant>,
}

enum Standing {
    /// It asked, or is in.
    In(Arc<Inner>),
    /// It was in: what was on its way when it was put out is not held against it.
    Out,
}

/// Begins the task of a socket; it hides what the application is.
pub(super) trait Join: Send + Sync {
    fn join(&self, inner: Arc<Inner>, auth: Map<String, Value>, inbox: mpsc::Receiver<Box<Incoming>>);
}

impl Namespaces {
    pub(super) fn new() -> Self {
        Self { joined: Vec::new(), alone_since: Some(Instant::now()) }
    }

    fn find(&mut self, name: &str) -> Option<&mut (&'static str, Standing)> {
        self.joined.iter_mut().find(|(joined, _)| *joined == name)
    }

    fn is_alone(&self) -> bool {
        !self.joined.iter().any(|(_, standing)| matches!(standing, Standing::In(_)))
    }
}

impl Connection {
    fn namespaces(&self) -> MutexGuard<'_, Namespaces> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn alone_since(&self) -> Option<Instant> {
        self.namespaces().alone_since
    }

    /// Ends every socket on it.
    pub(super) fn end_namespaces(&self, why: Gone) {
        let joined = std::mem::take(&mut self.namespaces().joined);
        for (_, standing) in joined {
            if let Standing::In(inner) = standing {
                inner.end(why);
            }
        }
    }

    /// Ends a socket; the connection stays.
    pub(super) fn leave(&self, inner: &Arc<Inner>, why: Gone) {
        let mut namespaces = self.namespaces();
        if let Some((_, standing)) = namespaces.find(inner.namespace)
            && matches!(standing, Standing::In(other) if Arc::ptr_eq(other, inner))
        {
            *standing = Standing::Out;
        }
        if namespaces.is_alone() {
            namespaces.alone_since.get_or_insert_with(Instant::now);
        }
        drop(namespaces);
        inner.end(why);
    }

    /// A message of Socket.IO. Waits for the application where it is behind.
    pub(super) async fn receive_message(self: &Arc<Self>, message: &str) -> Result<(), BadPacket> {
        let Packet { namespace, content } = Packet::parse(message)?;
        if let Content::Connect(auth) = content {
            return self.ask_to_join(namespace, auth);
        }
        let standing = match self.namespaces().find(namespace) {
            Some((_, Standing::In(inner))) => Some(Arc::clone(inner)),
            Some((_, Standing::Out)) => None,
            None => return Err(BadPacket("a packet is for a namespace that the client is not in")),
        };
        let Some(inner) = standing else { return Ok(()) };
        match content {
            Content::Connect(_) => {}
            Content::Disconnect => self.leave(&inner, Gone::Left),
            Content::Ack { id, payload } => inner.answered(id, payload),
            Content::Event { name, payload, ack } => {
                let sender =
                    inner.inbox().map_err(|()| BadPacket("an event comes before its sender is let in"))?;
                let Some(sender) = sender else { return Ok(()) };
                let ack = ack.map(|id| Ack::new(&inner, id));
                let event = Event { name, payload, ack };
                // As much as there is room for is the most that anything can take.
                let size = message.len().min(self.settings().longest_message);
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                let held = self.hold_back();
                if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(size).await {
                    // Whoever has ended in the meantime hears nothing more.
                    let _ = sender.send(Box::new(Incoming { event, _room: room })).await;
                }
                drop(held);
            }
        }
        Ok(())
    }

    fn ask_to_join(self: &Arc<Self>, wanted: &str, auth: Map<String, Value>) -> Result<(), BadPacket> {
        let Some(namespace) = self.endpoint.namespaces.iter().find(|namespace| **namespace == wanted) else {
            self.send(packet::refused(wanted, "Invalid namespace", None));
            return Ok(());
        };
        let (sender, inbox) = mpsc::channel(INBOX);
        let inner = Inner::new(self, namespace, sender);
        let mut namespaces = self.namespaces();
        match namespaces.find(namespace) {
            Some((_, Standing::In(_))) => return Err(BadPacket("the client is in that namespace already")),
            Some((_, standing)) => *standing = Standing::In(Arc::clone(&inner)),
            None => namespaces.joined.push((namespace, Standing::In(Arc::clone(&inner)))),
        }
        namespaces.alone_since = None;
        drop(namespaces);
        if self.closing.is_cancelled() {
            // It ended while this was added.
            self.leave(&inner, Gone::Lost);
            return Ok(());
        }
        self.common.join.join(inner, auth, inbox);
        Ok(())
    }
}

/// An application behind [`Join`].
pub(super) struct Joining<A> {
    pub(super) application: Arc<A>,
}

impl<A: Application> Join for Joining<A> {
    fn join(&self, inner: Arc<Inner>, auth: Map<String, Value>, inbox: mpsc::Receiver<Box<Incoming>>) {
        let application = Arc::clone(&self.application);
        let tasks = inner.connection.common.tasks.clone();
        tasks.spawn(serve(application, inner, auth, inbox));
    }
}

async fn serve<A: Application>(
    application: Arc<A>,
    inner: Arc<Inner>,
    auth: Map<String, Value>,
    mut inbox: mpsc::Receiver<Box<Incoming>>,
) {
    let session = match decide(&*application, &inner, auth).await {
        Verdict::Accept(session) => session,
        Verdict::Refuse { message, data } => {
            inner.connection.send(packet::refused(inner.namespace, &message, data.as_ref()));
            return inner.connection.leave(&inner, Gone::Disconnected);
        }
        Verdict::Close => return inner.connection.close(Gone::Closed),
    };
    inner.open();
    while let Some(incoming) = inbox.recv().await {
        if inner.ended().is_some_and(|why| !why.is_heard_out()) {
            break;
        }
        let Incoming { event, _room } = *incoming;
        application.event(&session, event).await;
    }
    drop(inbox);
    application.gone(session, inner.ended().unwrap_or(Gone::Lost)).await;
}

/// Has the application decide; the connection does not wait for ever.
async fn decide<A: Application>(
    application: &A,
    inner: &Arc<Inner>,
    auth: Map<String, Value>,
) -> Verdict<A::Session> {
    let connection = &inner.connection;
    let asking = Asking {
        socket: Socket::new(Arc::clone(inner)),
        source: connection.source,
        path: connection.endpoint.path,
        namespace: inner.namespace,
        auth,
        transport: connection.transport(),
    };
    let mut deciding = std::pin::pin!(application.connect(asking));
    tokio::select! {
        verdict = &mut deciding => return verdict,
        () = tokio::time::sleep(connection.settings().decide_within) => connection.close(Gone::Late),
    }
    deciding.await
}
