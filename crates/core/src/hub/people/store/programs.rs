//! The tables of programs into which people signed in, with the secrets by which those get tokens.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::clock::{from_millis, to_millis};
use crate::hub::error::{Error, Result};
use crate::hub::store::Act;
use crate::id::{PersonId, SignInId};

/// A sign-in as the database has it.
#[derive(Clone, Debug)]
pub struct SignInRow {
    /// Its id.
    pub id: SignInId,
    /// Whose it is.
    pub person: PersonId,
    /// Which program: its `client_id`.
    pub program: String,
    /// Where the program was.
    pub address: String,
    /// What goes into its first token; may be empty.
    pub nonce: String,
    /// The hash of what the program proves itself with.
    pub challenge: String,
    /// When its person agreed.
    pub created_at: OffsetDateTime,
    /// When the program last got a token.
    pub last_used_at: OffsetDateTime,
}

/// What a program shows to get a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the browser brought.
    Code,
    /// What came with the last token.
    Refresh,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Refresh => "refresh",
        }
    }
}

/// A secret that was shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The sign-in that it belongs to.
    pub sign_in: SignInRow,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// Whether it was used before.
    pub used: bool,
}

const COLUMNS: &str = "SELECT s.id, s.person_id, s.program, s.address, s.nonce, s.challenge, s.created_at, \
     s.last_used_at FROM program_sign_ins s";

fn read(row: &AnyRow) -> Result<SignInRow> {
    let text = |column: &str| -> Result<String> { Ok(row.try_get(column)?) };
    Ok(SignInRow {
        id: text("id")?.parse().map_err(Error::internal)?,
        person: text("person_id")?.parse().map_err(Error::internal)?,
        program: text("program")?,
        address: text("address")?,
        nonce: text("nonce")?,
        challenge: text("challenge")?,
        created_at: from_millis(row.try_get("created_at")?),
        last_used_at: from_millis(row.try_get("last_used_at")?),
    })
}

async fn fetch(reader: &mut AnyConnection, tail: &'static str, value: &str) -> Result<Vec<SignInRow>> {
    // Two constants make the text; the value is bound.
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {tail}"));
    sqlx::query(sql).bind(value).fetch_all(reader).await?.iter().map(read).collect()
}

pub async fn by_id(reader: &mut AnyConnection, id: SignInId) -> Result<Option<SignInRow>> {
    Ok(fetch(reader, "WHERE s.id = $1", &id.to_string()).await?.into_iter().next())
}

/// A person's whose program got a token, the newest first.
pub async fn of_person(reader: &mut AnyConnection, person: PersonId) -> Result<Vec<SignInRow>> {
    let tail = "WHERE s.person_id = $1 AND EXISTS (SELECT 1 FROM program_secrets p WHERE p.sign_in_id = s.id \
         AND p.kind = 'refresh') ORDER BY s.id DESC";
    fetch(reader, tail, &person.to_string()).await
}

/// The secret of that kind and hash.
pub async fn by_secret(reader: &mut AnyConnection, kind: Kind, hash: &str) -> Result<Option<Shown>> {
    let found = sqlx::query(
        "SELECT sign_in_id, expires_at, used FROM program_secrets WHERE secret_hash = $1 AND kind = $2",
    )
    .bind(hash)
    .bind(kind.word())
    .fetch_optional(&mut *reader)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let id: String = row.try_get("sign_in_id")?;
    let sign_in = by_id(reader, id.parse().map_err(Error::internal)?).await?;
    let (expires_at, used) = (from_millis(row.try_get("expires_at")?), row.try_get::<i64, _>("used")? != 0);
    Ok(sign_in.map(|sign_in| Shown { sign_in, expires_at, used }))
}

pub async fn insert(act: &mut Act, row: &SignInRow) -> Result<()> {
    sqlx::query(
        "INSERT INTO program_sign_ins (id, person_id, program, address, nonce, challenge, created_at, last_used_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(row.id.to_string())
    .bind(row.person.to_string())
    .bind(&row.program)
    .bind(&row.address)
    .bind(&row.nonce)
    .bind(&row.challenge)
    .bind(to_millis(row.created_at))
    .bind(to_millis(row.last_used_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

pub async fn add_secret(
    act: &mut Act,
    id: SignInId,
    kind: Kind,
    hash: &str,
    expires_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO program_secrets (secret_hash, sign_in_id, kind, expires_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(hash)
    .bind(id.to_string())
    .bind(kind.word())
    .bind(to_millis(expires_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Uses up a secret, for a token.
pub async fn use_secret(act: &mut Act, id: SignInId, hash: &str, now: OffsetDateTime) -> Result<()> {
    sqlx::query("UPDATE program_secrets SET used = 1 WHERE secret_hash = $1")
        .bind(hash)
        .execute(act.connection())
        .await?;
    sqlx::query("UPDATE program_sign_ins SET last_used_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_millis(now))
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Ends a sign-in with every secret of it.
pub async fn delete(act: &mut Act, id: SignInId) -> Result<()> {
    for sql in
        ["DELETE FROM program_secrets WHERE sign_in_id = $1", "DELETE FROM program_sign_ins WHERE id = $1"]
    {
        sqlx::query(sql).bind(id.to_string()).execute(act.connection()).await?;
    }
    Ok(())
}

/// Forgets secrets that ended before a time, and sign-ins that have none any more.
pub async fn delete_ended(act: &mut Act, before: OffsetDateTime) -> Result<u64> {
    sqlx::query("DELETE FROM program_secrets WHERE expires_at <= $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    let done = sqlx::query(
        "DELETE FROM program_sign_ins WHERE NOT EXISTS \
         (SELECT 1 FROM program_secrets p WHERE p.sign_in_id = program_sign_ins.id)",
    )
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected())
}
