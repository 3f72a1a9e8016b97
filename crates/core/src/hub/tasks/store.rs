//! The table of tasks.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::api::{Task, TaskFilter, TaskState};
use crate::clock::{from_millis, to_millis};
use crate::hub::error::{Error, Result};
use crate::hub::op::Op;
use crate::hub::store::Act;
use crate::id::{NodeId, TaskId};

pub(super) use crate::api::TaskState as State;

/// A task to be put.
pub(super) struct New<'a> {
    pub(super) id: TaskId,
    pub(super) kind: &'a str,
    pub(super) key: &'a str,
    pub(super) node: Option<NodeId>,
    pub(super) payload: &'a str,
    pub(super) due_at: i64,
}

/// A task as the database has it, as far as deciding about it needs.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: TaskId,
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) payload: String,
    pub(super) state: State,
    pub(super) attempt: i64,
    pub(super) taken_by: Option<NodeId>,
    pub(super) result: Option<String>,
    pub(super) error: Option<String>,
}

const ROW: &str = "SELECT id, kind, key, payload, state, attempt, taken_by, result, error FROM tasks";

fn read(row: &AnyRow) -> Result<Row> {
    let (id, state): (String, String) = (row.try_get(0)?, row.try_get(4)?);
    let taken_by: Option<String> = row.try_get(6)?;
    Ok(Row {
        id: id.parse().map_err(Error::internal)?,
        kind: row.try_get(1)?,
        key: row.try_get(2)?,
        payload: row.try_get(3)?,
        state: state_of(&state)?,
        attempt: row.try_get(5)?,
        taken_by: taken_by.map(|id| id.parse()).transpose().map_err(Error::internal)?,
        result: row.try_get(7)?,
        error: row.try_get(8)?,
    })
}

fn state_of(word: &str) -> Result<State> {
    State::ALL
        .into_iter()
        .find(|state| state.word() == word)
        .ok_or_else(|| Error::internal(format!("a task is {word:?}, which is no state")))
}

/// Puts a task, unless an unfinished one of its kind has its key; whether it did.
pub(super) async fn insert(act: &mut Act, task: &New<'_>, op: &Op) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO tasks (id, kind, key, node_id, payload, state, put_at, put_by_kind, put_by, put_by_name, since, \
         due_at) VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (kind, key) WHERE state IN ('queued', 'taken') DO NOTHING",
    )
    .bind(task.id.to_string())
    .bind(task.kind)
    .bind(task.key)
    .bind(task.node.map(|node| node.to_string()))
    .bind(task.payload)
    .bind(to_millis(op.clock.now()))
    .bind(op.actor.kind())
    .bind(op.actor.id())
    .bind(op.actor.name())
    .bind(to_millis(op.clock.now()))
    .bind(task.due_at)
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn unfinished(act: &mut Act, kind: &str, key: &str) -> Result<Option<TaskId>> {
    let id: Option<String> = sqlx::query_scalar(
        "SELECT id FROM tasks WHERE kind = $1 AND key = $2 AND state IN ('queued', 'taken')",
    )
    .bind(kind)
    .bind(key)
    .fetch_optional(act.connection())
    .await?;
    id.map(|id| id.parse().map_err(Error::internal)).transpose()
}

pub(super) async fn by_id(reader: &mut AnyConnection, id: TaskId) -> Result<Option<Row>> {
    // A constant makes the text; the value is bound.
    let sql = sqlx::AssertSqlSafe(format!("{ROW} WHERE id = $1"));
    let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(reader).await?;
    row.as_ref().map(read).transpose()
}

/// Tasks that a node can take now, the oldest first. A pause that began later than now belongs to a clock that was set
/// back: nobody knows how much of it is left.
pub(super) async fn ready(
    reader: &mut AnyConnection,
    kind: &str,
    node: NodeId,
    now: OffsetDateTime,
    most: usize,
) -> Result<Vec<Row>> {
    // As above.
    let sql = sqlx::AssertSqlSafe(format!(
        "{ROW} WHERE kind = $1 AND state = 'queued' AND (due_at <= $2 OR since > $2) \
         AND (node_id IS NULL OR node_id = $3) ORDER BY id LIMIT $4"
    ));
    let query = sqlx::query(sql).bind(kind).bind(to_millis(now)).bind(node.to_string());
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    query.bind(most).fetch_all(reader).await?.iter().map(read).collect()
}

pub(super) async fn take(
    act: &mut Act,
    id: TaskId,
    node: NodeId,
    name: &str,
    attempt: i64,
    now: OffsetDateTime,
    until: i64,
) -> Result<()> {
    let done = sqlx::query(
        "UPDATE tasks SET state = 'taken', attempt = $2, taken_by = $3, since = $4, due_at = $5, taken_by_name = \
         COALESCE((SELECT n.name FROM nodes n WHERE n.id = $3), $6) \
         WHERE id = $1 AND state = 'queued' AND attempt = $2 - 1",
    )
    .bind(id.to_string())
    .bind(attempt)
    .bind(node.to_string())
    .bind(to_millis(now))
    .bind(until)
    .bind(name)
    .execute(act.connection())
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(Error::internal("a task changed in somebody's act")) }
}

pub(super) async fn extend(act: &mut Act, id: TaskId, now: OffsetDateTime, until: i64) -> Result<()> {
    sqlx::query("UPDATE tasks SET since = $2, due_at = $3 WHERE id = $1 AND state = 'taken'")
        .bind(id.to_string())
        .bind(to_millis(now))
        .bind(until)
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Ends a task that has not ended.
pub(super) async fn end(
    act: &mut Act,
    id: TaskId,
    state: State,
    now: OffsetDateTime,
    result: Option<&str>,
    error: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "UPDATE tasks SET state = $2, since = $3, due_at = 0, ended_at = $3, result = $4, error = COALESCE($5, error) \
         WHERE id = $1 AND state IN ('queued', 'taken')",
    )
    .bind(id.to_string())
    .bind(state.word())
    .bind(to_millis(now))
    .bind(result)
    .bind(error)
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Puts a taken task back into the queue.
pub(super) async fn requeue(
    act: &mut Act,
    id: TaskId,
    now: OffsetDateTime,
    due_at: i64,
    error: &str,
) -> Result<()> {
    sqlx::query(
        "UPDATE tasks SET state = 'queued', since = $2, due_at = $3, error = $4 WHERE id = $1 AND state = 'taken'",
    )
    .bind(id.to_string())
    .bind(to_millis(now))
    .bind(due_at)
    .bind(error)
    .execute(act.connection())
    .await?;
    Ok(())
}

/// After the clock was set back: what is left of pauses and of taken tasks' time is counted from now.
pub(super) async fn count_from(act: &mut Act, kind: &str, now: OffsetDateTime) -> Result<()> {
    sqlx::query(
        "UPDATE tasks SET due_at = due_at - (since - $2), since = $2 \
         WHERE kind = $1 AND state IN ('queued', 'taken') AND due_at > 0 AND since > $2",
    )
    .bind(kind)
    .bind(to_millis(now))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Whether there is something of a kind for [`count_from`], [`overdue`] or [`end_pauses`].
pub(super) async fn is_due(reader: &mut AnyConnection, kind: &str, now: OffsetDateTime) -> Result<bool> {
    let due: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM tasks WHERE kind = $1 AND state IN ('queued', 'taken') AND due_at > 0 \
         AND (due_at <= $2 OR since > $2)",
    )
    .bind(kind)
    .bind(to_millis(now))
    .fetch_one(reader)
    .await?;
    Ok(due > 0)
}

/// Taken tasks whose time is over.
pub(super) async fn overdue(act: &mut Act, kind: &str, now: OffsetDateTime, most: i64) -> Result<Vec<Row>> {
    // A constant makes the text; the values are bound.
    let sql = sqlx::AssertSqlSafe(format!(
        "{ROW} WHERE kind = $1 AND state = 'taken' AND due_at <= $2 ORDER BY due_at, id LIMIT $3"
    ));
    let query = sqlx::query(sql).bind(kind).bind(to_millis(now)).bind(most);
    query.fetch_all(act.connection()).await?.iter().map(read).collect()
}

/// Lets tasks be taken at once whose pause is over; which.
pub(super) async fn end_pauses(act: &mut Act, kind: &str, now: OffsetDateTime) -> Result<Vec<TaskId>> {
    let ids: Vec<String> = sqlx::query_scalar(
        "UPDATE tasks SET due_at = 0 WHERE kind = $1 AND state = 'queued' AND due_at > 0 AND due_at <= $2 RETURNING id",
    )
    .bind(kind)
    .bind(to_millis(now))
    .fetch_all(act.connection())
    .await?;
    ids.iter().map(|id| id.parse().map_err(Error::internal)).collect()
}

/// When the next one of a kind is due, in milliseconds since 1970.
pub(super) async fn next_due(reader: &mut AnyConnection, kind: &str) -> Result<Option<i64>> {
    let due: Option<i64> = sqlx::query_scalar(
        "SELECT MIN(due_at) FROM tasks WHERE kind = $1 AND state IN ('queued', 'taken') AND due_at > 0",
    )
    .bind(kind)
    .fetch_one(reader)
    .await?;
    Ok(due)
}

/// A node is gone for good: what only it could do has failed, and what it had taken of the rest is for others.
pub(in crate::hub) async fn give_up_node(act: &mut Act, node: NodeId, now: OffsetDateTime) -> Result<()> {
    for sql in [
        "UPDATE tasks SET state = 'failed', since = $2, due_at = 0, ended_at = $2, error = 'its node was revoked' \
         WHERE node_id = $1 AND state IN ('queued', 'taken')",
        "UPDATE tasks SET state = 'queued', since = $2, due_at = 0, error = 'the node that had taken it was revoked' \
         WHERE taken_by = $1 AND state = 'taken'",
    ] {
        sqlx::query(sql).bind(node.to_string()).bind(to_millis(now)).execute(act.connection()).await?;
    }
    Ok(())
}

/// Forgets tasks of a kind that ended before a time; how many.
pub(super) async fn delete_ended(act: &mut Act, kind: &str, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM tasks WHERE kind = $1 AND ended_at < $2")
        .bind(kind)
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}

const VIEW: &str = "SELECT t.id, t.kind, t.key, t.state, t.attempt, t.put_at, t.put_by_name, t.since, t.due_at, \
     t.taken_by_name, t.ended_at, t.error, t.payload, t.result, \
     COALESCE((SELECT n.name FROM nodes n WHERE n.id = t.node_id), t.node_id) FROM tasks t";

/// A task as people see it.
pub(super) async fn view(reader: &mut AnyConnection, id: TaskId) -> Result<Option<Task>> {
    // As above.
    let sql = sqlx::AssertSqlSafe(format!("{VIEW} WHERE t.id = $1"));
    let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(reader).await?;
    row.as_ref().map(shown).transpose()
}

/// Tasks that pass a filter, the newest first, without what there is to do in them and what came of it.
pub(super) async fn select(
    reader: &mut AnyConnection,
    filter: &TaskFilter,
    node: Option<NodeId>,
    most: u32,
) -> Result<Vec<Task>> {
    let mut values = Vec::new();
    let mut clauses = String::new();
    let mut add = |clause: &str, value: Option<String>| {
        let Some(value) = value else { return };
        values.push(value);
        clauses.push_str(if values.len() == 1 { " WHERE " } else { " AND " });
        clauses.push_str(&clause.replace("$?", &format!("${}", values.len())));
    };
    add("t.state = $?", filter.state.map(|state| state.word().to_owned()));
    add("t.kind = $?", filter.kind.clone());
    add("(t.node_id = $? OR t.taken_by = $?)", node.map(|node| node.to_string()));
    add("t.id < $?", filter.before.clone());
    // The text is put together from constants and numbers; every value is bound.
    let sql = format!("{VIEW}{clauses} ORDER BY t.id DESC LIMIT ${}", values.len() + 1);
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for value in values {
        query = query.bind(value);
    }
    let rows = query.bind(i64::from(most)).fetch_all(reader).await?;
    rows.iter().map(|row| Ok(Task { payload: None, result: None, ..shown(row)? })).collect()
}

fn shown(row: &AnyRow) -> Result<Task> {
    let state: String = row.try_get(3)?;
    let state = state_of(&state)?;
    let (since, due_at): (i64, i64) = (row.try_get(7)?, row.try_get(8)?);
    let ended_at: Option<i64> = row.try_get(10)?;
    let json = |column: usize| -> Result<Option<serde_json::Value>> {
        let text: Option<String> = row.try_get(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(Error::internal)).transpose()
    };
    let tried = |column: usize| -> Result<Option<String>> { Ok(row.try_get(column)?) };
    Ok(Task {
        id: row.try_get(0)?,
        kind: row.try_get(1)?,
        key: row.try_get(2)?,
        state,
        attempt: row.try_get(4)?,
        put_at: from_millis(row.try_get(5)?),
        put_by: row.try_get(6)?,
        since: from_millis(since),
        due_at: (due_at > 0 && matches!(state, TaskState::Queued | TaskState::Taken))
            .then(|| from_millis(due_at)),
        taken_by: tried(9)?,
        ended_at: ended_at.map(from_millis),
        error: tried(11)?,
        payload: json(12)?,
        result: json(13)?,
        node: tried(14)?,
    })
}
