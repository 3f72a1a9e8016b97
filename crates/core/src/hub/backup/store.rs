//! Rows of any table, out of one engine and into another. A row is a line of JSON, an object by column name: whole
//! numbers, text, booleans and nulls as themselves, `{"real": "1.5"}` and `{"blob": "<base64>"}` for the rest.

use std::io::{self, BufRead, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt as _;
use serde_json::{Map, Value, json};
use sqlx::any::{AnyArguments, AnyRow, AnyTypeInfoKind};
use sqlx::query::Query;
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Column as _, Connection as _, Executor as _, Row as _,
    SqlSafeStr as _, Statement as _, ValueRef as _,
};

use super::BackupError;
use super::manifest::{Table, is_table_name};
use crate::hub::store::{Engine, MigrationSet};

/// Rows that one statement inserts, and values that it may bind (SQLite takes 32766, PostgreSQL 65535).
const BATCH: usize = 200;
const MAX_BOUND: usize = 30_000;
/// The longest row, in bytes of its line.
const MAX_ROW: u64 = 256 << 20;

/// Opens a transaction on a connection of one's own.
pub(super) async fn begin(connection: &mut AnyConnection) -> Result<(), BackupError> {
    connection.execute("BEGIN").await?;
    Ok(())
}

/// Ends it well.
pub(super) async fn commit(connection: &mut AnyConnection) -> Result<(), BackupError> {
    connection.execute("COMMIT").await?;
    Ok(())
}

/// For the rest of the transaction: the usual limit is for questions, not for whole tables.
pub(super) async fn lift_time_limit(
    connection: &mut AnyConnection,
    engine: Engine,
) -> Result<(), BackupError> {
    if engine == Engine::Postgres {
        connection.execute("SET LOCAL statement_timeout = 0").await?;
    }
    Ok(())
}

/// Closes a SQLite database so that nothing of it is left in a log beside its file, which can then be moved alone.
pub(super) async fn close_single_file(mut connection: AnyConnection) -> Result<(), BackupError> {
    connection.execute("PRAGMA journal_mode = DELETE").await?;
    connection.close().await?;
    Ok(())
}

/// Every table there is, those that this program knows first and parents before those that refer to them.
pub(super) async fn tables(
    connection: &mut AnyConnection,
    engine: Engine,
    sets: &[MigrationSet],
) -> Result<Vec<String>, BackupError> {
    let sql = match engine {
        Engine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        }
        Engine::Postgres => {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
        }
    };
    let mut found: Vec<String> = Vec::new();
    for row in connection.fetch_all(sql).await? {
        found.push(row.try_get(0)?);
    }
    found.retain(|name| name != "nave_migrations" && is_table_name(name));
    let known = sets.iter().flat_map(|set| set.tables);
    let mut ordered: Vec<String> = known
        .filter(|name| found.iter().any(|found| found == *name))
        .map(|name| (*name).to_owned())
        .collect();
    found.retain(|name| !ordered.contains(name));
    ordered.append(&mut found);
    Ok(ordered)
}

/// Writes every row of a table as a line.
pub(super) async fn dump(
    connection: &mut AnyConnection,
    engine: Engine,
    name: &str,
    out: &mut impl Write,
) -> Result<Table, BackupError> {
    debug_assert!(is_table_name(name), "the name stands in the statement");
    let mut count = 0;
    {
        let mut rows = connection.fetch(AssertSqlSafe(format!("SELECT * FROM {name} ORDER BY 1")));
        while let Some(row) = rows.try_next().await? {
            serde_json::to_writer(&mut *out, &to_json(&row)?).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
            count += 1;
        }
    }
    Ok(Table {
        name: name.to_owned(),
        rows: count,
        last_number: last_number(connection, engine, name).await?,
    })
}

fn to_json(row: &AnyRow) -> Result<Value, BackupError> {
    let mut object = Map::new();
    for column in row.columns() {
        let index = column.ordinal();
        let kind = row.try_get_raw(index)?;
        let value = match kind.type_info().kind() {
            _ if kind.is_null() => Value::Null,
            AnyTypeInfoKind::Null => Value::Null,
            AnyTypeInfoKind::Bool => json!(row.try_get::<bool, _>(index)?),
            AnyTypeInfoKind::SmallInt | AnyTypeInfoKind::Integer | AnyTypeInfoKind::BigInt => {
                json!(row.try_get::<i64, _>(index)?)
            }
            // As text: JSON has no infinities, and readers differ in how they round.
            AnyTypeInfoKind::Real => json!({ "real": f64::from(row.try_get::<f32, _>(index)?).to_string() }),
            AnyTypeInfoKind::Double => json!({ "real": row.try_get::<f64, _>(index)?.to_string() }),
            AnyTypeInfoKind::Text => json!(row.try_get::<String, _>(index)?),
            AnyTypeInfoKind::Blob => json!({ "blob": STANDARD.encode(row.try_get::<Vec<u8>, _>(index)?) }),
        };
        object.insert(column.name().to_owned(), value);
    }
    Ok(Value::Object(object))
}

/// Inserts the lines of a table; returns how many.
pub(super) async fn load(
    connection: &mut AnyConnection,
    name: &str,
    mut lines: impl BufRead,
) -> Result<u64, BackupError> {
    debug_assert!(is_table_name(name), "the name stands in the statement");
    let select = AssertSqlSafe(format!("SELECT * FROM {name}")).into_sql_str();
    let columns: Vec<(String, AnyTypeInfoKind)> = connection
        .prepare(select)
        .await?
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), column.type_info().kind()))
        .collect();
    let batch = (MAX_BOUND / columns.len().max(1)).clamp(1, BATCH);
    let mut count = 0;
    loop {
        let mut rows = Vec::with_capacity(batch);
        while rows.len() < batch
            && let Some(row) = next_row(&mut lines, name, count + rows.len() as u64 + 1)?
        {
            rows.push(row);
        }
        if rows.is_empty() {
            return Ok(count);
        }
        let sql = insert(name, &columns, rows.len());
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(rows.len() == batch);
        for (index, row) in rows.iter().enumerate() {
            let line = format!("{name}, row {}", count + index as u64 + 1);
            if row.keys().any(|key| !columns.iter().any(|(column, _)| column == key)) {
                return Err(BackupError::content(line, "it has a column that the table has not"));
            }
            for (column, kind) in &columns {
                let value = row.get(column).unwrap_or(&Value::Null);
                query = bind(query, *kind, value)
                    .ok_or_else(|| BackupError::content(&line, &format!("{column} has the wrong type")))?;
            }
        }
        query.execute(&mut *connection).await?;
        count += rows.len() as u64;
    }
}

fn next_row(
    lines: &mut impl BufRead,
    name: &str,
    row: u64,
) -> Result<Option<Map<String, Value>>, BackupError> {
    let mut line = Vec::new();
    io::Read::take(&mut *lines, MAX_ROW).read_until(b'\n', &mut line)?;
    match line.split_last() {
        None => Ok(None),
        Some((b'\n', line)) => serde_json::from_slice(line)
            .map(Some)
            .map_err(|error| BackupError::content(format!("{name}, row {row}"), &error)),
        Some(_) => Err(BackupError::content(format!("{name}, row {row}"), "its line does not end")),
    }
}

fn insert(name: &str, columns: &[(String, AnyTypeInfoKind)], rows: usize) -> String {
    let names: Vec<String> =
        columns.iter().map(|(column, _)| format!("\"{}\"", column.replace('"', "\"\""))).collect();
    let tuple = |row: usize| {
        let first = row * columns.len() + 1;
        let places: Vec<String> = (first..first + columns.len()).map(|place| format!("${place}")).collect();
        format!("({})", places.join(", "))
    };
    let tuples: Vec<String> = (0..rows).map(tuple).collect();
    format!("INSERT INTO {name} ({}) VALUES {}", names.join(", "), tuples.join(", "))
}

type Insert<'q> = Query<'q, Any, AnyArguments>;

/// Binds a value with the type of its column, which a null needs too. `None` if it is no such value.
fn bind<'q>(query: Insert<'q>, kind: AnyTypeInfoKind, value: &Value) -> Option<Insert<'q>> {
    let real = |value: &Value| value.get("real")?.as_str()?.parse::<f64>().ok();
    let blob = |value: &Value| STANDARD.decode(value.get("blob")?.as_str()?).ok();
    let absent = value.is_null();
    Some(match kind {
        AnyTypeInfoKind::Bool if absent => query.bind(None::<bool>),
        AnyTypeInfoKind::Bool => query.bind(value.as_bool()?),
        AnyTypeInfoKind::SmallInt | AnyTypeInfoKind::Integer | AnyTypeInfoKind::BigInt if absent => {
            query.bind(None::<i64>)
        }
        AnyTypeInfoKind::SmallInt | AnyTypeInfoKind::Integer | AnyTypeInfoKind::BigInt => {
            query.bind(value.as_i64()?)
        }
        // The driver mixes up the types of a null of these two, which makes no difference to the engines.
        AnyTypeInfoKind::Real | AnyTypeInfoKind::Double if absent => query.bind(None::<f64>),
        AnyTypeInfoKind::Real | AnyTypeInfoKind::Double => query.bind(real(value)?),
        AnyTypeInfoKind::Blob if absent => query.bind(None::<Vec<u8>>),
        AnyTypeInfoKind::Blob => query.bind(blob(value)?),
        AnyTypeInfoKind::Text | AnyTypeInfoKind::Null if absent => query.bind(None::<String>),
        AnyTypeInfoKind::Text | AnyTypeInfoKind::Null => query.bind(value.as_str()?.to_owned()),
    })
}

/// The sequence behind a PostgreSQL table's numbered column.
async fn sequence(connection: &mut AnyConnection, name: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT pg_get_serial_sequence($1, column_name::text) FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1 AND is_identity = 'YES'",
    )
    .bind(name)
    .fetch_optional(connection)
    .await
    .map(Option::flatten)
}

async fn last_number(
    connection: &mut AnyConnection,
    engine: Engine,
    name: &str,
) -> Result<Option<i64>, BackupError> {
    match engine {
        Engine::Sqlite => {
            let numbered = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'sqlite_sequence'";
            if sqlx::query_scalar::<_, i64>(numbered).fetch_one(&mut *connection).await? == 0 {
                return Ok(None);
            }
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = $1";
            Ok(sqlx::query_scalar(sql).bind(name).fetch_optional(connection).await?)
        }
        Engine::Postgres => {
            let Some(sequence) = sequence(&mut *connection, name).await? else { return Ok(None) };
            // The name comes quoted from the server itself.
            let sql = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}");
            Ok(Some(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await?))
        }
    }
}

/// Makes a table go on numbering where it had stopped.
pub(super) async fn set_last_number(
    connection: &mut AnyConnection,
    engine: Engine,
    name: &str,
    last: i64,
) -> Result<(), BackupError> {
    match engine {
        Engine::Sqlite => {
            sqlx::query("DELETE FROM sqlite_sequence WHERE name = $1")
                .bind(name)
                .execute(&mut *connection)
                .await?;
            sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)")
                .bind(name)
                .bind(last)
                .execute(connection)
                .await?;
        }
        Engine::Postgres => {
            if let Some(sequence) = sequence(&mut *connection, name).await?
                && last > 0
            {
                sqlx::query("SELECT setval($1::regclass, $2)")
                    .bind(sequence)
                    .bind(last)
                    .execute(connection)
                    .await?;
            }
        }
    }
    Ok(())
}

/// For the rest of the transaction, names of tables mean those of a schema, which is made if it is wanted and not there.
pub(super) async fn enter_schema(
    connection: &mut AnyConnection,
    schema: &str,
    make: bool,
) -> Result<(), BackupError> {
    debug_assert!(is_table_name(schema), "the name stands in the statement");
    let there = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM pg_namespace WHERE nspname = $1");
    if make && there.bind(schema).fetch_one(&mut *connection).await? == 0 {
        connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await?;
    }
    connection.execute(AssertSqlSafe(format!("SET LOCAL search_path TO {schema}"))).await?;
    Ok(())
}

/// Drops our own tables, to make room for those of a backup.
pub(super) async fn drop_tables(
    connection: &mut AnyConnection,
    engine: Engine,
    sets: &[MigrationSet],
) -> Result<(), BackupError> {
    let mut names = tables(connection, engine, sets).await?;
    names.retain(|name| sets.iter().any(|set| set.tables.contains(&name.as_str())));
    for name in names.iter().rev().map(String::as_str).chain(["nave_migrations"]) {
        connection.execute(AssertSqlSafe(format!("DROP TABLE IF EXISTS {name}"))).await?;
    }
    Ok(())
}
