//! The tables of people: accounts and roles here, and in the modules below sessions, API tokens, one-time links,
//! access requests, devices that wait, programs with what they are told is signed with.

pub mod devices;
pub mod links;
pub mod programs;
pub mod requests;
pub mod sessions;
pub mod signing_keys;
pub mod tokens;

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::api::{PersonStatus, Role};
use crate::clock::{from_millis, to_millis};
use crate::hub::access::{Rights, Scope};
use crate::hub::error::{Error, Result};
use crate::hub::store::{Act, is_unique_violation};
use crate::id::PersonId;

/// A person as the database has it.
#[derive(Clone, Debug)]
pub struct PersonRow {
    /// Its id.
    pub id: PersonId,
    /// The address by which it signs in.
    pub email: String,
    /// What others call it.
    pub name: String,
    /// How the account stands.
    pub status: PersonStatus,
    /// Argon2id in PHC form.
    pub password_hash: Option<String>,
    /// The authenticator's seed, sealed.
    pub totp_seed: Option<String>,
    /// Whether a code of that seed was shown once.
    pub totp_confirmed: bool,
    /// The last time step whose code was used.
    pub totp_step: i64,
    /// When the account was made.
    pub created_at: OffsetDateTime,
    /// When it last signed in.
    pub signed_in_at: Option<OffsetDateTime>,
    /// Counts changes.
    pub version: i64,
    /// Its roles.
    pub roles: Vec<(Role, Scope)>,
}

impl PersonRow {
    /// What it may do.
    pub fn rights(&self) -> Rights {
        Rights::new(self.roles.clone())
    }
}

const COLUMNS: &str = "SELECT p.id, p.email, p.name, p.status, p.password_hash, p.totp_seed, p.totp_confirmed, \
     p.totp_step, p.created_at, p.signed_in_at, p.version, \
     COALESCE((SELECT string_agg(r.role || ' ' || r.scope_kind || ' ' || r.scope, ',') FROM person_roles r \
     WHERE r.person_id = p.id), '') AS roles FROM people p";

async fn fetch(reader: &mut AnyConnection, tail: &'static str, value: &str) -> Result<Vec<PersonRow>> {
    // Two constants make the text; the value is bound.
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {tail}"));
    let rows = sqlx::query(sql).bind(value).fetch_all(reader).await?;
    rows.iter().map(read).collect()
}

pub async fn all(reader: &mut AnyConnection) -> Result<Vec<PersonRow>> {
    fetch(reader, "WHERE $1 = '' ORDER BY lower(p.name), p.id", "").await
}

/// The names of the nodes that roles are held in, by their ids; none of those that are gone.
pub async fn scoped_nodes(reader: &mut AnyConnection) -> Result<HashMap<String, String>> {
    let rows = sqlx::query(
        "SELECT id, name FROM nodes WHERE status <> 'revoked' \
         AND id IN (SELECT scope FROM person_roles WHERE scope_kind = 'node')",
    )
    .fetch_all(reader)
    .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

pub async fn by_id(reader: &mut AnyConnection, id: PersonId) -> Result<Option<PersonRow>> {
    Ok(fetch(reader, "WHERE p.id = $1", &id.to_string()).await?.into_iter().next())
}

pub async fn by_email(reader: &mut AnyConnection, email: &str) -> Result<Option<PersonRow>> {
    Ok(fetch(reader, "WHERE lower(p.email) = lower($1)", email).await?.into_iter().next())
}

pub async fn by_identity(
    reader: &mut AnyConnection,
    issuer: &str,
    subject: &str,
) -> Result<Option<PersonRow>> {
    let person: Option<String> =
        sqlx::query_scalar("SELECT person_id FROM person_identities WHERE issuer = $1 AND subject = $2")
            .bind(issuer)
            .bind(subject)
            .fetch_optional(&mut *reader)
            .await?;
    match person {
        Some(id) => by_id(reader, id.parse().map_err(Error::internal)?).await,
        None => Ok(None),
    }
}

pub async fn link_identity(
    act: &mut Act,
    issuer: &str,
    subject: &str,
    id: PersonId,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO person_identities (issuer, subject, person_id, linked_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(issuer)
    .bind(subject)
    .bind(id.to_string())
    .bind(to_millis(now))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Who the person is at a provider of sign-in.
pub async fn subject_at(reader: &mut AnyConnection, issuer: &str, id: PersonId) -> Result<Option<String>> {
    let subject =
        sqlx::query_scalar("SELECT subject FROM person_identities WHERE issuer = $1 AND person_id = $2")
            .bind(issuer)
            .bind(id.to_string())
            .fetch_optional(reader)
            .await?;
    Ok(subject)
}

/// Whether a provider of sign-in knows the person.
pub async fn has_identity(reader: &mut AnyConnection, id: PersonId) -> Result<bool> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM person_identities WHERE person_id = $1")
        .bind(id.to_string())
        .fetch_one(reader)
        .await?;
    Ok(count > 0)
}

fn read(row: &AnyRow) -> Result<PersonRow> {
    let roles: String = row.try_get("roles")?;
    let mut roles: Vec<(Role, Scope)> = roles.split(',').filter_map(role).collect();
    roles.sort_by_key(|(role, scope)| (*role, scope.columns().1.to_owned()));
    Ok(PersonRow {
        id: row.try_get::<String, _>("id")?.parse().map_err(Error::internal)?,
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        status: match row.try_get::<String, _>("status")?.as_str() {
            "invited" => PersonStatus::Invited,
            "active" => PersonStatus::Active,
            _ => PersonStatus::Disabled,
        },
        password_hash: row.try_get("password_hash")?,
        totp_seed: row.try_get("totp_seed")?,
        totp_confirmed: row.try_get::<i64, _>("totp_confirmed")? != 0,
        totp_step: row.try_get("totp_step")?,
        created_at: from_millis(row.try_get("created_at")?),
        signed_in_at: row.try_get::<Option<i64>, _>("signed_in_at")?.map(from_millis),
        version: row.try_get("version")?,
        roles,
    })
}

/// A role that this program does not know, or one in a kind of scope that it does not know, allows nothing.
fn role(text: &str) -> Option<(Role, Scope)> {
    let mut parts = text.splitn(3, ' ');
    let (role, kind, id) = (parts.next()?, parts.next()?, parts.next()?);
    Some((Role::from_word(role)?, Scope::from_columns(kind, id)?))
}

fn status_word(status: PersonStatus) -> &'static str {
    match status {
        PersonStatus::Invited => "invited",
        PersonStatus::Active => "active",
        PersonStatus::Disabled => "disabled",
    }
}

pub async fn insert(
    act: &mut Act,
    id: PersonId,
    email: &str,
    name: &str,
    status: PersonStatus,
    now: OffsetDateTime,
) -> Result<()> {
    let inserted =
        sqlx::query("INSERT INTO people (id, email, name, status, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(id.to_string())
            .bind(email)
            .bind(name)
            .bind(status_word(status))
            .bind(to_millis(now))
            .execute(act.connection())
            .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if is_unique_violation(&error) => {
            Err(Error::Conflict(format!("{email} has an account already: change its roles instead")))
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn set_roles(act: &mut Act, id: PersonId, roles: &[(Role, Scope)]) -> Result<()> {
    sqlx::query("DELETE FROM person_roles WHERE person_id = $1")
        .bind(id.to_string())
        .execute(act.connection())
        .await?;
    for (role, scope) in roles {
        let (kind, scope) = scope.columns();
        sqlx::query(
            "INSERT INTO person_roles (person_id, role, scope_kind, scope) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(id.to_string())
        .bind(role.word())
        .bind(kind)
        .bind(scope)
        .execute(act.connection())
        .await?;
    }
    Ok(())
}

/// Counts a change; returns whether the person was still of that version, if one is given.
pub async fn bump(act: &mut Act, id: PersonId, version: Option<i64>) -> Result<bool> {
    let done =
        sqlx::query("UPDATE people SET version = version + 1 WHERE id = $1 AND ($2 = -1 OR version = $2)")
            .bind(id.to_string())
            .bind(version.unwrap_or(-1))
            .execute(act.connection())
            .await?;
    Ok(done.rows_affected() > 0)
}

async fn set(act: &mut Act, sql: &'static str, id: PersonId, value: Option<&str>) -> Result<()> {
    sqlx::query(sql).bind(id.to_string()).bind(value).execute(act.connection()).await?;
    Ok(())
}

pub async fn set_name(act: &mut Act, id: PersonId, name: &str) -> Result<()> {
    set(act, "UPDATE people SET name = $2 WHERE id = $1", id, Some(name)).await
}

pub async fn set_status(act: &mut Act, id: PersonId, status: PersonStatus) -> Result<()> {
    set(act, "UPDATE people SET status = $2 WHERE id = $1", id, Some(status_word(status))).await
}

pub async fn set_password(act: &mut Act, id: PersonId, hash: &str) -> Result<()> {
    set(act, "UPDATE people SET password_hash = $2 WHERE id = $1", id, Some(hash)).await
}

/// A new seed, which does not count before a code of it was shown; without one, the second factor is gone.
pub async fn set_seed(act: &mut Act, id: PersonId, sealed: Option<&str>) -> Result<()> {
    let sql = "UPDATE people SET totp_seed = $2, totp_confirmed = 0, totp_step = 0 WHERE id = $1";
    set(act, sql, id, sealed).await
}

pub async fn confirm_seed(act: &mut Act, id: PersonId) -> Result<()> {
    sqlx::query("UPDATE people SET totp_confirmed = 1 WHERE id = $1")
        .bind(id.to_string())
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Uses up a time step and all before it; returns whether it was unused.
pub async fn use_step(act: &mut Act, id: PersonId, step: i64) -> Result<bool> {
    let done = sqlx::query("UPDATE people SET totp_step = $2 WHERE id = $1 AND totp_step < $2")
        .bind(id.to_string())
        .bind(step)
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

pub async fn signed_in(act: &mut Act, id: PersonId, now: OffsetDateTime) -> Result<()> {
    sqlx::query("UPDATE people SET signed_in_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_millis(now))
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Puts new recovery codes in the place of the old ones.
pub async fn set_recovery_codes(act: &mut Act, id: PersonId, hashes: &[String]) -> Result<()> {
    sqlx::query("DELETE FROM recovery_codes WHERE person_id = $1")
        .bind(id.to_string())
        .execute(act.connection())
        .await?;
    for hash in hashes {
        sqlx::query("INSERT INTO recovery_codes (code_hash, person_id) VALUES ($1, $2)")
            .bind(hash)
            .bind(id.to_string())
            .execute(act.connection())
            .await?;
    }
    Ok(())
}

/// Uses up a recovery code; returns whether there was such an unused one.
pub async fn use_recovery_code(act: &mut Act, id: PersonId, hash: &str, now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE recovery_codes SET used_at = $3 WHERE code_hash = $1 AND person_id = $2 AND used_at IS NULL",
    )
    .bind(hash)
    .bind(id.to_string())
    .bind(to_millis(now))
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

pub async fn recovery_codes_left(reader: &mut AnyConnection, id: PersonId) -> Result<i64> {
    let left =
        sqlx::query_scalar("SELECT COUNT(*) FROM recovery_codes WHERE person_id = $1 AND used_at IS NULL")
            .bind(id.to_string())
            .fetch_one(reader)
            .await?;
    Ok(left)
}

/// How many people could administer the whole hub today.
pub async fn count_admins(reader: &mut AnyConnection) -> Result<i64> {
    let count = sqlx::query_scalar(
        "SELECT COUNT(*) FROM people p WHERE p.status = 'active' AND EXISTS (SELECT 1 FROM person_roles r \
         WHERE r.person_id = p.id AND r.role = 'admin' AND r.scope_kind = 'everything')",
    )
    .fetch_one(reader)
    .await?;
    Ok(count)
}
