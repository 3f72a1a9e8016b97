//! Visits: nodes that are connected by a dialect, for as long as that dialect says so.

use std::sync::Arc;

use nave_link::protocol::NodeReport;
use tokio::sync::watch;

use super::keyed::Admitted;
use super::{note_presence, still_member, tell_presence};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::Op;
use crate::id::NodeId;

/// A node's visit. It ends when this is dropped.
pub struct Stay {
    hub: Arc<Hub>,
    op: Op,
    node: NodeId,
    number: u64,
    out: watch::Receiver<Option<String>>,
    address: String,
    left: bool,
}

/// Notes that a node is connected by a dialect: `software` is its program and version (`naisys 3.0.0`), the address that
/// of the operation. If it is connected by a dialect already, that visit is told to end.
///
/// # Errors
///
/// [`Error::Forbidden`] when the node was revoked meanwhile; [`Error::Unavailable`] when that it came cannot be written
/// down at the moment.
pub async fn enter(op: &Op, hub: &Arc<Hub>, admitted: &Admitted, software: &str) -> Result<Stay> {
    // That the node was admitted, which nobody else can claim, is what allows this.
    let op = Op { actor: admitted.actor().clone(), ..op.clone() };
    let node = admitted.node();
    let address = op.source.map(|source| source.to_string()).unwrap_or_default();
    let report = NodeReport { software: software.to_owned(), ..NodeReport::default() };
    note_presence(&op, hub, node, &address, Some(&report)).await?;
    let (number, out) = hub.presence.enter_visit(node, address.clone(), report);
    let stay = Stay { hub: Arc::clone(hub), op, node, number, out, address, left: false };
    tell_presence(hub, node).await;
    // Revoked between the decision and this moment: nobody has put it out yet.
    if !still_member(hub, node).await? {
        return Err(Error::Forbidden("this node was revoked".to_owned()));
    }
    tracing::info!(node = admitted.name(), address = stay.address, software, "node connected");
    Ok(stay)
}

impl Stay {
    /// Waits until the visit has to end, and says why: the node was revoked, a newer connection took its place, or the hub
    /// stops.
    pub async fn ended(&mut self) -> String {
        match self.out.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The visit was taken off with nobody to say why.
            Err(_) => "the connection has ended".to_owned(),
        }
    }

    /// Ends the visit, and returns when everybody knows.
    pub async fn leave(mut self) {
        if let Some(goodbye) = self.end() {
            goodbye.await;
        }
    }

    /// Takes the visit off at once; what is returned tells of it.
    fn end(&mut self) -> Option<impl Future<Output = ()> + Send + 'static + use<>> {
        if std::mem::replace(&mut self.left, true) || !self.hub.presence.leave_visit(self.node, self.number) {
            return None;
        }
        let (hub, op, node) = (Arc::clone(&self.hub), self.op.clone(), self.node);
        let address = std::mem::take(&mut self.address);
        Some(async move {
            tell_presence(&hub, node).await;
            if let Err(error) = note_presence(&op, &hub, node, &address, None).await {
                tracing::warn!(node = op.actor.name(), %error, "a node's going cannot be written down");
            }
        })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(goodbye) = self.end() {
            self.hub.tasks.spawn(goodbye);
        }
    }
}
