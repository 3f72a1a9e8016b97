//! Brings the schema up to date, set by set: the core's, then each fleet's. Only ever forward, and never on a
//! database that a newer program has changed.

use std::path::PathBuf;

use sqlx::{Executor as _, Row as _};

use super::{DatabaseUrl, Engine, Store};
use crate::clock::{Clock, to_millis};
use crate::hub::error::{Error, Result};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS nave_migrations (
    set_name TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL,
    applied_at BIGINT NOT NULL, PRIMARY KEY (set_name, version))";

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

/// The schema of the core or of one fleet: only ever appended to.
#[derive(Clone, Copy, Debug)]
pub struct MigrationSet {
    /// Whose tables these are.
    pub name: &'static str,
    /// Every table of the set, in an order in which rows can be restored.
    pub tables: &'static [&'static str],
    /// Columns that count up by themselves: (table, column).
    pub counters: &'static [(&'static str, &'static str)],
    /// The steps, in order.
    pub migrations: &'static [Migration],
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
    let mut reader = store.read().await?;
    let exists = match store.engine() {
        Engine::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = 'nave_migrations'",
        Engine::Postgres => {
            "SELECT COUNT(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('nave_migrations')"
        }
    };
    let exists: i64 = sqlx::query_scalar(exists).fetch_one(&mut *reader).await?;
    if exists == 0 {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT set_name, version, name, checksum FROM nave_migrations ORDER BY set_name, version",
    )
    .fetch_all(&mut *reader)
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

/// Brings the schema up to date.
pub async fn bring_up_to_date(store: &Store, sets: &[MigrationSet], clock: &Clock) -> Result<()> {
    let before = applied(store).await?;
    refuse_strangers(&before, sets)?;
    let engine = store.engine();
    let missing: Vec<(&MigrationSet, &Migration)> = sets
        .iter()
        .flat_map(|set| set.migrations.iter().map(move |migration| (set, migration)))
        .filter(|(set, migration)| {
            !before.iter().any(|done| done.set == set.name && done.version == i64::from(migration.version))
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !before.is_empty() {
        copy_aside(store, clock).await?;
    }
    let mut act = store.begin().await?;
    act.connection().execute(sqlx::raw_sql(TABLE)).await?;
    for (set, migration) in missing {
        tracing::info!(
            set = set.name,
            version = migration.version,
            name = migration.name,
            "upgrading the schema"
        );
        let sql = sql_of(migration, engine);
        act.connection().execute(sqlx::raw_sql(sql)).await?;
        sqlx::query(
            "INSERT INTO nave_migrations (set_name, version, name, checksum, applied_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(set.name)
        .bind(i64::from(migration.version))
        .bind(migration.name)
        .bind(checksum(sql))
        .bind(to_millis(clock.now()))
        .execute(act.connection())
        .await?;
    }
    act.commit().await
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

/// SQLite's database, copied beside itself before its schema changes.
async fn copy_aside(store: &Store, clock: &Clock) -> Result<()> {
    let DatabaseUrl::Sqlite(path) = store.url() else {
        // A server has backups of its own; `nave backup` is the portable way and is run by whoever upgrades.
        tracing::warn!("upgrading the schema of a PostgreSQL database: its own backups are the way back");
        return Ok(());
    };
    let folder = path.with_file_name("before-upgrade");
    nave_link::secret_file::create_private_dir(&folder).map_err(Error::internal)?;
    let copy = folder.join(format!("{}.sqlite", to_millis(clock.now())));
    let text = copy.to_str().ok_or_else(|| Error::internal("the data folder's path is not UTF-8"))?;
    let mut reader = store.read().await?;
    sqlx::query("VACUUM INTO $1").bind(text).execute(&mut *reader).await?;
    tracing::info!(copy = text, "copied the database before upgrading its schema");
    forget_old_copies(&folder);
    Ok(())
}

/// An old copy that cannot be removed costs disk space and nothing else.
fn forget_old_copies(folder: &std::path::Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut copies: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    copies.sort();
    for old in copies.iter().rev().skip(KEPT_COPIES) {
        let _ = std::fs::remove_file(old);
    }
}

fn sql_of(migration: &Migration, engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => migration.sqlite,
        Engine::Postgres => migration.postgres,
    }
}

fn checksum(sql: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, sql.as_bytes()))
}
