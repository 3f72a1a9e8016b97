//! The tables of sessions, logs and costs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use nave_core::clock::{from_millis, to_millis};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::store::{Act, Migration, MigrationSet, Reader, in_sizes, rows_of_placeholders};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use time::{Duration, OffsetDateTime};

use super::{LogBatch, NumberedLine, Opened};
use crate::api::{Attachment, CostEntry, LogLine, LogRole, LogSource, LogType, RunKey, Session};

const TABLES: &str = include_str!("../../../migrations/bulk/0001_logs.sql");
const TAIL: &str = include_str!("../../../migrations/bulk/0002_log_tail.sql");

/// The tables of logs, which lie apart from the others.
pub(in crate::hub) const LOGS: MigrationSet = MigrationSet {
    name: "agents",
    tables: &["agents_log_lines", "agents_logs", "agents_log_batches"],
    migrations: &[
        Migration { version: 1, name: "logs", sqlite: TABLES, postgres: TABLES },
        Migration { version: 2, name: "tail", sqlite: TAIL, postgres: TAIL },
    ],
};

/// The last run's number, and the last cost's.
pub(super) async fn last_numbers(reader: &mut Reader) -> Result<(i64, i64)> {
    let row = sqlx::query(
        "SELECT (SELECT COALESCE(MAX(run), 0) FROM agents_sessions), (SELECT COALESCE(MAX(id), 0) FROM agents_costs)",
    );
    let row = row.fetch_one(&mut **reader).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// The last line's number.
pub(super) async fn last_line(reader: &mut Reader) -> Result<i64> {
    let row = sqlx::query("SELECT COALESCE(MAX(id), 0) FROM agents_log_lines");
    Ok(row.fetch_one(&mut **reader).await?.try_get(0)?)
}

/// The last line of each agent.
pub(super) async fn latest_lines(reader: &mut Reader) -> Result<Vec<(i64, i64)>> {
    let rows = sqlx::query("SELECT agent_id, MAX(latest_id) FROM agents_logs GROUP BY agent_id");
    let rows = rows.fetch_all(&mut **reader).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The last session of a run; 0 if there is none.
pub(super) async fn last_session(reader: &mut Reader, agent: i64, run: i64) -> Result<i64> {
    let row =
        sqlx::query("SELECT COALESCE(MAX(session), 0) FROM agents_sessions WHERE agent_id = $1 AND run = $2");
    Ok(row.bind(agent).bind(run).fetch_one(&mut **reader).await?.try_get(0)?)
}

pub(super) async fn insert_session(act: &mut Act, opened: &Opened, host: Option<i64>) -> Result<()> {
    sqlx::query(
        "INSERT INTO agents_sessions (agent_id, run, session, host_id, model, created_at, last_active_at, cost) \
         VALUES ($1, $2, $3, $4, $5, $6, $6, 0)",
    )
    .bind(opened.key.agent)
    .bind(opened.key.run)
    .bind(opened.key.session)
    .bind(host)
    .bind(&opened.model)
    .bind(to_millis(opened.created_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

fn key(row: &AnyRow) -> Result<RunKey> {
    Ok(RunKey { agent: row.try_get("agent_id")?, run: row.try_get("run")?, session: row.try_get("session")? })
}

pub(super) async fn sessions(
    reader: &mut Reader,
    agent: i64,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Session>> {
    let rows = sqlx::query(
        "SELECT s.agent_id, s.run, s.session, s.model, h.name AS host, s.created_at, s.last_active_at, s.cost \
         FROM agents_sessions s LEFT JOIN agents_hosts h ON h.id = s.host_id \
         WHERE s.agent_id = $1 AND s.run < $2 ORDER BY s.run DESC, s.session DESC LIMIT $3",
    );
    let rows = rows.bind(agent).bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit));
    let read = |row: &AnyRow| {
        Ok(Session {
            key: key(row)?,
            model: row.try_get("model")?,
            host: row.try_get("host")?,
            created_at: from_millis(row.try_get("created_at")?),
            last_active_at: from_millis(row.try_get("last_active_at")?),
            lines: 0,
            cost: row.try_get("cost")?,
        })
    };
    rows.fetch_all(&mut **reader).await?.iter().map(read).collect()
}

/// How many lines the logs of an agent have, and when the last of each came.
pub(super) async fn logs(
    reader: &mut Reader,
    agent: i64,
    before: Option<i64>,
    limit: u32,
) -> Result<BTreeMap<RunKey, (i64, OffsetDateTime)>> {
    let rows = sqlx::query(
        "SELECT agent_id, run, session, lines, last_active_at FROM agents_logs \
         WHERE agent_id = $1 AND run < $2 ORDER BY run DESC, session DESC LIMIT $3",
    );
    let rows = rows.bind(agent).bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit));
    let read =
        |row: &AnyRow| Ok((key(row)?, (row.try_get("lines")?, from_millis(row.try_get("last_active_at")?))));
    rows.fetch_all(&mut **reader).await?.iter().map(read).collect()
}

/// The last batch of each host of a group.
pub(super) async fn batch_hashes(act: &mut Act, group: &[Arc<LogBatch>]) -> Result<HashMap<i64, String>> {
    let mut hosts: Vec<i64> = group.iter().filter_map(|batch| batch.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut hashes = HashMap::with_capacity(hosts.len());
    for hosts in in_sizes(&hosts) {
        let sql =
            format!("SELECT host_id, hash FROM agents_log_batches WHERE host_id IN {}", listed(hosts.len()));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for host in hosts {
            query = query.bind(*host);
        }
        for row in query.fetch_all(act.connection()).await? {
            hashes.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    Ok(hashes)
}

fn listed(count: usize) -> String {
    let list: Vec<String> = (1..=count).map(|number| format!("${number}")).collect();
    format!("({})", list.join(", "))
}

pub(super) async fn put_batch_hashes(act: &mut Act, hashes: &HashMap<i64, String>) -> Result<()> {
    let hashes: Vec<(&i64, &String)> = hashes.iter().collect();
    for rows in in_sizes(&hashes) {
        let sql = format!(
            "INSERT INTO agents_log_batches (host_id, hash) VALUES {} \
             ON CONFLICT (host_id) DO UPDATE SET hash = excluded.hash",
            rows_of_placeholders(act.engine(), rows.len(), 2)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (host, hash) in rows {
            query = query.bind(**host).bind(hash.as_str());
        }
        query.execute(act.connection()).await?;
    }
    Ok(())
}

/// Writes the lines of batches, and counts them.
pub(super) async fn insert_lines(act: &mut Act, batches: &[Arc<LogBatch>]) -> Result<()> {
    const COLUMNS: usize = 11;
    let lines: Vec<(Option<i64>, &NumberedLine)> =
        batches.iter().flat_map(|batch| batch.lines.iter().map(|line| (batch.host, line))).collect();
    for rows in in_sizes(&lines) {
        let sql = format!(
            "INSERT INTO agents_log_lines (id, agent_id, run, session, host_id, role, source, kind, message, \
             attachment, created_at) VALUES {}",
            rows_of_placeholders(act.engine(), rows.len(), COLUMNS)
        );
        // The text is put together from constants and numbers; every value is bound.
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (host, NumberedLine { id, line }) in rows {
            query = query
                .bind(*id)
                .bind(line.key.agent)
                .bind(line.key.run)
                .bind(line.key.session)
                .bind(*host)
                .bind(line.role.word())
                .bind(line.source.map(LogSource::word))
                .bind(line.kind.map(LogType::word))
                .bind(&line.message)
                .bind(line.attachment)
                .bind(to_millis(line.created_at));
        }
        query.execute(act.connection()).await?;
    }
    let mut counted: BTreeMap<RunKey, (i64, i64, OffsetDateTime)> = BTreeMap::new();
    for batch in batches {
        for NumberedLine { id, line } in &batch.lines {
            let count = counted.entry(line.key).or_insert((0, 0, batch.at));
            *count = (*id, count.1 + line_count(&line.message), batch.at);
        }
    }
    let counted: Vec<_> = counted.into_iter().collect();
    for rows in in_sizes(&counted) {
        let sql = format!(
            "INSERT INTO agents_logs (agent_id, run, session, latest_id, lines, last_active_at) VALUES {} \
             ON CONFLICT (agent_id, run, session) DO UPDATE SET latest_id = excluded.latest_id, \
             lines = agents_logs.lines + excluded.lines, last_active_at = excluded.last_active_at",
            rows_of_placeholders(act.engine(), rows.len(), 6)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (key, (latest, lines, at)) in rows {
            query = query.bind(key.agent).bind(key.run).bind(key.session);
            query = query.bind(*latest).bind(*lines).bind(to_millis(*at));
        }
        query.execute(act.connection()).await?;
    }
    Ok(())
}

/// How many lines a message is on a screen.
pub(in crate::hub) fn line_count(message: &str) -> i64 {
    i64::try_from(message.split('\n').count()).unwrap_or(i64::MAX)
}

/// Lines of a log: before a number from there backwards, or else after one; each with the number of its file.
pub(super) async fn lines(
    reader: &mut Reader,
    agent: i64,
    session: Option<(i64, i64)>,
    before: Option<i64>,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<(LogLine, Option<i64>)>> {
    let (end, side, order) = match after {
        Some(after) => (after, ">", "ASC"),
        None => (before.unwrap_or(i64::MAX), "<", "DESC"),
    };
    let of = if session.is_some() { "AND run = $4 AND session = $5" } else { "" };
    let sql = format!(
        "SELECT id, agent_id, run, session, role, source, kind, message, attachment, created_at \
         FROM agents_log_lines WHERE agent_id = $1 {of} AND id {side} $3 ORDER BY id {order} LIMIT $2"
    );
    let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(agent).bind(i64::from(limit)).bind(end);
    if let Some((run, session)) = session {
        rows = rows.bind(run).bind(session);
    }
    let read = |row: &AnyRow| {
        let role: String = row.try_get("role")?;
        let (source, kind): (Option<String>, Option<String>) = (row.try_get("source")?, row.try_get("kind")?);
        let line = LogLine {
            id: row.try_get("id")?,
            key: key(row)?,
            role: LogRole::from_word(&role)
                .ok_or_else(|| Error::internal(format!("a line of role {role}")))?,
            source: source.as_deref().and_then(LogSource::from_word),
            kind: kind.as_deref().and_then(LogType::from_word),
            message: row.try_get("message")?,
            created_at: from_millis(row.try_get("created_at")?),
            attachment: None,
        };
        Ok((line, row.try_get("attachment")?))
    };
    rows.fetch_all(&mut **reader).await?.iter().map(read).collect()
}

/// What there is to say of files, by their numbers.
pub(super) async fn files(reader: &mut Reader, files: &[i64]) -> Result<HashMap<i64, Attachment>> {
    let mut known = HashMap::new();
    for files in in_sizes(files) {
        let sql = format!(
            "SELECT id, public_id, filename, size FROM agents_attachments WHERE id IN {}",
            listed(files.len())
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for file in files {
            query = query.bind(*file);
        }
        for row in query.fetch_all(&mut **reader).await? {
            let file = Attachment { id: row.try_get(1)?, filename: row.try_get(2)?, size: row.try_get(3)? };
            known.insert(row.try_get(0)?, file);
        }
    }
    Ok(known)
}

/// The last batch of costs that a host brought.
pub(super) async fn cost_hash(act: &mut Act, host: i64) -> Result<Option<String>> {
    let row = sqlx::query("SELECT hash FROM agents_batches WHERE host_id = $1").bind(host);
    Ok(row.fetch_optional(act.connection()).await?.map(|row| row.try_get(0)).transpose()?)
}

pub(super) async fn put_cost_hash(act: &mut Act, host: i64, hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO agents_batches (host_id, hash) VALUES ($1, $2) \
         ON CONFLICT (host_id) DO UPDATE SET hash = excluded.hash",
    )
    .bind(host)
    .bind(hash)
    .execute(act.connection())
    .await?;
    Ok(())
}

pub(super) async fn insert_costs(
    act: &mut Act,
    first: i64,
    host: Option<i64>,
    entries: &[CostEntry],
    at: OffsetDateTime,
) -> Result<()> {
    const COLUMNS: usize = 13;
    let numbered: Vec<(i64, &CostEntry)> = (first..).zip(entries).collect();
    for rows in in_sizes(&numbered) {
        let sql = format!(
            "INSERT INTO agents_costs (id, agent_id, run, session, host_id, source, model, cost, input, output, \
             cache_write, cache_read, created_at) VALUES {}",
            rows_of_placeholders(act.engine(), rows.len(), COLUMNS)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (id, entry) in rows {
            query = query
                .bind(*id)
                .bind(entry.key.agent)
                .bind(entry.key.run)
                .bind(entry.key.session)
                .bind(host)
                .bind(entry.source.word())
                .bind(&entry.model)
                .bind(entry.cost.0)
                .bind(entry.input)
                .bind(entry.output)
                .bind(entry.cache_write)
                .bind(entry.cache_read)
                .bind(to_millis(at));
        }
        query.execute(act.connection()).await?;
    }
    Ok(())
}

/// Adds costs to their sessions, as far as those are known.
pub(super) async fn add_to_sessions(
    act: &mut Act,
    sums: &BTreeMap<RunKey, i64>,
    at: OffsetDateTime,
) -> Result<()> {
    for (key, sum) in sums {
        sqlx::query(
            "UPDATE agents_sessions SET cost = cost + $1, last_active_at = $2 \
             WHERE agent_id = $3 AND run = $4 AND session = $5",
        )
        .bind(*sum)
        .bind(to_millis(at))
        .bind(key.agent)
        .bind(key.run)
        .bind(key.session)
        .execute(act.connection())
        .await?;
    }
    Ok(())
}

/// Costs of one span, agent and model.
pub(super) struct Sum {
    pub(super) from: OffsetDateTime,
    pub(super) agent: i64,
    pub(super) model: String,
    pub(super) cost: i64,
    pub(super) tokens: [i64; 4],
}

pub(super) async fn cost_sums(
    reader: &mut Reader,
    from: OffsetDateTime,
    until: OffsetDateTime,
    span: Duration,
) -> Result<Vec<Sum>> {
    let span = i64::try_from(span.whole_milliseconds()).unwrap_or(i64::MAX);
    // A sum of BIGINTs is a NUMERIC in PostgreSQL.
    let rows = sqlx::query(
        "SELECT (created_at - $1) / $3 AS span, agent_id, model, CAST(SUM(cost) AS BIGINT), \
         CAST(SUM(input) AS BIGINT), CAST(SUM(output) AS BIGINT), CAST(SUM(cache_write) AS BIGINT), \
         CAST(SUM(cache_read) AS BIGINT) FROM agents_costs WHERE created_at >= $1 AND created_at < $2 \
         GROUP BY 1, agent_id, model ORDER BY 1, agent_id, model",
    );
    let rows = rows.bind(to_millis(from)).bind(to_millis(until)).bind(span);
    let read = |row: &AnyRow| {
        let at: i64 = row.try_get(0)?;
        Ok(Sum {
            from: from_millis(to_millis(from) + at * span),
            agent: row.try_get(1)?,
            model: row.try_get(2)?,
            cost: row.try_get(3)?,
            tokens: [row.try_get(4)?, row.try_get(5)?, row.try_get(6)?, row.try_get(7)?],
        })
    };
    rows.fetch_all(&mut **reader).await?.iter().map(read).collect()
}

/// What an agent spent since a time; everybody, without an agent.
pub(super) async fn spent(
    reader: &mut Reader,
    agent: Option<i64>,
    since: Option<OffsetDateTime>,
) -> Result<i64> {
    let since = since.map_or(i64::MIN, to_millis);
    let row = match agent {
        Some(agent) => sqlx::query(
            "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM agents_costs WHERE created_at >= $1 AND agent_id = $2",
        )
        .bind(since)
        .bind(agent),
        None => sqlx::query(
            "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM agents_costs WHERE created_at >= $1",
        )
        .bind(since),
    };
    Ok(row.fetch_one(&mut **reader).await?.try_get(0)?)
}
