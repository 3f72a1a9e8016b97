//! The statements on `events`.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{Filter, Order, Recorded, millis};
use crate::clock::{from_millis, to_millis};

pub(super) async fn insert(connection: &mut AnyConnection, row: &Recorded) -> Result<i64, sqlx::Error> {
    sqlx::query(
        "INSERT INTO events (at, actor_kind, actor_id, actor_name, source, request_id, \
             action, object_kind, object_id, object_name, detail) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
    )
    .bind(to_millis(row.at))
    .bind(&row.actor_kind)
    .bind(&row.actor_id)
    .bind(&row.actor_name)
    .bind(&row.source)
    .bind(&row.request_id)
    .bind(&row.action)
    .bind(&row.object_kind)
    .bind(&row.object_id)
    .bind(&row.object_name)
    .bind(row.detail.to_string())
    .fetch_one(connection)
    .await?
    .try_get(0)
}

macro_rules! select {
    ($order:literal) => {
        concat!(
            "SELECT id, at, actor_kind, actor_id, actor_name, source, request_id, \
                 action, object_kind, object_id, object_name, detail FROM events \
             WHERE ($1 IS NULL OR id > $1) AND ($2 IS NULL OR id < $2) \
                 AND ($3 IS NULL OR actor_id = $3 OR actor_name = $3) \
                 AND ($4 IS NULL OR substr(action, 1, length($4)) = $4) \
                 AND ($5 IS NULL OR object_id = $5 OR object_name = $5) \
                 AND ($6 IS NULL OR at >= $6) AND ($7 IS NULL OR at < $7) \
             ORDER BY id ",
            $order,
            " LIMIT $8"
        )
    };
}

pub(super) async fn select(
    connection: &mut AnyConnection,
    filter: &Filter,
    order: Order,
    limit: u32,
) -> Result<Vec<Recorded>, sqlx::Error> {
    let sql = match order {
        Order::OldestFirst => select!("ASC"),
        Order::NewestFirst => select!("DESC"),
    };
    sqlx::query(sql)
        .bind(filter.after)
        .bind(filter.before)
        .bind(filter.actor.as_deref())
        .bind(filter.action.as_deref())
        .bind(filter.object.as_deref())
        .bind(millis(filter.since))
        .bind(millis(filter.until))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?
        .iter()
        .map(read)
        .collect()
}

fn read(row: &AnyRow) -> Result<Recorded, sqlx::Error> {
    let detail: String = row.try_get("detail")?;
    Ok(Recorded {
        id: row.try_get("id")?,
        at: from_millis(row.try_get("at")?),
        actor_kind: row.try_get("actor_kind")?,
        actor_id: row.try_get("actor_id")?,
        actor_name: row.try_get("actor_name")?,
        source: row.try_get("source")?,
        request_id: row.try_get("request_id")?,
        action: row.try_get("action")?,
        object_kind: row.try_get("object_kind")?,
        object_id: row.try_get("object_id")?,
        object_name: row.try_get("object_name")?,
        detail: serde_json::from_str(&detail).map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}
