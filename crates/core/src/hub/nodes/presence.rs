//! Who is connected, in memory: the store hears only of coming and going.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nave_link::protocol::{Alive, NodeChanged, NodeReport};
use nave_link::rpc::Peer;
use tokio::sync::watch;

use crate::id::NodeId;

/// How long an older connection has to show that it lives before a newer one takes its place.
const ALIVE_PATIENCE: Duration = Duration::from_secs(5);

/// A node's link.
#[derive(Clone, Debug)]
pub struct Session {
    /// Speaks with the node.
    pub peer: Peer,
    /// Where the link comes from.
    pub address: String,
    report: Arc<Mutex<NodeReport>>,
}

impl Session {
    /// A session on a link that stands.
    pub fn new(peer: Peer, address: String, report: NodeReport) -> Self {
        Self { peer, address, report: Arc::new(Mutex::new(report)) }
    }

    /// What the node said last about itself.
    pub fn report(&self) -> NodeReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what the node says about itself.
    pub fn set_report(&self, report: NodeReport) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}

/// A node's connection by a dialect, which has no link.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Where it comes from.
    pub address: String,
    /// What is known of the node's program.
    pub report: NodeReport,
    number: u64,
    out: watch::Sender<Option<String>>,
}

impl Visit {
    /// The end of a visit is told to whoever waits for it, not to the visit itself.
    fn end(&self, reason: &str) {
        self.out.send_replace(Some(reason.to_owned()));
    }
}

/// A visit as its dialect has it: its number, and why it has to end.
pub(super) type Visitor = (u64, watch::Receiver<Option<String>>);

/// How many nodes can be told of at the same time.
const SHARDS: usize = 32;

/// All links and visits, by node.
#[derive(Debug, Default)]
pub struct Presence {
    sessions: Mutex<HashMap<NodeId, Session>>,
    visits: Mutex<HashMap<NodeId, Visit>>,
    visited: AtomicU64,
    told: [tokio::sync::Mutex<HashSet<NodeId>>; SHARDS],
}

impl Presence {
    /// The link of a node, if it has one.
    pub fn session(&self, node: NodeId) -> Option<Session> {
        self.sessions().get(&node).cloned()
    }

    /// The visit of a node by a dialect, if it is on one.
    pub fn visit(&self, node: NodeId) -> Option<Visit> {
        self.visits().get(&node).cloned()
    }

    /// Whether a node is connected: by its link, or as a dialect says.
    pub fn is_here(&self, node: NodeId) -> bool {
        self.sessions().contains_key(&node) || self.visits().contains_key(&node)
    }

    /// How many nodes are connected.
    pub fn count(&self) -> usize {
        let visits: Vec<NodeId> = self.visits().keys().copied().collect();
        let sessions = self.sessions();
        sessions.len() + visits.iter().filter(|node| !sessions.contains_key(node)).count()
    }

    /// Whether a node's key is connected from somewhere that still lives. An older connection that does not answer is
    /// closed.
    pub async fn is_taken(&self, node: NodeId) -> Option<Session> {
        let older = self.session(node)?;
        if older.peer.call(&Alive {}, ALIVE_PATIENCE).await.is_ok() {
            return Some(older);
        }
        older.peer.close("a newer connection with the same key took its place");
        None
    }

    /// Enters a link; the caller has made sure that no other one lives.
    pub fn enter(&self, node: NodeId, session: Session) {
        if let Some(older) = self.sessions().insert(node, session) {
            older.peer.close("a newer connection with the same key took its place");
        }
    }

    /// Takes a link off, unless another one has taken its place. Returns whether it did.
    pub fn leave(&self, node: NodeId, peer: &Peer) -> bool {
        let mut sessions = self.sessions();
        let ours = sessions.get(&node).is_some_and(|session| session.peer.is(peer));
        if ours {
            sessions.remove(&node);
        }
        ours
    }

    /// Enters a visit; the dialect has made sure that no other one lives.
    pub(super) fn enter_visit(&self, node: NodeId, address: String, report: NodeReport) -> Visitor {
        let number = self.visited.fetch_add(1, Ordering::Relaxed);
        let (out, ended) = watch::channel(None);
        if let Some(older) = self.visits().insert(node, Visit { address, report, number, out }) {
            older.end("a newer connection with the same key took its place");
        }
        (number, ended)
    }

    /// Takes a visit off, unless another one has taken its place. Returns whether it did.
    pub(super) fn leave_visit(&self, node: NodeId, number: u64) -> bool {
        let mut visits = self.visits();
        let ours = visits.get(&node).is_some_and(|visit| visit.number == number);
        if ours {
            visits.remove(&node);
        }
        ours
    }

    /// The nodes of which fleets were told last that they are here, among them this one if it was. Whoever holds it tells
    /// fleets of this node, and nobody else does.
    pub(super) fn told(&self, node: NodeId) -> &tokio::sync::Mutex<HashSet<NodeId>> {
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        let shard = usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or(0);
        &self.told[shard]
    }

    /// Ends a node's link, and its visit.
    pub fn put_out(&self, node: NodeId, reason: &str) {
        let session = self.sessions().remove(&node);
        if let Some(session) = session {
            session.peer.close(reason);
        }
        let visit = self.visits().remove(&node);
        if let Some(visit) = visit {
            visit.end(reason);
        }
    }

    /// Tells a node what the hub now calls it.
    pub async fn tell_changed(&self, node: NodeId, changed: NodeChanged) {
        if let Some(session) = self.session(node) {
            // A node that is just leaving learns it when it comes back.
            let _ = session.peer.notify(&changed).await;
        }
    }

    /// Ends all links and visits: the hub stops.
    pub fn close_all(&self, reason: &str) {
        for (_, session) in self.sessions().drain() {
            session.peer.close(reason);
        }
        for (_, visit) in self.visits().drain() {
            visit.end(reason);
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<NodeId, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visits(&self) -> MutexGuard<'_, HashMap<NodeId, Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
