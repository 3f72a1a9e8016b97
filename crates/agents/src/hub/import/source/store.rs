//! Statements that read a NAISYS hub's database. It is opened for reading only.

use std::collections::BTreeMap;
use std::path::Path;

use nave_core::hub::error::{Error, Result};
use sqlx::any::{AnyConnectOptions, AnyRow};
use sqlx::{AnyConnection, ConnectOptions as _, Row as _};

use super::{Cell, Columns, Holds, Row, Table};

/// How many rows are read at once.
const STEP: i64 = 500;

/// The database.
pub(in crate::hub::import) struct Source {
    connection: AnyConnection,
    columns: Columns,
}

impl Source {
    /// Opens it.
    pub(in crate::hub::import) async fn open(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::invalid("folder", format!("{}: {why}", path.display()));
        if !path.is_file() {
            return Err(wrong(
                "there is no such file: name the NAISYS_FOLDER of the hub, which has database/naisys_hub.db in it".to_owned(),
            ));
        }
        // In the address, these would be the beginning of something else.
        let escaped = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let options: AnyConnectOptions =
            format!("sqlite://{escaped}?mode=ro").parse().map_err(|error| wrong(format!("{error}")))?;
        let mut connection = options.connect().await.map_err(|error| wrong(error.to_string()))?;
        sqlx::query("SELECT CAST(COUNT(*) AS INTEGER) FROM users")
            .fetch_one(&mut connection)
            .await
            .map_err(|error| wrong(format!("it is no database of a NAISYS hub: {error}")))?;
        Ok(Self { connection, columns: Columns::new() })
    }

    /// Whether it has a table.
    pub(in crate::hub::import) async fn has(&mut self, table: &'static Table) -> Result<bool> {
        if !self.columns.contains_key(table.name) {
            let rows = sqlx::query("SELECT CAST(name AS TEXT) FROM pragma_table_info($1)").bind(table.name);
            let rows = rows.fetch_all(&mut self.connection).await?;
            let names = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            self.columns.insert(table.name, names);
        }
        Ok(self.columns.get(table.name).is_some_and(|columns| !columns.is_empty()))
    }

    /// All rows of a table.
    pub(in crate::hub::import) async fn all(&mut self, table: &'static Table) -> Result<Vec<Row>> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map_or(i64::MIN, |row: &Row| row.position);
            let rows = self.after(table, after).await?;
            if rows.is_empty() {
                return Ok(all);
            }
            all.extend(rows);
        }
    }

    /// The next rows of a table after a position.
    pub(in crate::hub::import) async fn after(
        &mut self,
        table: &'static Table,
        after: i64,
    ) -> Result<Vec<Row>> {
        if !self.has(table).await? {
            return Ok(Vec::new());
        }
        let known = &self.columns[table.name];
        // An expression has no declared type: the driver knows none of DATETIME, BOOLEAN and the like.
        let column = |(name, holds): &(&'static str, Holds)| {
            let cast = match holds {
                Holds::Number => "INTEGER",
                Holds::Real => "REAL",
                Holds::Text => "TEXT",
            };
            if known.contains(*name) {
                format!("CAST(\"{name}\" AS {cast})")
            } else {
                format!("CAST(NULL AS {cast})")
            }
        };
        let columns: Vec<String> = table.columns.iter().map(column).collect();
        let sql = format!(
            "SELECT CAST(rowid AS INTEGER), {} FROM \"{}\" WHERE rowid > {after} ORDER BY rowid LIMIT {STEP}",
            columns.join(", "),
            table.name
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?;
        rows.iter().map(|row| read(row, table)).collect()
    }
}

fn read(row: &AnyRow, table: &Table) -> Result<Row> {
    let mut cells = BTreeMap::new();
    for (at, (name, holds)) in (1..).zip(table.columns) {
        let cell = match holds {
            Holds::Number => row.try_get::<Option<i64>, _>(at)?.map(Cell::Number),
            Holds::Real => row.try_get::<Option<f64>, _>(at)?.map(Cell::Real),
            Holds::Text => row.try_get::<Option<String>, _>(at)?.map(Cell::Text),
        };
        if let Some(cell) = cell {
            cells.insert(*name, cell);
        }
    }
    Ok(Row { position: row.try_get(0)?, cells })
}
