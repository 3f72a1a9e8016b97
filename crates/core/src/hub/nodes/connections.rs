//! What nodes have open beside their control connections: links of fleets, and connections of programs that came with a
//! node's key. Each stands as long as its node is a member and may do what it was opened for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{actor, store};
use crate::api::NodeStatus;
use crate::hub::access::{self, Action, Scope};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::{Actor, Op};
use crate::id::NodeId;

/// Ends a connection, for a reason that is told to the other side where there is a way to tell it. Must not block.
type End = Box<dyn Fn(&str) + Send + Sync>;

/// The connections that stand, by node.
#[derive(Default)]
pub struct Connections(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_node: HashMap<NodeId, Vec<Arc<Connection>>>,
    last: u64,
}

struct Connection {
    number: u64,
    for_what: Action,
    end: End,
}

/// A connection that stands as long as this is here.
pub struct Connected {
    hub: Arc<Hub>,
    node: NodeId,
    number: u64,
}

impl Connections {
    /// Takes note of a connection, which is ended as soon as its node is a member no longer, or may not do any more what
    /// the connection is for. One that is not allowed by now is ended at once.
    pub async fn enter(
        hub: &Arc<Hub>,
        node: NodeId,
        for_what: Action,
        end: impl Fn(&str) + Send + Sync + 'static,
    ) -> Connected {
        let number = {
            let mut known = hub.connections.known();
            known.last += 1;
            let number = known.last;
            let connection = Connection { number, for_what, end: Box::new(end) };
            known.by_node.entry(node).or_default().push(Arc::new(connection));
            number
        };
        let connected = Connected { hub: Arc::clone(hub), node, number };
        // What changed before the connection was known has ended nothing yet.
        hub.connections.review(hub, node).await;
        connected
    }

    /// Looks at the connections of a node again, after its membership or its rights have changed. Where that cannot be
    /// looked up they end too: whoever may have them comes back.
    pub(crate) async fn review(&self, hub: &Hub, node: NodeId) {
        let standing = self.known().by_node.get(&node).cloned().unwrap_or_default();
        if standing.is_empty() {
            return;
        }
        let who = now(hub, node).await;
        for connection in standing {
            let why = match &who {
                Ok(op) if access::allows(op, connection.for_what, &Scope::Everything) => continue,
                Ok(op) => missing(op, connection.for_what),
                Err(error) => error.message(),
            };
            tracing::info!(%node, why, "a connection ends");
            self.forget(node, connection.number);
            (connection.end)(&why);
        }
    }

    fn forget(&self, node: NodeId, number: u64) {
        let mut known = self.known();
        if let Some(here) = known.by_node.get_mut(&node) {
            here.retain(|connection| connection.number != number);
            if here.is_empty() {
                known.by_node.remove(&node);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node with the rights that it has by now.
async fn now(hub: &Hub, node: NodeId) -> Result<Op> {
    let mut reader = hub.store.read().await?;
    match store::by_id(&mut reader, node).await? {
        Some(row) if row.status == NodeStatus::Active => {
            Ok(Op { actor: actor(&mut reader, &row).await?, ..hub.op("connections.review") })
        }
        _ => Err(Error::Forbidden("this node was revoked".to_owned())),
    }
}

/// What a node lacks, in few words: a WebSocket carries no more than 123 bytes of a reason.
fn missing(op: &Op, action: Action) -> String {
    match op.actor {
        Actor::Person(_) => format!("{action} takes the role {}, which its person has no more", action.roles),
        _ => format!("{action} takes the role {}, which this node does not have", action.nodes),
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.hub.connections.forget(self.node, self.number);
    }
}
