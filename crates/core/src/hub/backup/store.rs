//! Rows of any table as JSON lines, out and in again. Table names come from the migration sets only; column names that
//! an archive names are checked before they become SQL.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt as _;
use serde_json::{Map, Value, json};
use sqlx::any::{AnyRow, AnyTypeInfoKind};
use sqlx::{AnyConnection, AssertSqlSafe, Column as _, Row as _, ValueRef as _};

use crate::hub::error::{Error, Result};
use crate::hub::store::{Act, Engine};

/// Rows of one entry of the archive.
const PART: usize = 10_000;
/// With this key, an object stands for bytes in base64.
const BYTES: &str = "$bytes";

pub(super) async fn count(reader: &mut AnyConnection, table: &str) -> Result<u64> {
    let count: i64 =
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"))).fetch_one(reader).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Hands a table's rows over in parts, numbered from 0.
pub(super) async fn dump(
    reader: &mut AnyConnection,
    table: &str,
    mut write: impl FnMut(usize, &[u8]) -> std::io::Result<()>,
) -> Result<std::io::Result<()>> {
    let mut rows = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}"))).fetch(reader);
    let (mut lines, mut held, mut part) = (Vec::new(), 0, 0);
    while let Some(row) = rows.try_next().await? {
        serde_json::to_writer(&mut lines, &to_json(&row)?).map_err(Error::internal)?;
        lines.push(b'\n');
        held += 1;
        if held == PART {
            if let Err(error) = write(part, &lines) {
                return Ok(Err(error));
            }
            (held, part) = (0, part + 1);
            lines.clear();
        }
    }
    if lines.is_empty() { Ok(lines.flush()) } else { Ok(write(part, &lines)) }
}

fn to_json(row: &AnyRow) -> Result<Value> {
    let mut object = Map::new();
    for column in row.columns() {
        let index = column.ordinal();
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            continue;
        }
        let value = match raw.type_info().kind() {
            AnyTypeInfoKind::Text => json!(row.try_get::<String, _>(index)?),
            AnyTypeInfoKind::Blob => json!({ BYTES: STANDARD.encode(row.try_get::<Vec<u8>, _>(index)?) }),
            AnyTypeInfoKind::Real | AnyTypeInfoKind::Double => json!(row.try_get::<f64, _>(index)?),
            AnyTypeInfoKind::Bool => json!(row.try_get::<bool, _>(index)?),
            _ => json!(row.try_get::<i64, _>(index)?),
        };
        object.insert(column.name().to_owned(), value);
    }
    Ok(Value::Object(object))
}

pub(super) async fn clear(act: &mut Act, table: &str) -> Result<()> {
    sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(act.connection()).await?;
    Ok(())
}

/// Inserts the rows of every part in `folder`; returns how many.
pub(super) async fn load(act: &mut Act, table: &str, folder: &Path) -> Result<u64> {
    let mut parts: Vec<_> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(_) => return Ok(0),
    };
    parts.sort();
    let mut count = 0;
    for part in parts {
        for line in BufReader::new(File::open(&part).map_err(Error::internal)?).lines() {
            let line = line.map_err(Error::internal)?;
            let broken = || Error::invalid(table, format!("table {table} has a row that cannot be read"));
            let Ok(Value::Object(row)) = serde_json::from_str(&line) else { return Err(broken()) };
            insert(act, table, row).await?.ok_or_else(broken)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Columns that are absent were null, and become so again by being left out.
async fn insert(act: &mut Act, table: &str, row: Map<String, Value>) -> Result<Option<()>> {
    let plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
    };
    if row.is_empty() || !row.keys().all(|name| plain(name)) {
        return Ok(None);
    }
    let names = row.keys().cloned().collect::<Vec<_>>().join(", ");
    let places = (1..=row.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
    let sql = AssertSqlSafe(format!("INSERT INTO {table} ({names}) VALUES ({places})"));
    let mut query = sqlx::query(sql);
    for value in row.into_iter().map(|(_, value)| value) {
        query = match value {
            Value::String(text) => query.bind(text),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => query.bind(number),
                (None, Some(number)) => query.bind(number),
                _ => return Ok(None),
            },
            Value::Bool(truth) => query.bind(truth),
            Value::Object(object) => {
                let bytes =
                    object.get(BYTES).and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
                let Some(bytes) = bytes else { return Ok(None) };
                query.bind(bytes)
            }
            Value::Null | Value::Array(_) => return Ok(None),
        };
    }
    query.execute(act.connection()).await?;
    Ok(Some(()))
}

/// Lets a column that counts go on behind the highest number that was restored. SQLite sees to that itself.
pub(super) async fn set_counter(act: &mut Act, table: &str, column: &str) -> Result<()> {
    if act.engine() == Engine::Postgres {
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), GREATEST((SELECT MAX({column}) FROM {table}), 1))"
        );
        sqlx::query(AssertSqlSafe(sql)).execute(act.connection()).await?;
    }
    Ok(())
}
