//! The table of those who ask to be let in.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::api::{AccessRequest, NewAccessRequest};
use crate::clock::{from_millis, to_millis};
use crate::hub::error::Result;
use crate::hub::store::Act;
use crate::id::AccessRequestId;

const COLUMNS: &str =
    "SELECT id, email, name, message, source, status, created_at, decided_by FROM access_requests";

async fn fetch(reader: &mut AnyConnection, tail: &'static str, value: &str) -> Result<Vec<AccessRequest>> {
    // Two constants make the text; the value is bound.
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {tail}"));
    let rows = sqlx::query(sql).bind(value).fetch_all(reader).await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<AccessRequest> {
    Ok(AccessRequest {
        id: row.try_get("id")?,
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        message: row.try_get("message")?,
        source: row.try_get("source")?,
        status: row.try_get("status")?,
        created_at: from_millis(row.try_get("created_at")?),
        decided_by: row.try_get("decided_by")?,
    })
}

/// Those in one state, the newest first.
pub async fn in_state(reader: &mut AnyConnection, status: &str) -> Result<Vec<AccessRequest>> {
    fetch(reader, "WHERE status = $1 ORDER BY id DESC LIMIT 1000", status).await
}

pub async fn by_id(reader: &mut AnyConnection, id: AccessRequestId) -> Result<Option<AccessRequest>> {
    Ok(fetch(reader, "WHERE id = $1", &id.to_string()).await?.into_iter().next())
}

/// Whether an address waits already, and how many wait altogether.
pub async fn waiting(reader: &mut AnyConnection, email: &str) -> Result<(bool, i64)> {
    let row = sqlx::query(
        "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN lower(email) = lower($1) THEN 1 ELSE 0 END), 0) AS BIGINT) \
         FROM access_requests WHERE status = 'open'",
    )
    .bind(email)
    .fetch_one(reader)
    .await?;
    Ok((row.try_get::<i64, _>(1)? > 0, row.try_get(0)?))
}

pub async fn insert(
    act: &mut Act,
    id: AccessRequestId,
    request: &NewAccessRequest,
    source: &str,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO access_requests (id, email, name, message, source, created_at, status) \
         VALUES ($1, $2, $3, $4, $5, $6, 'open')",
    )
    .bind(id.to_string())
    .bind(&request.email)
    .bind(&request.name)
    .bind(&request.message)
    .bind(source)
    .bind(to_millis(now))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Decides; returns whether it was open.
pub async fn decide(
    act: &mut Act,
    id: AccessRequestId,
    status: &str,
    by: &str,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE access_requests SET status = $2, decided_by = $3, decided_at = $4 WHERE id = $1 AND status = 'open'",
    )
    .bind(id.to_string())
    .bind(status)
    .bind(by)
    .bind(to_millis(now))
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}
