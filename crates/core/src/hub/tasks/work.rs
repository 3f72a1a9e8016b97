//! Putting tasks, taking them, and what becomes of them. Each of these is one act, or part of an act of the caller's.

use serde_json::{Value, json};

use super::store::{self, Row, State};
use super::{Failure, MOST_BYTES, NewTask, Put, Taken, TaskKind, later, tell_after_commit};
use crate::clock::from_millis;
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::op::{Actor, Op};
use crate::hub::store::Act;
use crate::id::{NodeId, TaskId};

/// The most tasks that are taken at once.
const MOST: usize = 100;

/// Puts a task into the queue, unless an unfinished one of its kind with its key is there.
pub async fn put(op: &Op, hub: &Hub, task: NewTask) -> Result<Put> {
    let mut act = hub.store.begin().await?;
    let put = put_in(op, hub, &mut act, task).await?;
    act.commit().await?;
    Ok(put)
}

/// As [`put`], as a part of an act: the task is there if and only if the rest is.
pub async fn put_in(op: &Op, hub: &Hub, act: &mut Act, task: NewTask) -> Result<Put> {
    let kind = hub.queue.kind(task.kind)?;
    access::require(op, kind.put)?;
    let now = op.clock.now();
    let (id, payload) = (TaskId::new(), text("payload", &task.payload)?);
    let key = task.key.unwrap_or_else(|| id.to_string());
    if key.is_empty() || key.len() > 500 {
        return Err(Error::invalid("key", "must have from 1 to 500 bytes"));
    }
    let due_at = if task.delay.is_zero() { 0 } else { later(now, task.delay) };
    let row = store::New { id, kind: kind.name, key: &key, node: task.node, payload: &payload, due_at };
    if !store::insert(act, &row, op).await? {
        let id = store::unfinished(act, kind.name, &key).await?;
        let id = id.ok_or_else(|| Error::internal("a task stands in the way that is not there"))?;
        return Ok(Put { id, new: false });
    }
    if is_somebodys(op) {
        let detail = json!({ "kind": kind.name, "key": key });
        hub.record(act, op, about("task.put", id, kind.name, &key, detail)).await?;
    }
    tell_after_commit(act, hub, kind.name, id, (due_at > 0).then_some(due_at));
    Ok(Put { id, new: true })
}

/// Takes up to so many tasks of a kind for a node, those first that have waited longest. Each is the node's until its time
/// is over, unless [`extend`] says that it works on it.
pub async fn take(op: &Op, hub: &Hub, kind: &str, node: NodeId, most: usize) -> Result<Vec<Taken>> {
    let kind = *hub.queue.kind(kind)?;
    access::require(op, kind.take)?;
    let taker = taker(op, node)?;
    let now = op.clock.now();
    // Nothing to take is what most askers hear, and nothing is written for them.
    let mut reader = hub.store.read().await?;
    if store::ready(&mut reader, kind.name, node, now, 1).await?.is_empty() {
        return Ok(Vec::new());
    }
    drop(reader);
    let mut act = hub.store.begin().await?;
    let until = later(now, kind.time_limit);
    let mut taken = Vec::new();
    for row in store::ready(act.connection(), kind.name, node, now, most.min(MOST)).await? {
        let attempt = row.attempt + 1;
        store::take(&mut act, row.id, node, taker, attempt, now, until).await?;
        tell_after_commit(&mut act, hub, kind.name, row.id, Some(until));
        let payload = serde_json::from_str(&row.payload).map_err(Error::internal)?;
        taken.push(Taken { id: row.id, key: row.key, payload, attempt, until: from_millis(until) });
    }
    act.commit().await?;
    Ok(taken)
}

/// Says that an attempt is worked on: it has its whole time again, which is returned.
///
/// # Errors
///
/// [`Error::Conflict`] when the attempt is over; whoever works on it should stop.
pub async fn extend(
    op: &Op,
    hub: &Hub,
    id: TaskId,
    attempt: i64,
    node: NodeId,
) -> Result<time::OffsetDateTime> {
    let mut act = hub.store.begin().await?;
    let (row, kind) = own(op, hub, &mut act, id, node).await?;
    if !is_current(&row, attempt, node) {
        return Err(over(&row, attempt));
    }
    let (now, until) = (op.clock.now(), later(op.clock.now(), kind.time_limit));
    store::extend(&mut act, id, now, until).await?;
    act.commit().await?;
    Ok(from_millis(until))
}

/// Says that an attempt is finished, with its result in the fleet's words. The same again is fine.
///
/// # Errors
///
/// [`Error::Conflict`] when the attempt is over, or was finished with another result.
pub async fn finish(
    op: &Op,
    hub: &Hub,
    id: TaskId,
    attempt: i64,
    node: NodeId,
    result: &Value,
) -> Result<()> {
    let mut act = hub.store.begin().await?;
    finish_in(op, hub, &mut act, id, attempt, node, result).await?;
    act.commit().await
}

/// As [`finish`], as a part of an act: what the result means for others is written with it or not at all.
pub async fn finish_in(
    op: &Op,
    hub: &Hub,
    act: &mut Act,
    id: TaskId,
    attempt: i64,
    node: NodeId,
    result: &Value,
) -> Result<()> {
    let (row, _) = own(op, hub, act, id, node).await?;
    let result = text("result", result)?;
    let same = row.state == State::Finished && row.attempt == attempt && row.taken_by == Some(node);
    if same && row.result.as_deref() == Some(result.as_str()) {
        return Ok(());
    }
    if !is_current(&row, attempt, node) {
        return Err(over(&row, attempt));
    }
    store::end(act, id, State::Finished, op.clock.now(), Some(&result), None).await?;
    tell_after_commit(act, hub, &row.kind, id, None);
    Ok(())
}

/// Says that an attempt failed: the task is tried again after a while, or has failed. The same again is fine.
///
/// # Errors
///
/// [`Error::Conflict`] when the attempt is over.
pub async fn fail(
    op: &Op,
    hub: &Hub,
    id: TaskId,
    attempt: i64,
    node: NodeId,
    failure: &Failure,
) -> Result<()> {
    let mut act = hub.store.begin().await?;
    fail_in(op, hub, &mut act, id, attempt, node, failure).await?;
    act.commit().await
}

/// As [`fail`], as a part of an act.
pub async fn fail_in(
    op: &Op,
    hub: &Hub,
    act: &mut Act,
    id: TaskId,
    attempt: i64,
    node: NodeId,
    failure: &Failure,
) -> Result<()> {
    let (row, kind) = own(op, hub, act, id, node).await?;
    if failure.reason.len() > MOST_BYTES {
        return Err(Error::invalid("reason", format!("must have at most {MOST_BYTES} bytes")));
    }
    // Queued again by itself, or failed, it has no result.
    let reported = row.attempt == attempt && matches!(row.state, State::Queued | State::Failed);
    if reported && row.taken_by == Some(node) && row.error.as_deref() == Some(&failure.reason) {
        return Ok(());
    }
    if !is_current(&row, attempt, node) {
        return Err(over(&row, attempt));
    }
    lose_attempt(op, hub, act, &row, &kind, failure).await
}

/// Ends an attempt without a result.
pub(super) async fn lose_attempt(
    op: &Op,
    hub: &Hub,
    act: &mut Act,
    row: &Row,
    kind: &TaskKind,
    failure: &Failure,
) -> Result<()> {
    let now = op.clock.now();
    if failure.again && row.attempt < i64::from(kind.attempts) {
        let random = u16::from_be_bytes(hub.random.bytes::<2>());
        let due_at = later(now, kind.back_off.pause(row.attempt, random));
        store::requeue(act, row.id, now, due_at, &failure.reason).await?;
        tell_after_commit(act, hub, kind.name, row.id, Some(due_at));
    } else {
        store::end(act, row.id, State::Failed, now, None, Some(&failure.reason)).await?;
        tell_after_commit(act, hub, kind.name, row.id, None);
    }
    Ok(())
}

/// The task, of which somebody says what becomes of it.
async fn own(op: &Op, hub: &Hub, act: &mut Act, id: TaskId, node: NodeId) -> Result<(Row, TaskKind)> {
    let row = store::by_id(act.connection(), id).await?;
    let row = row.ok_or_else(|| Error::not_found("task", id.to_string()))?;
    let kind = *hub.queue.kind(&row.kind)?;
    access::require(op, kind.take)?;
    taker(op, node)?;
    Ok((row, kind))
}

/// A node takes for itself; the hub, on whose connections nodes are, takes for any.
fn taker(op: &Op, node: NodeId) -> Result<&str> {
    match &op.actor {
        Actor::Node { id, name, .. } if *id == node => Ok(name),
        Actor::Hub(_) => Ok(""),
        _ => Err(Error::Forbidden(
            "a task is taken by the node that does it: nobody else may say what became of it".to_owned(),
        )),
    }
}

fn is_current(row: &Row, attempt: i64, node: NodeId) -> bool {
    row.state == State::Taken && row.attempt == attempt && row.taken_by == Some(node)
}

fn over(row: &Row, attempt: i64) -> Error {
    let why = match row.state {
        State::Cancelled => "the task was cancelled",
        State::Finished => "the task was finished already, with what was said then",
        State::Failed => "the task was given up",
        State::Queued => "its time was over, or it failed: the task waits for another one",
        State::Taken => "another one is under way",
    };
    Error::Conflict(format!("attempt {attempt} of task {} counts no more: {why}", row.id))
}

/// Whether an act is worth a line in the audit log: what fleets and nodes do by themselves is not.
pub(super) fn is_somebodys(op: &Op) -> bool {
    !matches!(op.actor, Actor::Hub(_) | Actor::Node { .. })
}

pub(super) fn about(action: &'static str, id: TaskId, kind: &str, key: &str, detail: Value) -> Event {
    let name = if key == id.to_string() { kind.to_owned() } else { format!("{kind} {key}") };
    Event { action, object_kind: "task", object_id: id.to_string(), object_name: name, detail }
}

fn text(field: &str, value: &Value) -> Result<String> {
    let text = value.to_string();
    if text.len() > MOST_BYTES {
        return Err(Error::invalid(field, format!("must have at most {MOST_BYTES} bytes as JSON")));
    }
    // PostgreSQL's text cannot hold it, and escaped it would come back as it was.
    Ok(text)
}
