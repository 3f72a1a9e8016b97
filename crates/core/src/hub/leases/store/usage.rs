//! What the table of leases tells about how resources were used. What lies within one span is added up in the database.

use sqlx::{AnyConnection, Row as _};

use super::super::usage::{Spans, Usage};
use crate::clock::to_millis;
use crate::hub::error::Result;

/// How a pool's resources were used; leases that are held end at `now`, in milliseconds.
pub(in crate::hub::leases) async fn usage(
    reader: &mut AnyConnection,
    pool: &str,
    spans: Spans,
    now: i64,
) -> Result<Usage> {
    let mut usage = Usage::none(spans);
    let (from, length) = (to_millis(spans.from), spans.length_millis());
    let within = sqlx::query(
        "SELECT resource, (granted_at - $2) / $3, CAST(SUM(ended_at - granted_at) AS BIGINT), COUNT(*), \
         COUNT(asked_at) FROM leases WHERE pool = $1 AND ended_at >= $2 AND granted_at >= $2 \
         AND (granted_at - $2) / $3 = (ended_at - $2) / $3 GROUP BY 1, 2",
    );
    for row in within.bind(pool).bind(from).bind(length).fetch_all(&mut *reader).await? {
        usage.add_within(
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
        );
    }
    let across = sqlx::query(
        "SELECT resource, granted_at, ended_at, asked_at FROM leases WHERE pool = $1 AND (ended_at IS NULL \
         OR (ended_at >= $2 AND (granted_at < $2 OR (granted_at - $2) / $3 <> (ended_at - $2) / $3)))",
    );
    for row in across.bind(pool).bind(from).bind(length).fetch_all(&mut *reader).await? {
        let resource: String = row.try_get(0)?;
        let ended: Option<i64> = row.try_get(2)?;
        let asked: Option<i64> = row.try_get(3)?;
        usage.add_across(&resource, row.try_get(1)?, ended.unwrap_or(now), asked.is_some());
    }
    let waited = sqlx::query(
        "SELECT resource, granted_at, granted_at - asked_at FROM leases WHERE pool = $1 AND asked_at < granted_at \
         AND granted_at >= $2 AND (ended_at IS NULL OR ended_at >= $2)",
    );
    for row in waited.bind(pool).bind(from).fetch_all(reader).await? {
        usage.add_wait(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    }
    Ok(usage)
}
