//! Brings the schema up to date, set by set: the core's, then each fleet's. Only ever forward, and never on a
//! database that a newer program has changed.

use std::path::{Path, PathBuf};

use nave_link::secret_file;
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};

use super::{Engine, Store, connect_writer};
use crate::clock::{Clock, to_millis};
use crate::hub::backup;
use crate::hub::error::{Error, Result};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS nave_migrations (
    set_name TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL,
    applied_at BIGINT NOT NULL, PRIMARY KEY (set_name, version))";

/// Where copies from before an upgrade go, in the data folder.
const COPIES: &str = "before-upgrade";
/// How many copies of the database from before an upgrade are kept.
const KEPT_COPIES: usize = 3;

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Counts from 1 within its set.
    pub version: u32,
    /// For people.
    pub name: &'static str,
    /// The statements for SQLite.
    pub sqlite: &'static str,
    /// The statements for PostgreSQL.
    pub postgres: &'static str,
}

impl Migration {
    /// Its statements on one engine.
    pub(in crate::hub) fn on(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
        }
    }
}

/// The schema of the core or of one fleet: only ever appended to.
#[derive(Clone, Copy, Debug)]
pub struct MigrationSet {
    /// Whose tables these are.
    pub name: &'static str,
    /// Every table of the set, in an order in which rows can be restored.
    pub tables: &'static [&'static str],
    /// The steps, in order.
    pub migrations: &'static [Migration],
}

impl MigrationSet {
    /// No tables.
    pub const fn none(name: &'static str) -> Self {
        Self { name, tables: &[], migrations: &[] }
    }
}

/// A step that a database has gone through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Whose step.
    pub set: String,
    /// Which one.
    pub version: i64,
    /// Its name.
    pub name: String,
    checksum: String,
}

/// What a database has gone through; empty for a new one.
pub async fn applied(store: &Store) -> Result<Vec<Applied>> {
    applied_on(&mut *store.read().await?, store.engine()).await
}

pub(in crate::hub) async fn applied_on(
    connection: &mut AnyConnection,
    engine: Engine,
) -> Result<Vec<Applied>> {
    let exists = match engine {
        Engine::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = 'nave_migrations'",
        Engine::Postgres => {
            "SELECT COUNT(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('nave_migrations')"
        }
    };
    let exists: i64 = sqlx::query_scalar(exists).fetch_one(&mut *connection).await?;
    if exists == 0 {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT set_name, version, name, checksum FROM nave_migrations ORDER BY set_name, version",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                set: row.try_get(0)?,
                version: row.try_get(1)?,
                name: row.try_get(2)?,
                checksum: row.try_get(3)?,
            })
        })
        .collect()
}

/// Takes the steps that are missing. With a data folder, a copy from before goes there first.
pub(super) async fn run(
    store: &Store,
    folder: Option<&Path>,
    sets: &[MigrationSet],
    clock: &Clock,
) -> Result<()> {
    let before = applied(store).await?;
    if missing(&before, sets)?.is_empty() {
        return Ok(());
    }
    if let Some(folder) = folder
        && !before.is_empty()
    {
        copy_aside(store, folder, sets, clock).await?;
    }
    let mut act = store.begin().await?;
    let engine = act.engine();
    act.connection().execute(sqlx::raw_sql(TABLE)).await?;
    // Asked again: another hub may have had its turn first.
    let before = applied_on(act.connection(), engine).await?;
    for (set, migration) in missing(&before, sets)? {
        tracing::info!(set, version = migration.version, name = migration.name, "upgrading the schema");
        apply(act.connection(), engine, set, &migration, clock).await?;
    }
    act.commit().await
}

/// Takes one step, inside the transaction that is open on the connection.
async fn apply(
    connection: &mut AnyConnection,
    engine: Engine,
    set: &str,
    migration: &Migration,
    clock: &Clock,
) -> Result<()> {
    let sql = migration.on(engine);
    connection.execute(sqlx::raw_sql(sql)).await?;
    sqlx::query(
        "INSERT INTO nave_migrations (set_name, version, name, checksum, applied_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(set)
    .bind(i64::from(migration.version))
    .bind(migration.name)
    .bind(checksum(sql))
    .bind(to_millis(clock.now()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes the schema in an empty database as far as it is wanted, inside the transaction that is open on the connection.
pub(in crate::hub) async fn take_steps(
    connection: &mut AnyConnection,
    engine: Engine,
    sets: &[MigrationSet],
    wanted: impl Fn(&str, u32) -> bool,
    clock: &Clock,
) -> Result<()> {
    connection.execute(sqlx::raw_sql(TABLE)).await?;
    for set in sets {
        for migration in set.migrations.iter().filter(|migration| wanted(set.name, migration.version)) {
            apply(connection, engine, set.name, migration, clock).await?;
        }
    }
    Ok(())
}

/// The steps still to take; fails if one was taken that this program does not have.
fn missing(before: &[Applied], sets: &[MigrationSet]) -> Result<Vec<(&'static str, Migration)>> {
    refuse_strangers(before, sets)?;
    let taken = |set: &str, migration: &Migration| {
        before.iter().any(|done| done.set == set && done.version == i64::from(migration.version))
    };
    let all = sets.iter().flat_map(|set| set.migrations.iter().map(|migration| (set.name, *migration)));
    Ok(all.filter(|(set, migration)| !taken(set, migration)).collect())
}

fn refuse_strangers(before: &[Applied], sets: &[MigrationSet]) -> Result<()> {
    for done in before {
        // A fleet that is not built in leaves its tables alone.
        let Some(set) = sets.iter().find(|set| set.name == done.set) else { continue };
        let known = set.migrations.iter().find(|migration| i64::from(migration.version) == done.version);
        let Some(known) = known else {
            return Err(Error::Conflict(format!(
                "the database was upgraded by a newer nave (it knows step {} \"{}\" of {}; this one knows {}): run that version again, or restore a backup from before the upgrade",
                done.version,
                done.name,
                done.set,
                set.migrations.len(),
            )));
        };
        if checksum(known.sqlite) != done.checksum && checksum(known.postgres) != done.checksum {
            return Err(Error::Conflict(format!(
                "step {} \"{}\" of {} in the database is not the one that this nave knows: it was made by a build that was never released; restore a backup, or use that build",
                done.version, done.name, done.set,
            )));
        }
    }
    Ok(())
}

/// The database as it is, copied before its schema changes.
async fn copy_aside(store: &Store, folder: &Path, sets: &[MigrationSet], clock: &Clock) -> Result<()> {
    let folder = folder.join(COPIES);
    secret_file::create_private_dir(&folder).map_err(Error::internal)?;
    let stem = to_millis(clock.now());
    match store.engine() {
        Engine::Sqlite => {
            let copy = folder.join(format!("{stem}.sqlite"));
            let text = copy.to_str().ok_or_else(|| Error::internal("the data folder's path is not UTF-8"))?;
            // SQLite fills a file that is there and empty, and leaves its mode alone.
            secret_file::create(&copy, b"", 0o600).map_err(Error::internal)?;
            // Not a reader: those may not write, not even into another file.
            let mut connection = connect_writer(store.url()).await?;
            sqlx::query("VACUUM INTO $1").bind(text).execute(&mut connection).await?;
            connection.close().await?;
            tracing::info!(copy = text, "copied the database before upgrading its schema");
        }
        Engine::Postgres => {
            let copy = folder.join(format!("{stem}.nave"));
            backup::copy_rows(store, sets, &copy, clock).await.map_err(Error::internal)?;
            tracing::info!(copy = %copy.display(), "copied the database before upgrading its schema");
        }
    }
    forget_old_copies(&folder);
    Ok(())
}

/// An old copy that cannot be removed costs disk space and nothing else.
fn forget_old_copies(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut copies: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    copies.sort();
    for old in copies.iter().rev().skip(KEPT_COPIES) {
        let _ = std::fs::remove_file(old);
    }
}

fn checksum(sql: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, sql.as_bytes()))
}
