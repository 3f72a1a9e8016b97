//! What the table of leases tells about how resources were used.

use futures::TryStreamExt as _;
use sqlx::{AnyConnection, Row as _};

use super::super::usage::{Spans, Usage};
use crate::clock::to_millis;
use crate::hub::error::Result;

/// How a pool's resources were used; leases that are held end at `now`, in milliseconds. One pass over one index, which
/// holds all that is asked: adding up in the database takes longer.
pub(in crate::hub::leases) async fn usage(
    reader: &mut AnyConnection,
    pool: &str,
    spans: Spans,
    now: i64,
) -> Result<Usage> {
    let mut usage = Usage::none(spans);
    let query = sqlx::query(
        "SELECT resource, granted_at, ended_at, asked_at FROM leases WHERE pool = $1 AND ended_at >= $2 UNION ALL \
         SELECT resource, granted_at, ended_at, asked_at FROM leases WHERE pool = $1 AND ended_at IS NULL",
    );
    let mut rows = query.bind(pool).bind(to_millis(spans.from)).fetch(reader);
    while let Some(row) = rows.try_next().await? {
        let ended: Option<i64> = row.try_get(2)?;
        usage.add(row.try_get(0)?, row.try_get(1)?, ended.unwrap_or(now), row.try_get(3)?);
    }
    Ok(usage)
}
