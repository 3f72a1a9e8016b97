//! The table of sessions.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::clock::{from_millis, to_millis};
use crate::hub::error::{Error, Result};
use crate::hub::people::sessions::Stage;
use crate::hub::store::Act;
use crate::id::{PersonId, SessionId};

/// A session as the database has it.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub person: PersonId,
    /// How far the sign-in has come.
    pub stage: Stage,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    pub last_seen_at: OffsetDateTime,
    /// When it ends at the latest.
    pub expires_at: OffsetDateTime,
    /// From where it came last.
    pub address: String,
    /// The browser, as it calls itself.
    pub agent: String,
    /// The provider that vouched for it.
    pub provider: Option<String>,
    /// What that provider gave, sealed.
    pub tokens: Option<String>,
}

const COLUMNS: &str = "SELECT id, person_id, stage, created_at, last_seen_at, expires_at, address, agent, provider, \
     tokens FROM sessions";

async fn fetch(reader: &mut AnyConnection, tail: &'static str, value: &str) -> Result<Vec<SessionRow>> {
    // Two constants make the text; the value is bound.
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {tail}"));
    let rows = sqlx::query(sql).bind(value).fetch_all(reader).await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<SessionRow> {
    let time = |column: &str| -> Result<OffsetDateTime> { Ok(from_millis(row.try_get(column)?)) };
    Ok(SessionRow {
        id: row.try_get::<String, _>("id")?.parse().map_err(Error::internal)?,
        person: row.try_get::<String, _>("person_id")?.parse().map_err(Error::internal)?,
        stage: Stage::from_word(&row.try_get::<String, _>("stage")?),
        created_at: time("created_at")?,
        last_seen_at: time("last_seen_at")?,
        expires_at: time("expires_at")?,
        address: row.try_get("address")?,
        agent: row.try_get("agent")?,
        provider: row.try_get("provider")?,
        tokens: row.try_get("tokens")?,
    })
}

pub async fn by_secret(reader: &mut AnyConnection, hash: &str) -> Result<Option<SessionRow>> {
    Ok(fetch(reader, "WHERE secret_hash = $1", hash).await?.into_iter().next())
}

pub async fn by_id(reader: &mut AnyConnection, id: SessionId) -> Result<Option<SessionRow>> {
    Ok(fetch(reader, "WHERE id = $1", &id.to_string()).await?.into_iter().next())
}

/// The finished ones of a person, the last used first.
pub async fn of_person(reader: &mut AnyConnection, person: PersonId) -> Result<Vec<SessionRow>> {
    let tail = "WHERE person_id = $1 AND stage = 'done' ORDER BY last_seen_at DESC, id";
    fetch(reader, tail, &person.to_string()).await
}

/// Those that a provider vouches for.
pub async fn vouched_for(reader: &mut AnyConnection) -> Result<Vec<SessionRow>> {
    fetch(reader, "WHERE provider <> $1 AND stage = 'done' ORDER BY id", "").await
}

pub async fn insert(act: &mut Act, row: &SessionRow, secret_hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO sessions (id, secret_hash, person_id, stage, created_at, last_seen_at, expires_at, address, agent, \
         provider, tokens) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(row.id.to_string())
    .bind(secret_hash)
    .bind(row.person.to_string())
    .bind(row.stage.word())
    .bind(to_millis(row.created_at))
    .bind(to_millis(row.last_seen_at))
    .bind(to_millis(row.expires_at))
    .bind(&row.address)
    .bind(&row.agent)
    .bind(row.provider.as_deref())
    .bind(row.tokens.as_deref())
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Notes that a session was used.
pub async fn seen(act: &mut Act, id: SessionId, now: OffsetDateTime, address: &str) -> Result<()> {
    sqlx::query("UPDATE sessions SET last_seen_at = $2, address = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_millis(now))
        .bind(address)
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Keeps what a provider gave anew.
pub async fn set_tokens(act: &mut Act, id: SessionId, sealed: &str) -> Result<()> {
    sqlx::query("UPDATE sessions SET tokens = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(sealed)
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Returns whether it was there.
pub async fn delete(act: &mut Act, id: SessionId) -> Result<bool> {
    let done = sqlx::query("DELETE FROM sessions WHERE id = $1")
        .bind(id.to_string())
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends all of a person but one; returns how many.
pub async fn delete_of(act: &mut Act, person: PersonId, but: Option<SessionId>) -> Result<u64> {
    let done = sqlx::query("DELETE FROM sessions WHERE person_id = $1 AND id <> $2")
        .bind(person.to_string())
        .bind(but.map(|id| id.to_string()).unwrap_or_default())
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}

/// Forgets those that have ended; returns how many.
pub async fn delete_ended(act: &mut Act, now: OffsetDateTime, idle_since: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2")
        .bind(to_millis(now))
        .bind(to_millis(idle_since))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}
