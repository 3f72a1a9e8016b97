//! The table of one-time links.

use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::clock::{from_millis, to_millis};
use crate::hub::error::{Error, Result};
use crate::hub::people::links::LinkKind;
use crate::hub::store::Act;
use crate::id::PersonId;

/// A one-time link as the database has it.
#[derive(Clone, Debug)]
pub struct LinkRow {
    /// What it is for.
    pub kind: LinkKind,
    /// For whom; nobody yet for the first administrator's.
    pub person: Option<PersonId>,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

pub async fn by_secret(reader: &mut AnyConnection, hash: &str) -> Result<Option<LinkRow>> {
    let row = sqlx::query(
        "SELECT kind, person_id, created_by, expires_at FROM person_links WHERE secret_hash = $1",
    )
    .bind(hash)
    .fetch_optional(reader)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let person: Option<String> = row.try_get(1)?;
    Ok(Some(LinkRow {
        kind: LinkKind::from_word(row.try_get(0)?),
        person: person.map(|id| id.parse()).transpose().map_err(Error::internal)?,
        created_by: row.try_get(2)?,
        expires_at: from_millis(row.try_get(3)?),
    }))
}

pub async fn insert(act: &mut Act, row: &LinkRow, secret_hash: &str, now: OffsetDateTime) -> Result<()> {
    sqlx::query(
        "INSERT INTO person_links (secret_hash, kind, person_id, created_at, created_by, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(secret_hash)
    .bind(row.kind.word())
    .bind(row.person.map(|id| id.to_string()))
    .bind(to_millis(now))
    .bind(&row.created_by)
    .bind(to_millis(row.expires_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Uses up a link; returns whether it was there.
pub async fn delete(act: &mut Act, hash: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM person_links WHERE secret_hash = $1")
        .bind(hash)
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes back every link for a person, or with `None` those for the first administrator.
pub async fn delete_of(act: &mut Act, person: Option<PersonId>) -> Result<()> {
    sqlx::query("DELETE FROM person_links WHERE COALESCE(person_id, '') = $1")
        .bind(person.map(|id| id.to_string()).unwrap_or_default())
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Forgets those that ended before a time.
pub async fn delete_ended(act: &mut Act, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM person_links WHERE expires_at <= $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}
