//! The audit log's table.

use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use time::OffsetDateTime;

use super::Event;
use crate::api::EventFilter;
use crate::clock::to_millis;
use crate::hub::error::Result;
use crate::hub::op::Op;
use crate::hub::store::Act;

pub(super) async fn insert(act: &mut Act, op: &Op, event: &Event) -> Result<i64> {
    let id = sqlx::query_scalar(
        "INSERT INTO events (at, actor_kind, actor_id, actor_name, source, request, action, object_kind, object_id, \
         object_name, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
    )
    .bind(to_millis(op.clock.now()))
    .bind(op.actor.kind())
    .bind(op.actor.id())
    .bind(op.actor.name())
    .bind(op.source.map(|source| source.to_string()))
    .bind(op.request.to_string())
    .bind(event.action)
    .bind(event.object_kind)
    .bind(&event.object_id)
    .bind(&event.object_name)
    .bind(event.detail.to_string())
    .fetch_one(act.connection())
    .await?;
    Ok(id)
}

/// One text for every combination of filters: a filter that is not set lets everything pass.
const SELECT: &str = "SELECT id, at, actor_kind, actor_id, actor_name, source, request, action, object_kind, \
     object_id, object_name, detail FROM events \
     WHERE id > $1 AND id < $2 AND at >= $3 AND at < $4 \
     AND ($5 = '' OR action = $5 OR action LIKE $6) \
     AND ($7 = '' OR actor_name = $7 OR actor_id = $7) \
     AND ($8 = '' OR object_name = $8 OR object_id = $8 OR object_kind = $8)";

pub(super) async fn select(reader: &mut AnyConnection, filter: &EventFilter) -> Result<Vec<AnyRow>> {
    let action = filter.action.clone().unwrap_or_default();
    let order =
        if filter.after.is_some() { " ORDER BY id ASC LIMIT $9" } else { " ORDER BY id DESC LIMIT $9" };
    // The text is put together from two constants; every value is bound.
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT}{order}")))
        .bind(filter.after.unwrap_or(-1))
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(filter.since.map_or(i64::MIN, to_millis))
        .bind(filter.until.map_or(i64::MAX, to_millis))
        .bind(&action)
        .bind(format!("{action}.%"))
        .bind(filter.actor.clone().unwrap_or_default())
        .bind(filter.object.clone().unwrap_or_default())
        .bind(i64::from(filter.limit.unwrap_or(100)))
        .fetch_all(reader)
        .await?;
    Ok(rows)
}

pub(super) async fn delete_before(act: &mut Act, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM events WHERE at < $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}
