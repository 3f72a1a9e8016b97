//! The audit log: who did what, to what, from where, when. An event is written in the transaction of the act it
//! tells of, so that neither exists without the other.

mod store;

use serde_json::Value;
use sqlx::Row as _;

use super::access::{self, Action, Roles};
use super::bus::{Bus, Notice};
use super::error::{Error, Result};
use super::op::Op;
use super::store::{Act, Store};
use crate::api::{Event as EventView, EventFilter};

/// Reading the audit log.
pub const READ: Action = Action::new("event.read", Roles::OPERATORS);

/// The most events that one answer holds.
pub const MAX_PAGE: u32 = 1000;

/// What happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// A verb in the past, after its noun: `node.joined`.
    pub action: &'static str,
    /// The noun.
    pub object_kind: &'static str,
    /// Its id.
    pub object_id: String,
    /// Its name at that time.
    pub object_name: String,
    /// What else is worth knowing; no secrets.
    pub detail: Value,
}

/// Writes an event into an act.
pub async fn record(act: &mut Act, op: &Op, bus: &std::sync::Arc<dyn Bus>, event: Event) -> Result<()> {
    record_all(act, bus, &[(op, &event)]).await
}

/// Writes events into an act.
pub(super) async fn record_all(
    act: &mut Act,
    bus: &std::sync::Arc<dyn Bus>,
    events: &[(&Op, &Event)],
) -> Result<()> {
    let numbers = store::insert(act, events).await?;
    let bus = std::sync::Arc::clone(bus);
    act.after_commit(move || {
        for number in numbers {
            bus.publish(Notice { topic: "event", key: number.to_string() });
        }
    });
    Ok(())
}

/// Events that pass a filter, the oldest first when it asks for those after a number, else the newest first.
pub async fn list(op: &Op, store: &Store, filter: &EventFilter) -> Result<Vec<EventView>> {
    access::require(op, READ)?;
    if filter.limit.is_some_and(|limit| !(1..=MAX_PAGE).contains(&limit)) {
        return Err(Error::invalid("limit", format!("must be from 1 to {MAX_PAGE}")));
    }
    let mut reader = store.read().await?;
    let rows = store::select(&mut reader, filter).await?;
    rows.iter().map(view).collect()
}

/// The last that happened to one thing, the newest first.
pub async fn of_object(op: &Op, store: &Store, kind: &str, id: &str, limit: u32) -> Result<Vec<EventView>> {
    access::require(op, READ)?;
    let mut reader = store.read().await?;
    store::of_object(&mut reader, kind, id, limit).await?.iter().map(view).collect()
}

/// The last event of one action, if there is one.
pub async fn last(store: &Store, action: &str) -> Result<Option<EventView>> {
    let filter = EventFilter { action: Some(action.to_owned()), limit: Some(1), ..EventFilter::default() };
    let mut reader = store.read().await?;
    let rows = store::select(&mut reader, &filter).await?;
    rows.first().map(view).transpose()
}

/// Whether this happened to a thing after a time.
pub(super) async fn was_noted(
    reader: &mut sqlx::AnyConnection,
    kind: &str,
    id: &str,
    action: &str,
    since: time::OffsetDateTime,
) -> Result<bool> {
    store::was_noted(reader, kind, id, action, since).await
}

/// Forgets events older than a time; returns how many.
pub async fn forget_before(op: &Op, store: &Store, before: time::OffsetDateTime) -> Result<u64> {
    access::require(op, READ)?;
    let mut act = store.begin().await?;
    let forgotten = store::delete_before(&mut act, before).await?;
    act.commit().await?;
    Ok(forgotten)
}

fn view(row: &sqlx::any::AnyRow) -> Result<EventView> {
    let detail: String = row.try_get("detail")?;
    Ok(EventView {
        id: row.try_get("id")?,
        at: crate::clock::from_millis(row.try_get("at")?),
        actor_kind: row.try_get("actor_kind")?,
        actor_id: row.try_get("actor_id")?,
        actor: row.try_get("actor_name")?,
        source: row.try_get("source")?,
        request: row.try_get("request")?,
        action: row.try_get("action")?,
        object_kind: row.try_get("object_kind")?,
        object_id: row.try_get("object_id")?,
        object: row.try_get("object_name")?,
        detail: serde_json::from_str(&detail).unwrap_or(Value::Null),
    })
}
