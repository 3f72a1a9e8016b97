//! The table of API tokens.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::api::Role;
use crate::clock::{from_millis, to_millis};
use crate::hub::access::Scope;
use crate::hub::error::{Error, Result};
use crate::hub::store::Act;
use crate::id::{PersonId, TokenId};

/// An API token as the database has it.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub person: PersonId,
    /// What its owner calls it.
    pub name: String,
    /// No more than this role may.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// When it was last used.
    pub last_used_at: Option<OffsetDateTime>,
}

const COLUMNS: &str = "SELECT id, person_id, name, role, scope_kind, scope, created_at, expires_at, last_used_at \
     FROM api_tokens";

async fn fetch(reader: &mut AnyConnection, tail: &'static str, value: &str) -> Result<Vec<TokenRow>> {
    // Two constants make the text; the value is bound.
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {tail}"));
    let rows = sqlx::query(sql).bind(value).fetch_all(reader).await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<TokenRow> {
    let text = |column: &str| -> Result<String> { Ok(row.try_get(column)?) };
    let unknown = || Error::internal("an API token has a role or a scope that this program does not know");
    Ok(TokenRow {
        id: text("id")?.parse().map_err(Error::internal)?,
        person: text("person_id")?.parse().map_err(Error::internal)?,
        name: text("name")?,
        role: Role::from_word(&text("role")?).ok_or_else(unknown)?,
        scope: Scope::from_columns(&text("scope_kind")?, &text("scope")?).ok_or_else(unknown)?,
        created_at: from_millis(row.try_get("created_at")?),
        expires_at: from_millis(row.try_get("expires_at")?),
        last_used_at: row.try_get::<Option<i64>, _>("last_used_at")?.map(from_millis),
    })
}

pub async fn by_id(reader: &mut AnyConnection, id: TokenId) -> Result<Option<TokenRow>> {
    Ok(fetch(reader, "WHERE id = $1", &id.to_string()).await?.into_iter().next())
}

pub async fn by_secret(reader: &mut AnyConnection, hash: &str) -> Result<Option<TokenRow>> {
    Ok(fetch(reader, "WHERE secret_hash = $1", hash).await?.into_iter().next())
}

/// A person's, the newest first.
pub async fn of_person(reader: &mut AnyConnection, person: PersonId) -> Result<Vec<TokenRow>> {
    fetch(reader, "WHERE person_id = $1 ORDER BY id DESC", &person.to_string()).await
}

pub async fn insert(act: &mut Act, row: &TokenRow, secret_hash: &str) -> Result<()> {
    let (kind, scope) = row.scope.columns();
    sqlx::query(
        "INSERT INTO api_tokens (id, secret_hash, person_id, name, role, scope_kind, scope, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.id.to_string())
    .bind(secret_hash)
    .bind(row.person.to_string())
    .bind(&row.name)
    .bind(row.role.word())
    .bind(kind)
    .bind(scope)
    .bind(to_millis(row.created_at))
    .bind(to_millis(row.expires_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

pub async fn used(act: &mut Act, id: TokenId, now: OffsetDateTime) -> Result<()> {
    sqlx::query("UPDATE api_tokens SET last_used_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_millis(now))
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Returns its name, if the person had it.
pub async fn delete(act: &mut Act, id: TokenId, person: PersonId) -> Result<Option<String>> {
    let name = sqlx::query_scalar("DELETE FROM api_tokens WHERE id = $1 AND person_id = $2 RETURNING name")
        .bind(id.to_string())
        .bind(person.to_string())
        .fetch_optional(act.connection())
        .await?;
    Ok(name)
}

/// Forgets those that ended before a time.
pub async fn delete_ended(act: &mut Act, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM api_tokens WHERE expires_at <= $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}
