//! The tables of mails, who has them, and their files.

pub(super) mod conversations;
pub(super) mod words;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use nave_core::clock::{from_millis, to_millis};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::store::{Act, Migration, MigrationSet, Reader, in_sizes, rows_of_placeholders};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use time::OffsetDateTime;

use super::{Direction, Posted, Wanted};
use crate::api::{Attachment, MailKind};

const TABLES: &str = include_str!("../../../migrations/0001_agents.sql");
const WORDS_SQLITE: &str = include_str!("../../../migrations/0002_mail_words_sqlite.sql");
const WORDS_POSTGRES: &str = include_str!("../../../migrations/0002_mail_words_postgres.sql");

/// The fleet's tables. The index of words is no part of a backup: it is made from the mails.
pub(in crate::hub) const MIGRATIONS: MigrationSet = MigrationSet {
    name: "agents",
    tables: &[
        "agents_agents",
        "agents_revisions",
        "agents_hosts",
        "agents_assignments",
        "agents_sessions",
        "agents_costs",
        "agents_batches",
        "agents_attachments",
        "agents_mails",
        "agents_recipients",
        "agents_mail_attachments",
        "agents_variables",
        "agents_models",
    ],
    migrations: &[
        Migration { version: 1, name: "agents", sqlite: TABLES, postgres: TABLES },
        Migration { version: 2, name: "words of mails", sqlite: WORDS_SQLITE, postgres: WORDS_POSTGRES },
    ],
};

/// A mail, without who has it.
pub(super) struct MailRow {
    pub(super) id: i64,
    pub(super) kind: MailKind,
    pub(super) from: i64,
    pub(super) subject: String,
    pub(super) body: String,
    pub(super) created_at: OffsetDateTime,
    pub(super) unread: bool,
}

/// The last mail's number.
pub(super) async fn last_mail(reader: &mut Reader) -> Result<i64> {
    let row = sqlx::query("SELECT COALESCE(MAX(id), 0) FROM agents_mails");
    Ok(row.fetch_one(&mut **reader).await?.try_get(0)?)
}

/// The last mail and the last chat of each agent.
pub(super) async fn latest(reader: &mut Reader) -> Result<Vec<(i64, MailKind, i64)>> {
    let rows = sqlx::query(
        "SELECT a.id, (SELECT MAX(mail_id) FROM agents_recipients r WHERE r.agent_id = a.id AND r.kind = 'mail'), \
         (SELECT MAX(mail_id) FROM agents_recipients r WHERE r.agent_id = a.id AND r.kind = 'chat') \
         FROM agents_agents a",
    );
    let mut latest = Vec::new();
    for row in rows.fetch_all(&mut **reader).await? {
        let agent: i64 = row.try_get(0)?;
        for (column, kind) in [(1, MailKind::Mail), (2, MailKind::Chat)] {
            if let Some(id) = row.try_get::<Option<i64>, _>(column)? {
                latest.push((agent, kind, id));
            }
        }
    }
    Ok(latest)
}

/// Writes mails with who has them.
pub(super) async fn insert(act: &mut Act, group: &[Arc<Posted>]) -> Result<()> {
    for rows in in_sizes(group) {
        let sql = format!(
            "INSERT INTO agents_mails (id, kind, from_id, host_id, participants, subject, body, created_at) VALUES {}",
            rows_of_placeholders(act.engine(), rows.len(), 8)
        );
        // The text is put together from constants and numbers; every value is bound.
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for posted in rows {
            query = query
                .bind(posted.id)
                .bind(posted.post.kind.word())
                .bind(posted.post.from)
                .bind(posted.post.host)
                .bind(&posted.participants)
                .bind(&posted.post.subject)
                .bind(&posted.post.body)
                .bind(to_millis(posted.created_at));
        }
        query.execute(act.connection()).await?;
    }
    let mut recipients = Vec::new();
    for posted in group {
        let post = &posted.post;
        recipients.extend(post.to.iter().map(|to| (posted, *to, "to", None)));
        if !post.to.contains(&post.from) {
            recipients.push((posted, post.from, "from", Some(to_millis(posted.created_at))));
        }
    }
    for rows in in_sizes(&recipients) {
        let sql = format!(
            "INSERT INTO agents_recipients (mail_id, agent_id, role, kind, read_at) VALUES {}",
            rows_of_placeholders(act.engine(), rows.len(), 5)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (posted, agent, role, read_at) in rows {
            query =
                query.bind(posted.id).bind(*agent).bind(*role).bind(posted.post.kind.word()).bind(*read_at);
        }
        query.execute(act.connection()).await?;
    }
    let files: Vec<(i64, i64)> = group
        .iter()
        .flat_map(|posted| posted.post.attachments.iter().map(|file| (posted.id, *file)))
        .collect();
    for rows in in_sizes(&files) {
        let sql = format!(
            "INSERT INTO agents_mail_attachments (mail_id, attachment_id) VALUES {} ON CONFLICT DO NOTHING",
            rows_of_placeholders(act.engine(), rows.len(), 2)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (mail, file) in rows {
            query = query.bind(*mail).bind(*file);
        }
        query.execute(act.connection()).await?;
    }
    Ok(())
}

const SELECT: &str = "SELECT m.id, m.kind, m.from_id, m.subject, m.body, m.created_at, \
    CASE WHEN r.role = 'to' AND r.read_at IS NULL THEN 1 ELSE 0 END AS unread \
    FROM agents_recipients r JOIN agents_mails m ON m.id = r.mail_id WHERE r.agent_id = $1";

fn mail(row: &AnyRow) -> Result<MailRow> {
    let kind: String = row.try_get("kind")?;
    Ok(MailRow {
        id: row.try_get("id")?,
        kind: MailKind::from_word(&kind).ok_or_else(|| Error::internal(format!("a mail of kind {kind}")))?,
        from: row.try_get("from_id")?,
        subject: row.try_get("subject")?,
        body: row.try_get("body")?,
        created_at: from_millis(row.try_get("created_at")?),
        unread: row.try_get::<i32, _>("unread").map(i64::from).or_else(|_| row.try_get("unread"))? != 0,
    })
}

/// The mails of an agent.
pub(super) async fn list(reader: &mut Reader, agent: i64, wanted: &Wanted) -> Result<Vec<MailRow>> {
    let mut sql = SELECT.to_owned();
    // Everything put into the text is a constant or a number.
    if let Some(kind) = wanted.kind {
        let _ = write!(sql, " AND r.kind = '{}'", kind.word());
    }
    match wanted.direction {
        Some(Direction::Received) => sql.push_str(" AND r.role = 'to'"),
        Some(Direction::Sent) => sql.push_str(" AND m.from_id = $1"),
        None => {}
    }
    if wanted.unread {
        sql.push_str(" AND r.read_at IS NULL");
    }
    if !wanted.archived {
        sql.push_str(" AND r.archived_at IS NULL");
    }
    if let Some(before) = wanted.before {
        let _ = write!(sql, " AND r.mail_id < {before}");
    }
    if let Some(after) = wanted.after {
        let _ = write!(sql, " AND r.mail_id > {after}");
    }
    if wanted.participants.is_some() {
        sql.push_str(" AND m.participants = $2");
    }
    let order = if wanted.oldest_first { "ASC" } else { "DESC" };
    let (limit, skip) = (wanted.limit.max(0), wanted.skip.max(0));
    let _ = write!(sql, " ORDER BY r.mail_id {order} LIMIT {limit} OFFSET {skip}");
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(agent);
    if let Some(participants) = &wanted.participants {
        query = query.bind(participants);
    }
    query.fetch_all(&mut **reader).await?.iter().map(mail).collect()
}

/// Those of these mails that an agent has, the newest first.
pub(super) async fn by_ids(reader: &mut Reader, agent: i64, ids: &[i64]) -> Result<Vec<MailRow>> {
    let mut mails = Vec::with_capacity(ids.len());
    for ids in in_sizes(ids) {
        let sql = format!("{SELECT} AND r.mail_id IN ({})", numbers(ids));
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(agent).fetch_all(&mut **reader).await?;
        mails.extend(rows.iter().map(mail).collect::<Result<Vec<_>>>()?);
    }
    mails.sort_by_key(|row| std::cmp::Reverse(row.id));
    Ok(mails)
}

fn numbers(ids: &[i64]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whom mails are to.
pub(super) async fn recipients(reader: &mut Reader, ids: &[i64]) -> Result<HashMap<i64, Vec<i64>>> {
    let mut recipients: HashMap<i64, Vec<i64>> = HashMap::new();
    for ids in in_sizes(ids) {
        let sql = format!(
            "SELECT mail_id, agent_id FROM agents_recipients WHERE role = 'to' AND mail_id IN ({}) \
             ORDER BY mail_id, agent_id",
            numbers(ids)
        );
        for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **reader).await? {
            recipients.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
        }
    }
    Ok(recipients)
}

/// Files, each with its number.
/// Files by their numbers, each with the agent that brought it.
pub(super) async fn attachments(reader: &mut Reader, ids: &[i64]) -> Result<Vec<(i64, i64, Attachment)>> {
    let mut files = Vec::with_capacity(ids.len());
    for ids in in_sizes(ids) {
        let sql = format!(
            "SELECT id, uploaded_by, public_id, filename, size FROM agents_attachments WHERE id IN ({}) \
             ORDER BY id",
            numbers(ids)
        );
        for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **reader).await? {
            files.push((row.try_get(0)?, row.try_get(1)?, attachment(&row, 2)?));
        }
    }
    Ok(files)
}

fn attachment(row: &AnyRow, from: usize) -> Result<Attachment> {
    Ok(Attachment { id: row.try_get(from)?, filename: row.try_get(from + 1)?, size: row.try_get(from + 2)? })
}

/// The files of mails.
pub(super) async fn attachments_of(
    reader: &mut Reader,
    ids: &[i64],
) -> Result<HashMap<i64, Vec<Attachment>>> {
    let mut files: HashMap<i64, Vec<Attachment>> = HashMap::new();
    for ids in in_sizes(ids) {
        let sql = format!(
            "SELECT f.mail_id, a.public_id, a.filename, a.size FROM agents_mail_attachments f \
             JOIN agents_attachments a ON a.id = f.attachment_id WHERE f.mail_id IN ({}) ORDER BY a.id",
            numbers(ids)
        );
        for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **reader).await? {
            files.entry(row.try_get(0)?).or_default().push(attachment(&row, 1)?);
        }
    }
    Ok(files)
}

/// Notes that an agent has read mails; how many it had not read before.
pub(super) async fn mark_read(act: &mut Act, agent: i64, ids: &[i64], at: OffsetDateTime) -> Result<u64> {
    let mut changed = 0;
    for ids in in_sizes(ids) {
        let sql = format!(
            "UPDATE agents_recipients SET read_at = $1 WHERE agent_id = $2 AND read_at IS NULL AND mail_id IN ({})",
            numbers(ids)
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(to_millis(at)).bind(agent);
        changed += done.execute(act.connection()).await?.rows_affected();
    }
    Ok(changed)
}

/// The conversations that mails belong to.
pub(super) async fn participants(act: &mut Act, ids: &[i64]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for ids in in_sizes(ids) {
        let sql = format!("SELECT DISTINCT participants FROM agents_mails WHERE id IN ({})", numbers(ids));
        for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(act.connection()).await? {
            all.push(row.try_get(0)?);
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Puts a mail away; whether the agent has it.
pub(super) async fn archive(act: &mut Act, agent: i64, id: i64, at: OffsetDateTime) -> Result<bool> {
    let done =
        sqlx::query("UPDATE agents_recipients SET archived_at = $1 WHERE agent_id = $2 AND mail_id = $3");
    let done = done.bind(to_millis(at)).bind(agent).bind(id).execute(act.connection()).await?;
    Ok(done.rows_affected() > 0)
}

/// The agents that may run and have something to read: asked agent by agent, since much may be unread.
pub(super) async fn unread(reader: &mut Reader) -> Result<Vec<i64>> {
    let rows = sqlx::query(
        "SELECT a.id FROM agents_agents a WHERE a.enabled = 1 AND a.archived = 0 AND EXISTS \
         (SELECT 1 FROM agents_recipients r WHERE r.agent_id = a.id AND r.read_at IS NULL) ORDER BY a.id",
    );
    let rows = rows.fetch_all(&mut **reader).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
