//! Statements that put what was read into the fleet's own tables.

use std::collections::BTreeSet;

use nave_core::clock::to_millis;
use nave_core::hub::error::Result;
use nave_core::hub::store::Act;
use time::OffsetDateTime;

use super::source::{self, Row, Table};
use crate::api::{LogRole, LogSource, LogType, MailKind, Nanodollars};
use crate::hub::runs::line_count;

/// Writes a file.
pub(super) async fn insert_file(
    act: &mut Act,
    id: i64,
    hash: &str,
    by: i64,
    row: &Row,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO agents_attachments (id, public_id, hash, filename, size, purpose, uploaded_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(row.text("public_id").unwrap_or_else(|| format!("imported-{id}")))
    .bind(hash)
    .bind(row.text("filename").unwrap_or_else(|| "file".to_owned()))
    .bind(row.number("file_size").unwrap_or_default())
    .bind(row.text("purpose").unwrap_or_else(|| "mail".to_owned()))
    .bind(by)
    .bind(to_millis(row.time("created_at").unwrap_or(now)))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Writes a row of a table; false if what it is about is not there.
pub(super) async fn insert(
    act: &mut Act,
    table: &'static Table,
    row: &Row,
    agents: &BTreeSet<i64>,
    hosts: &BTreeSet<i64>,
    now: OffsetDateTime,
) -> Result<bool> {
    let agent = row.number("user_id").or_else(|| row.number("from_user_id"));
    if agent.is_some_and(|agent| !agents.contains(&agent)) {
        return Ok(false);
    }
    let host = row.number("host_id").filter(|host| hosts.contains(host));
    let at = to_millis(row.time("created_at").unwrap_or(now));
    match table.name {
        name if name == source::SESSIONS.name => insert_session(act, row, host, at, now).await,
        name if name == source::COSTS.name => insert_cost(act, row, host, at).await,
        name if name == source::MAILS.name => insert_mail(act, row, host, at).await,
        name if name == source::RECIPIENTS.name => insert_recipient(act, row).await,
        name if name == source::MAIL_FILES.name => insert_mail_file(act, row).await,
        name if name == source::REVISIONS.name => insert_revision(act, row, at).await,
        _ => insert_line(act, row, host, at).await,
    }
}

fn key(row: &Row) -> Option<(i64, i64, i64)> {
    Some((row.number("user_id")?, row.number("run_id")?, row.number("session_id")?))
}

async fn insert_session(
    act: &mut Act,
    row: &Row,
    host: Option<i64>,
    at: i64,
    now: OffsetDateTime,
) -> Result<bool> {
    let Some((agent, run, session)) = key(row) else { return Ok(false) };
    let done = sqlx::query(
        "INSERT INTO agents_sessions (agent_id, run, session, host_id, model, created_at, last_active_at, cost) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(agent)
    .bind(run)
    .bind(session)
    .bind(host)
    .bind(row.text("model_name").unwrap_or_default())
    .bind(at)
    .bind(row.time("last_active").map_or(at.min(to_millis(now)), to_millis))
    .bind(Nanodollars::from_dollars(row.real("total_cost")).0)
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn insert_cost(act: &mut Act, row: &Row, host: Option<i64>, at: i64) -> Result<bool> {
    let (Some(id), Some((agent, run, session))) = (row.number("id"), key(row)) else { return Ok(false) };
    let tokens = |column: &str| row.number(column).unwrap_or_default();
    sqlx::query(
        "INSERT INTO agents_costs (id, agent_id, run, session, host_id, source, model, cost, input, output, \
         cache_write, cache_read, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(id)
    .bind(agent)
    .bind(run)
    .bind(session)
    .bind(host)
    .bind(row.text("source").unwrap_or_else(|| "console".to_owned()))
    .bind(row.text("model").unwrap_or_default())
    .bind(Nanodollars::from_dollars(row.real("cost")).0)
    .bind(tokens("input_tokens"))
    .bind(tokens("output_tokens"))
    .bind(tokens("cache_write_tokens"))
    .bind(tokens("cache_read_tokens"))
    .bind(at)
    .execute(act.connection())
    .await?;
    Ok(true)
}

async fn insert_mail(act: &mut Act, row: &Row, host: Option<i64>, at: i64) -> Result<bool> {
    let (Some(id), Some(from)) = (row.number("id"), row.number("from_user_id")) else { return Ok(false) };
    let kind = row.text("kind").and_then(|kind| MailKind::from_word(&kind)).unwrap_or_default();
    sqlx::query(
        "INSERT INTO agents_mails (id, kind, from_id, host_id, participants, subject, body, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(kind.word())
    .bind(from)
    .bind(host)
    .bind(row.text("participants").unwrap_or_default())
    .bind(row.text("subject").unwrap_or_default())
    .bind(row.text("body").unwrap_or_default())
    .bind(at)
    .execute(act.connection())
    .await?;
    Ok(true)
}

/// Who has a mail. There it may have several rows of one agent, and who writes to itself is sent it.
async fn insert_recipient(act: &mut Act, row: &Row) -> Result<bool> {
    let (Some(mail), Some(agent)) = (row.number("message_id"), row.number("user_id")) else {
        return Ok(false);
    };
    let role = if row.text("type").as_deref() == Some("from") { "from" } else { "to" };
    let done = sqlx::query(
        "INSERT INTO agents_recipients (mail_id, agent_id, role, kind, read_at, archived_at) \
         SELECT id, $2, $3, kind, $4, $5 FROM agents_mails WHERE id = $1 \
         ON CONFLICT (mail_id, agent_id) DO UPDATE SET \
         role = CASE WHEN excluded.role = 'to' THEN 'to' ELSE agents_recipients.role END, \
         read_at = CASE WHEN excluded.role = 'to' THEN excluded.read_at ELSE agents_recipients.read_at END",
    )
    .bind(mail)
    .bind(agent)
    .bind(role)
    .bind(row.time("read_at").map(to_millis))
    .bind(row.time("archived_at").map(to_millis))
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn insert_mail_file(act: &mut Act, row: &Row) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO agents_mail_attachments (mail_id, attachment_id) SELECT m.id, f.id FROM agents_mails m, \
         agents_attachments f WHERE m.id = $1 AND f.id = $2 ON CONFLICT DO NOTHING",
    )
    .bind(row.number("message_id"))
    .bind(row.number("attachment_id"))
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Revisions are counted anew, by agent; the agent's own count goes on after them.
async fn insert_revision(act: &mut Act, row: &Row, at: i64) -> Result<bool> {
    let (Some(agent), Some(config)) = (row.number("user_id"), row.text("config")) else { return Ok(false) };
    let is_config = serde_json::from_str(&config).ok().map(crate::api::AgentConfig::from_json);
    let Some(Ok(config)) = is_config else { return Ok(false) };
    let text = serde_json::to_string(&config).map_err(nave_core::hub::error::Error::internal)?;
    sqlx::query(
        "INSERT INTO agents_revisions (agent_id, number, config, changed_by, changed_at) \
         SELECT id, revision, $2, 'imported', $3 FROM agents_agents WHERE id = $1",
    )
    .bind(agent)
    .bind(text)
    .bind(at)
    .execute(act.connection())
    .await?;
    sqlx::query("UPDATE agents_agents SET revision = revision + 1 WHERE id = $1")
        .bind(agent)
        .execute(act.connection())
        .await?;
    Ok(true)
}

async fn insert_line(act: &mut Act, row: &Row, host: Option<i64>, at: i64) -> Result<bool> {
    let (Some(id), Some((agent, run, session))) = (row.number("id"), key(row)) else { return Ok(false) };
    let word = |column: &str| row.text(column).unwrap_or_default();
    sqlx::query(
        "INSERT INTO agents_log_lines (id, agent_id, run, session, host_id, role, source, kind, message, attachment, \
         created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(id)
    .bind(agent)
    .bind(run)
    .bind(session)
    .bind(host)
    .bind(LogRole::from_word(&word("role")).unwrap_or(LogRole::Naisys).word())
    .bind(LogSource::from_word(&word("source")).map(LogSource::word))
    .bind(LogType::from_word(&word("type")).map(LogType::word))
    .bind(word("message"))
    .bind(row.number("attachment_id"))
    .bind(at)
    .execute(act.connection())
    .await?;
    sqlx::query(
        "INSERT INTO agents_logs (agent_id, run, session, latest_id, lines, last_active_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (agent_id, run, session) DO UPDATE SET latest_id = excluded.latest_id, \
         lines = agents_logs.lines + excluded.lines, last_active_at = excluded.last_active_at",
    )
    .bind(agent)
    .bind(run)
    .bind(session)
    .bind(id)
    .bind(line_count(&word("message")))
    .bind(at)
    .execute(act.connection())
    .await?;
    Ok(true)
}
