//! Looking at tasks, and calling them off.

use serde_json::json;

use super::store::{self, State};
use super::tell_after_commit;
use super::work::{about, is_somebodys};
use crate::api::{Task, TaskFilter};
use crate::hub::access::{self, Action, Roles};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::nodes;
use crate::hub::op::Op;
use crate::id::TaskId;

/// Looking at tasks, and at what there is to do in them.
pub const READ: Action = Action::new("task.read", Roles::OPERATORS);
/// Calling one off.
pub const CANCEL: Action = Action::new("task.cancel", Roles::OPERATORS);

/// The most tasks that one answer holds.
const MOST: u32 = 1000;

/// Tasks that pass a filter, the newest first, without what there is to do in them and what came of it.
pub async fn list(op: &Op, hub: &Hub, filter: &TaskFilter) -> Result<Vec<Task>> {
    access::require(op, READ)?;
    let most = filter.limit.unwrap_or(100);
    if !(1..=MOST).contains(&most) {
        return Err(Error::invalid("limit", format!("must be from 1 to {MOST}")));
    }
    let mut reader = hub.store.read().await?;
    let node = match &filter.node {
        Some(name) => Some(nodes::find(&mut reader, name).await?.id),
        None => None,
    };
    store::select(&mut reader, filter, node, most).await
}

/// One task.
pub async fn show(op: &Op, hub: &Hub, id: &str) -> Result<Task> {
    access::require(op, READ)?;
    let mut reader = hub.store.read().await?;
    let task = match id.parse() {
        Ok(id) => store::view(&mut reader, id).await?,
        Err(_) => None,
    };
    task.ok_or_else(|| Error::not_found("task", id))
}

/// Calls a task off. Whoever has taken it hears so on the bus, and its result counts no more.
pub async fn cancel(op: &Op, hub: &Hub, id: &str) -> Result<()> {
    access::require(op, CANCEL)?;
    let id: TaskId = id.parse().map_err(|_| Error::not_found("task", id))?;
    let mut act = hub.store.begin().await?;
    let row = store::by_id(act.connection(), id).await?;
    let row = row.ok_or_else(|| Error::not_found("task", id.to_string()))?;
    match row.state {
        State::Queued | State::Taken => {}
        State::Finished | State::Failed | State::Cancelled => {
            return Err(Error::Conflict(format!("the task is {} already", row.state.word())));
        }
    }
    store::end(&mut act, id, State::Cancelled, op.clock.now(), None, None).await?;
    if is_somebodys(op) {
        let detail = json!({ "kind": row.kind, "key": row.key, "was": row.state });
        hub.record(&mut act, op, about("task.cancelled", id, &row.kind, &row.key, detail)).await?;
    }
    tell_after_commit(&mut act, hub, &row.kind, id, None);
    act.commit().await
}
