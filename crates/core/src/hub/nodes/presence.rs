//! Who is connected, in memory: the store hears only of coming and going.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nave_link::protocol::{Alive, NodeChanged, NodeReport};
use nave_link::rpc::Peer;

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

/// All links, by node.
#[derive(Debug, Default)]
pub struct Presence {
    sessions: Mutex<HashMap<NodeId, Session>>,
}

impl Presence {
    /// The link of a node, if it has one.
    pub fn session(&self, node: NodeId) -> Option<Session> {
        self.sessions().get(&node).cloned()
    }

    /// How many nodes are connected.
    pub fn count(&self) -> usize {
        self.sessions().len()
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

    /// Ends a node's link.
    pub fn put_out(&self, node: NodeId, reason: &str) {
        let session = self.sessions().remove(&node);
        if let Some(session) = session {
            session.peer.close(reason);
        }
    }

    /// Tells a node what the hub now calls it.
    pub async fn tell_changed(&self, node: NodeId, changed: NodeChanged) {
        if let Some(session) = self.session(node) {
            // A node that is just leaving learns it when it comes back.
            let _ = session.peer.notify(&changed).await;
        }
    }

    /// Ends all links: the hub stops.
    pub fn close_all(&self, reason: &str) {
        for (_, session) in self.sessions().drain() {
            session.peer.close(reason);
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<NodeId, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
