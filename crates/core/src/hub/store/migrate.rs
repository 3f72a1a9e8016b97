//! Bringing a database up to date, and refusing one that this program does not know. What the migrations hold stands
//! in `migrations/`, one folder an engine; a file there never changes once it was released.

use std::io;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::{AnyConnection, Row as _};

use super::{DatabaseError, Engine, OpenOptions};
use crate::clock::to_millis;

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its name; the same on both engines.
    pub version: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// The tables of the core or of one fleet. Both engines have the same versions in the same order.
#[derive(Clone, Copy, Debug)]
pub struct MigrationSet {
    /// Whose: `core`, or the fleet's name.
    pub name: &'static str,
    /// For SQLite, oldest first.
    pub sqlite: &'static [Migration],
    /// For PostgreSQL, oldest first.
    pub postgres: &'static [Migration],
    /// Every table of the newest version, each after those it refers to; what a backup holds.
    pub tables: &'static [&'static str],
}

/// The core's own tables.
pub const CORE: MigrationSet = MigrationSet {
    name: "core",
    sqlite: &[Migration {
        version: "0001_nodes_and_events",
        sql: include_str!("../../../migrations/sqlite/0001_nodes_and_events.sql"),
    }],
    postgres: &[Migration {
        version: "0001_nodes_and_events",
        sql: include_str!("../../../migrations/postgres/0001_nodes_and_events.sql"),
    }],
    tables: &[
        "nodes",
        "node_roles",
        "invites",
        "grants",
        "node_keys",
        "access_key_names",
        "data_keys",
        "settings",
        "events",
    ],
};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database file cannot be made or guarded.
    #[error(
        "{path}: {source}: check the owner and mode of its folder, and that its disk is mounted writable"
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The database refused.
    #[error("{database}: {source}")]
    Database {
        /// Which database, without its password.
        database: String,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// A newer program was here.
    #[error(
        "{database} was last used by a newer version of Nave: it holds migration {migration}, which this one does not know; nothing was changed; run the newer version, or restore a backup of this one"
    )]
    Newer {
        /// Which database.
        database: String,
        /// `<set>/<version>` of the first unknown migration.
        migration: String,
    },
    /// The program's migration is not the one that ran.
    #[error(
        "{database} was made by a different build of Nave: its migration {migration} is not the same as this program's; nothing was changed; run the build that made it"
    )]
    Changed {
        /// Which database.
        database: String,
        /// `<set>/<version>`.
        migration: String,
    },
    /// A migration failed; it was undone.
    #[error("{database}: migration {migration} failed and was undone: {source}")]
    Migration {
        /// Which database.
        database: String,
        /// `<set>/<version>`.
        migration: String,
        /// Why.
        #[source]
        source: DatabaseError,
    },
}

impl MigrationSet {
    /// Its steps on one engine, oldest first.
    pub fn on(&self, engine: Engine) -> &'static [Migration] {
        match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
        }
    }
}

impl Migration {
    fn checksum(&self) -> String {
        hex::encode(digest(&SHA256, self.sql.as_bytes()))
    }
}

/// A migration that ran.
struct Applied {
    set: String,
    version: String,
    checksum: String,
}

pub(super) async fn run(connection: &mut AnyConnection, options: &OpenOptions<'_>) -> Result<(), OpenError> {
    let engine = options.url.engine();
    let failed = |source: sqlx::Error| OpenError::Database {
        database: options.url.to_string(),
        source: source.into(),
    };
    if pending(options, &applied(connection, engine).await.map_err(failed)?)?.is_empty() {
        return Ok(());
    }
    let begin = match engine {
        Engine::Sqlite => "BEGIN IMMEDIATE",
        Engine::Postgres => "BEGIN; SELECT pg_advisory_xact_lock(6796203427384517222)",
    };
    sqlx::raw_sql(begin).execute(&mut *connection).await.map_err(failed)?;
    let result = apply(connection, options).await;
    let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = sqlx::raw_sql(end).execute(&mut *connection).await.map_err(failed);
    result.and(ended.map(drop))
}

/// Runs what is missing, inside the open transaction: all of it or nothing.
async fn apply(connection: &mut AnyConnection, options: &OpenOptions<'_>) -> Result<(), OpenError> {
    let engine = options.url.engine();
    let database = || options.url.to_string();
    let failed = |source: sqlx::Error| OpenError::Database { database: database(), source: source.into() };
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_migrations (\
             set_name TEXT NOT NULL, version TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL, \
             PRIMARY KEY (set_name, version))",
    )
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    // Read again: another hub may have been first while this one waited for the lock.
    for (set, migration) in pending(options, &applied(connection, engine).await.map_err(failed)?)? {
        let name = format!("{set}/{}", migration.version);
        tracing::info!(migration = name, "migrating the database");
        sqlx::raw_sql(migration.sql).execute(&mut *connection).await.map_err(|source| {
            OpenError::Migration { database: database(), migration: name, source: source.into() }
        })?;
        sqlx::query(
            "INSERT INTO schema_migrations (set_name, version, checksum, applied_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(set)
        .bind(migration.version)
        .bind(migration.checksum())
        .bind(to_millis(options.clock.now()))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    Ok(())
}

/// What is still to run; fails if something ran that this program does not have.
fn pending(
    options: &OpenOptions<'_>,
    applied: &[Applied],
) -> Result<Vec<(&'static str, Migration)>, OpenError> {
    let database = || options.url.to_string();
    let known: Vec<(&'static str, Migration)> = options
        .migrations
        .iter()
        .flat_map(|set| set.on(options.url.engine()).iter().map(|migration| (set.name, *migration)))
        .collect();
    for ran in applied {
        let migration = || format!("{}/{}", ran.set, ran.version);
        match known.iter().find(|(set, known)| *set == ran.set && known.version == ran.version) {
            None => return Err(OpenError::Newer { database: database(), migration: migration() }),
            Some((_, known)) if known.checksum() != ran.checksum => {
                return Err(OpenError::Changed { database: database(), migration: migration() });
            }
            Some(_) => {}
        }
    }
    Ok(known
        .into_iter()
        .filter(|(set, known)| !applied.iter().any(|ran| ran.set == *set && ran.version == known.version))
        .collect())
}

async fn applied(connection: &mut AnyConnection, engine: Engine) -> Result<Vec<Applied>, sqlx::Error> {
    let exists = match engine {
        Engine::Sqlite => {
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'"
        }
        Engine::Postgres => {
            "SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_migrations'"
        }
    };
    let tables: i64 = sqlx::query(exists).fetch_one(&mut *connection).await?.try_get(0)?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let rows =
        sqlx::query("SELECT set_name, version, checksum FROM schema_migrations ORDER BY set_name, version")
            .fetch_all(connection)
            .await?;
    rows.into_iter()
        .map(|row| Ok(Applied { set: row.try_get(0)?, version: row.try_get(1)?, checksum: row.try_get(2)? }))
        .collect()
}
