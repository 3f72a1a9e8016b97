//! The table of command lines that wait to be let in.

use nave_link::key::PublicKey;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::clock::{from_millis, to_millis};
use crate::hub::error::{Error, Result};
use crate::hub::store::Act;
use crate::id::{DeviceRequestId, NodeId, PersonId};

/// A command line that waits, as the database has it.
#[derive(Clone, Debug)]
pub struct DeviceRow {
    /// Its id.
    pub id: DeviceRequestId,
    /// What a person types or compares.
    pub user_code: String,
    /// The key that it proved.
    pub key: PublicKey,
    /// What it would like to be called.
    pub name: String,
    /// Where it came from.
    pub source: String,
    /// `waiting`, `approved` or `denied`.
    pub status: String,
    /// The node that it became.
    pub node: Option<NodeId>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

const COLUMNS: &str = "SELECT id, user_code, public_key, name, source, status, node_id, created_at, expires_at \
     FROM device_requests";

async fn fetch(reader: &mut AnyConnection, tail: &'static str, value: &str) -> Result<Option<DeviceRow>> {
    // Two constants make the text; the value is bound.
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {tail}"));
    let row = sqlx::query(sql).bind(value).fetch_optional(reader).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &AnyRow) -> Result<DeviceRow> {
    let text = |column: &str| -> Result<String> { Ok(row.try_get(column)?) };
    let node: Option<String> = row.try_get("node_id")?;
    Ok(DeviceRow {
        id: text("id")?.parse().map_err(Error::internal)?,
        user_code: text("user_code")?,
        key: text("public_key")?.parse().map_err(Error::internal)?,
        name: text("name")?,
        source: text("source")?,
        status: text("status")?,
        node: node.map(|id| id.parse()).transpose().map_err(Error::internal)?,
        created_at: from_millis(row.try_get("created_at")?),
        expires_at: from_millis(row.try_get("expires_at")?),
    })
}

pub async fn by_user_code(reader: &mut AnyConnection, code: &str) -> Result<Option<DeviceRow>> {
    fetch(reader, "WHERE user_code = $1", code).await
}

pub async fn by_secret(reader: &mut AnyConnection, hash: &str) -> Result<Option<DeviceRow>> {
    fetch(reader, "WHERE secret_hash = $1", hash).await
}

pub async fn insert(act: &mut Act, row: &DeviceRow, secret_hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO device_requests (id, user_code, secret_hash, public_key, name, source, status, created_at, \
         expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.id.to_string())
    .bind(&row.user_code)
    .bind(secret_hash)
    .bind(row.key.to_string())
    .bind(&row.name)
    .bind(&row.source)
    .bind(&row.status)
    .bind(to_millis(row.created_at))
    .bind(to_millis(row.expires_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Decides; returns whether it still waited.
pub async fn decide(
    act: &mut Act,
    id: DeviceRequestId,
    status: &str,
    person: PersonId,
    node: Option<NodeId>,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE device_requests SET status = $2, person_id = $3, node_id = $4 WHERE id = $1 AND status = 'waiting'",
    )
    .bind(id.to_string())
    .bind(status)
    .bind(person.to_string())
    .bind(node.map(|id| id.to_string()))
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// How many wait.
pub async fn count_waiting(reader: &mut AnyConnection, now: OffsetDateTime) -> Result<i64> {
    let count = sqlx::query_scalar(
        "SELECT COUNT(*) FROM device_requests WHERE status = 'waiting' AND expires_at > $1",
    )
    .bind(to_millis(now))
    .fetch_one(reader)
    .await?;
    Ok(count)
}

/// Forgets those that ended before a time.
pub async fn delete_ended(act: &mut Act, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM device_requests WHERE expires_at <= $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}
