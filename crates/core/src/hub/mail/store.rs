//! The table of mails.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use super::{MailId, Standing};
use crate::api::{Mail, MailState};
use crate::clock::{from_millis, to_millis};
use crate::hub::error::{Error, Result};
use crate::hub::store::Act;

/// The most mails that are listed: those that want somebody first.
const MOST_LISTED: i64 = 1000;

/// A mail that is about to be queued.
pub(super) struct NewMail<'a> {
    pub(super) id: MailId,
    pub(super) kind: &'static str,
    pub(super) recipient: &'a str,
    pub(super) content: String,
    pub(super) created_at: OffsetDateTime,
    pub(super) give_up_at: OffsetDateTime,
}

/// A mail whose turn it is.
pub(super) struct DueMail {
    pub(super) id: MailId,
    pub(super) recipient: String,
    pub(super) content: String,
    pub(super) created_at: OffsetDateTime,
    pub(super) give_up_at: OffsetDateTime,
    pub(super) attempts: u32,
    pub(super) last_error: Option<String>,
}

const VIEW: &str = "SELECT id, kind, recipient, state, created_at, next_attempt_at, attempts, last_error, sent_at FROM mails";

pub(super) async fn insert(act: &mut Act, mail: &NewMail<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO mails (id, kind, recipient, state, content, created_at, give_up_at, next_attempt_at, attempts, \
         server_away) VALUES ($1, $2, $3, 'queued', $4, $5, $6, $5, 0, 0)",
    )
    .bind(mail.id.to_string())
    .bind(mail.kind)
    .bind(mail.recipient)
    .bind(&mail.content)
    .bind(to_millis(mail.created_at))
    .bind(to_millis(mail.give_up_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Whether there is one whose turn it is. Most often there is none, and then nobody needs to wait for a writer.
pub(super) async fn is_any_due(reader: &mut AnyConnection, now: OffsetDateTime) -> Result<bool> {
    let due: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM mails WHERE state = 'queued' AND next_attempt_at <= $1")
            .bind(to_millis(now))
            .fetch_one(reader)
            .await?;
    Ok(due > 0)
}

/// The mail that waited longest for its turn.
pub(super) async fn due(act: &mut Act, now: OffsetDateTime) -> Result<Option<DueMail>> {
    let row = sqlx::query(
        "SELECT id, recipient, content, created_at, give_up_at, attempts, last_error FROM mails \
         WHERE state = 'queued' AND next_attempt_at <= $1 ORDER BY next_attempt_at, id LIMIT 1",
    )
    .bind(to_millis(now))
    .fetch_optional(act.connection())
    .await?;
    row.map(|row| {
        Ok(DueMail {
            id: id(&row)?,
            recipient: row.try_get("recipient")?,
            content: row.try_get::<Option<String>, _>("content")?.unwrap_or_default(),
            created_at: from_millis(row.try_get("created_at")?),
            give_up_at: from_millis(row.try_get("give_up_at")?),
            attempts: attempts(&row)?,
            last_error: row.try_get("last_error")?,
        })
    })
    .transpose()
}

/// Counts an attempt before it is made: one that ends in a crash comes after those of other mails, too.
pub(super) async fn begin_attempt(act: &mut Act, id: MailId, again_at: OffsetDateTime) -> Result<()> {
    sqlx::query("UPDATE mails SET attempts = attempts + 1, next_attempt_at = $1 WHERE id = $2")
        .bind(to_millis(again_at))
        .bind(id.to_string())
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Its content is forgotten, and those that waited for the server are due.
pub(super) async fn sent(act: &mut Act, id: MailId, now: OffsetDateTime) -> Result<()> {
    sqlx::query(
        "UPDATE mails SET state = 'sent', content = NULL, last_error = NULL, sent_at = $1 WHERE id = $2",
    )
    .bind(to_millis(now))
    .bind(id.to_string())
    .execute(act.connection())
    .await?;
    sqlx::query(
        "UPDATE mails SET next_attempt_at = $1, server_away = 0 \
         WHERE state = 'queued' AND server_away = 1 AND next_attempt_at > $1",
    )
    .bind(to_millis(now))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// It stays queued. One that was discarded or sent meanwhile is left alone.
pub(super) async fn put_off(
    act: &mut Act,
    id: MailId,
    until: OffsetDateTime,
    server_away: bool,
    error: &str,
) -> Result<()> {
    sqlx::query(
        "UPDATE mails SET next_attempt_at = $1, server_away = $2, last_error = $3 WHERE id = $4 AND state = 'queued'",
    )
    .bind(to_millis(until))
    .bind(i64::from(server_away))
    .bind(error)
    .bind(id.to_string())
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Returns whether it was still queued.
pub(super) async fn fail(act: &mut Act, id: MailId, error: &str) -> Result<bool> {
    let done =
        sqlx::query("UPDATE mails SET state = 'failed', last_error = $1 WHERE id = $2 AND state = 'queued'")
            .bind(error)
            .bind(id.to_string())
            .execute(act.connection())
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Queues it again, as if it were new.
pub(super) async fn requeue(
    act: &mut Act,
    id: MailId,
    now: OffsetDateTime,
    give_up_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query(
        "UPDATE mails SET state = 'queued', attempts = 0, next_attempt_at = $1, give_up_at = $2 WHERE id = $3",
    )
    .bind(to_millis(now))
    .bind(to_millis(give_up_at))
    .bind(id.to_string())
    .execute(act.connection())
    .await?;
    Ok(())
}

pub(super) async fn delete(act: &mut Act, id: MailId) -> Result<()> {
    sqlx::query("DELETE FROM mails WHERE id = $1").bind(id.to_string()).execute(act.connection()).await?;
    Ok(())
}

/// Forgets what has ended, or would have; returns how many.
pub(super) async fn delete_ended(act: &mut Act, created_before: OffsetDateTime) -> Result<u64> {
    let done =
        sqlx::query("DELETE FROM mails WHERE created_at < $1 AND (state <> 'queued' OR give_up_at < $1)")
            .bind(to_millis(created_before))
            .execute(act.connection())
            .await?;
    Ok(done.rows_affected())
}

pub(super) async fn one(reader: &mut AnyConnection, id: MailId) -> Result<Option<Mail>> {
    // The text is put together from two constants; every value is bound.
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{VIEW} WHERE id = $1")))
        .bind(id.to_string())
        .fetch_optional(reader)
        .await?;
    row.as_ref().map(view).transpose()
}

/// Those that failed, then those that wait, then those that were sent; the newest of each first.
pub(super) async fn all(reader: &mut AnyConnection) -> Result<Vec<Mail>> {
    let order = "ORDER BY CASE state WHEN 'failed' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END, id DESC LIMIT $1";
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{VIEW} {order}")))
        .bind(MOST_LISTED)
        .fetch_all(reader)
        .await?;
    rows.iter().map(view).collect()
}

pub(super) async fn standing(reader: &mut AnyConnection) -> Result<Standing> {
    let counts = sqlx::query(
        "SELECT COUNT(CASE WHEN state = 'failed' THEN 1 END) AS failed, \
         COUNT(CASE WHEN state = 'queued' THEN 1 END) AS waiting, \
         COUNT(CASE WHEN state = 'queued' THEN last_error END) AS stuck, \
         MIN(CASE WHEN state = 'queued' AND last_error IS NOT NULL THEN created_at END) AS since \
         FROM mails WHERE state <> 'sent'",
    )
    .fetch_one(&mut *reader)
    .await?;
    let last_error: Option<String> = sqlx::query_scalar(
        "SELECT last_error FROM mails WHERE state <> 'sent' AND last_error IS NOT NULL \
         ORDER BY CASE state WHEN 'failed' THEN 0 ELSE 1 END, id DESC LIMIT 1",
    )
    .fetch_optional(reader)
    .await?;
    Ok(Standing {
        waiting: counts.try_get("waiting")?,
        stuck: counts.try_get("stuck")?,
        since: counts.try_get::<Option<i64>, _>("since")?.map(from_millis),
        failed: counts.try_get("failed")?,
        last_error: last_error.unwrap_or_default(),
    })
}

fn view(row: &AnyRow) -> Result<Mail> {
    let state: String = row.try_get("state")?;
    let state = match state.as_str() {
        "queued" => MailState::Queued,
        "sent" => MailState::Sent,
        _ => MailState::Failed,
    };
    let next_attempt_at = from_millis(row.try_get("next_attempt_at")?);
    Ok(Mail {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        recipient: row.try_get("recipient")?,
        state,
        created_at: from_millis(row.try_get("created_at")?),
        next_attempt_at: (state == MailState::Queued).then_some(next_attempt_at),
        attempts: attempts(row)?,
        last_error: row.try_get("last_error")?,
        sent_at: row.try_get::<Option<i64>, _>("sent_at")?.map(from_millis),
    })
}

fn id(row: &AnyRow) -> Result<MailId> {
    row.try_get::<String, _>("id")?.parse().map_err(Error::internal)
}

fn attempts(row: &AnyRow) -> Result<u32> {
    Ok(u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX))
}
