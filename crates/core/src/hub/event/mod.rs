//! The audit log: who did what, on what, from where, when. Written in the transaction of the act itself, and told to
//! the bus once that is durable. Who may read it is decided by whoever serves it.

mod store;

use std::fmt;

use futures::stream::{self, Stream};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::error::{Error, Result};
use super::op::Op;
use super::store::{Act, Store};
use crate::clock::to_millis;

/// The topic on which recorded events are told, each as the JSON of a [`Recorded`].
pub const TOPIC: &str = "events";
/// The most that [`list`] gives at once.
pub const MAX_LIST: u32 = 1000;

/// What happened.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// The deed, as `noun.verb`: `node.joined`.
    pub action: &'static str,
    /// The noun it was done to: `node`.
    pub object_kind: &'static str,
    /// Which one; empty if there is only one.
    pub object_id: String,
    /// What a person calls it.
    pub object_name: &'a str,
    /// What else is worth knowing. Never a secret.
    pub detail: Value,
}

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recorded {
    /// Grows in the order of commits.
    pub id: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Kind of whoever did it: [`super::op::Actor::kind`].
    pub actor_kind: String,
    /// Which one.
    pub actor_id: String,
    /// Its name then.
    pub actor_name: String,
    /// The address it came from.
    pub source: Option<String>,
    /// The request that it was part of.
    pub request_id: String,
    /// The deed.
    pub action: String,
    /// The noun it was done to.
    pub object_kind: String,
    /// Which one.
    pub object_id: String,
    /// Its name then.
    pub object_name: String,
    /// What else is worth knowing.
    pub detail: Value,
}

/// Which events to show. Everything that is set must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only events after this one.
    pub after: Option<i64>,
    /// Only events before this one.
    pub before: Option<i64>,
    /// The actor's id or name.
    pub actor: Option<String>,
    /// The deed, or its beginning: `node.` for all that happened to nodes.
    pub action: Option<String>,
    /// The object's id or name.
    pub object: Option<String>,
    /// Not earlier than this.
    pub since: Option<OffsetDateTime>,
    /// Earlier than this.
    pub until: Option<OffsetDateTime>,
}

/// In which order to show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// For following along.
    OldestFirst,
    /// For looking back.
    NewestFirst,
}

/// Writes an event into the act's transaction; returns its id.
pub async fn record(act: &mut Act, op: &Op, event: Event<'_>) -> Result<i64> {
    let mut row = Recorded {
        id: 0,
        at: op.clock.now(),
        actor_kind: op.actor.kind().to_owned(),
        actor_id: op.actor.id(),
        actor_name: op.actor.name(),
        source: op.source.map(|address| address.to_string()),
        request_id: op.request.to_string(),
        action: event.action.to_owned(),
        object_kind: event.object_kind.to_owned(),
        object_id: event.object_id,
        object_name: event.object_name.to_owned(),
        detail: event.detail,
    };
    row.id = store::insert(act.conn(), &row).await?;
    let (bus, id) = (act.bus(), row.id);
    act.after_commit(move || match serde_json::to_string(&row) {
        Ok(text) => bus.publish(TOPIC, text.into()),
        Err(error) => tracing::error!(%error, id, "an event could not be told"),
    });
    Ok(id)
}

/// At most `limit` events (and never more than [`MAX_LIST`]).
pub async fn list(db: &Store, filter: &Filter, order: Order, limit: u32) -> Result<Vec<Recorded>> {
    Ok(store::select(&mut *db.read().await?, filter, order, limit.min(MAX_LIST)).await?)
}

/// Every matching event there is now, oldest first, read page by page: an export of any size costs one page of memory.
pub fn export(db: &Store, filter: Filter) -> impl Stream<Item = Result<Recorded>> + Send + use<> {
    let pages = stream::try_unfold((db.clone(), Some(filter)), |(db, filter)| async move {
        let Some(mut filter) = filter else { return Ok::<_, Error>(None) };
        let page = list(&db, &filter, Order::OldestFirst, MAX_LIST).await?;
        let Some(last) = page.last() else { return Ok(None) };
        let next = (page.len() == MAX_LIST as usize).then(|| {
            filter.after = Some(last.id);
            filter
        });
        Ok(Some((stream::iter(page.into_iter().map(Ok)), (db, next))))
    });
    futures::TryStreamExt::try_flatten(pages)
}

impl Recorded {
    /// One line of JSON, with its line end.
    pub fn to_json_line(&self) -> Result<String> {
        let mut line = serde_json::to_string(self).map_err(Error::internal)?;
        line.push('\n');
        Ok(line)
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {:?}", self.actor_name, self.action, self.object_kind, self.object_name)
    }
}

fn millis(at: Option<OffsetDateTime>) -> Option<i64> {
    at.map(to_millis)
}
