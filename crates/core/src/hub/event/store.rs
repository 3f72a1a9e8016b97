//! The audit log's table.

use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use time::OffsetDateTime;

use super::Event;
use crate::api::EventFilter;
use crate::clock::to_millis;
use crate::hub::error::Result;
use crate::hub::op::Op;
use crate::hub::store::{Act, in_sizes, rows_of_placeholders};

/// Writes events; their numbers.
pub(super) async fn insert(act: &mut Act, events: &[(&Op, &Event)]) -> Result<Vec<i64>> {
    const COLUMNS: usize = 11;
    let mut numbers = Vec::with_capacity(events.len());
    for rows in in_sizes(events) {
        let sql = format!(
            "INSERT INTO events (at, actor_kind, actor_id, actor_name, source, request, action, object_kind, \
             object_id, object_name, detail) VALUES {} RETURNING id",
            rows_of_placeholders(act.engine(), rows.len(), COLUMNS)
        );
        // The text is put together from constants and numbers; every value is bound.
        let mut query = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql));
        for (op, event) in rows {
            query = query
                .bind(to_millis(op.clock.now()))
                .bind(op.actor.kind())
                .bind(op.actor.id())
                .bind(op.actor.name())
                .bind(op.source.map(|source| source.to_string()))
                .bind(op.request.to_string())
                .bind(event.action)
                .bind(event.object_kind)
                .bind(&event.object_id)
                .bind(&event.object_name)
                .bind(event.detail.to_string());
        }
        numbers.extend(query.fetch_all(act.connection()).await?);
    }
    Ok(numbers)
}

const SELECT: &str = "SELECT id, at, actor_kind, actor_id, actor_name, source, request, action, object_kind, \
     object_id, object_name, detail FROM events";

/// What a filter asks for, and nothing besides: a clause that lets everything pass is still tried on every row.
#[derive(Default)]
struct Clauses {
    text: String,
    values: Vec<Value>,
}

enum Value {
    Number(i64),
    Text(String),
}

impl Clauses {
    /// Adds a clause, in which `$?` stands for the value, if there is one.
    fn add(&mut self, clause: &str, value: Option<Value>) {
        let Some(value) = value else { return };
        self.values.push(value);
        self.text.push_str(if self.values.len() == 1 { " WHERE " } else { " AND " });
        self.text.push_str(&clause.replace("$?", &format!("${}", self.values.len())));
    }
}

pub(super) async fn select(reader: &mut AnyConnection, filter: &EventFilter) -> Result<Vec<AnyRow>> {
    let moment = |at: Option<OffsetDateTime>| at.map(to_millis).map(Value::Number);
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty()).map(Value::Text);
    let mut clauses = Clauses::default();
    clauses.add("id > $?", filter.after.map(Value::Number));
    clauses.add("id < $?", filter.before.map(Value::Number));
    clauses.add("at >= $?", moment(filter.since));
    clauses.add("at < $?", moment(filter.until));
    // A noun and a verb are an action, which can be looked up; a noun alone stands for all of its actions.
    let action = text(&filter.action);
    let is_whole = filter.action.as_ref().is_some_and(|action| action.contains('.'));
    clauses.add(if is_whole { "action = $?" } else { "action LIKE $? || '.%'" }, action);
    clauses.add("(actor_name = $? OR actor_id = $?)", text(&filter.actor));
    clauses.add("(object_name = $? OR object_id = $? OR object_kind = $?)", text(&filter.object));
    let Clauses { text, values } = clauses;
    let (order, limit) = (if filter.after.is_some() { "ASC" } else { "DESC" }, values.len() + 1);
    // The text is put together from constants; every value is bound.
    let sql = sqlx::AssertSqlSafe(format!("{SELECT}{text} ORDER BY id {order} LIMIT ${limit}"));
    let mut query = sqlx::query(sql);
    for value in values {
        query = match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
        };
    }
    Ok(query.bind(i64::from(filter.limit.unwrap_or(100))).fetch_all(reader).await?)
}

/// The last that happened to one thing, the newest first.
pub(super) async fn of_object(
    reader: &mut AnyConnection,
    kind: &str,
    id: &str,
    limit: u32,
) -> Result<Vec<AnyRow>> {
    // Two constants make the text; the values are bound.
    let sql = format!("{SELECT} WHERE object_kind = $1 AND object_id = $2 ORDER BY id DESC LIMIT $3");
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(kind).bind(id).bind(i64::from(limit));
    Ok(query.fetch_all(reader).await?)
}

/// Whether this happened to a thing after a time.
pub(super) async fn was_noted(
    reader: &mut AnyConnection,
    kind: &str,
    id: &str,
    action: &str,
    since: OffsetDateTime,
) -> Result<bool> {
    let sql = "SELECT at FROM events WHERE object_kind = $1 AND object_id = $2 AND action = $3 ORDER BY id DESC LIMIT 1";
    let query = sqlx::query_scalar::<_, i64>(sql).bind(kind).bind(id).bind(action);
    let at = query.fetch_optional(reader).await?;
    Ok(at.is_some_and(|at| at > to_millis(since)))
}

pub(super) async fn delete_before(act: &mut Act, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM events WHERE at < $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}
