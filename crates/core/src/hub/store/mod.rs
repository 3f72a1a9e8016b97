//! The hub's memory: one database, SQLite or PostgreSQL, behind one set of statements. Reading, writing in groups,
//! migrating. The statements themselves stand in the `store` module of whoever owns the table.
//!
//! Rules for statements: placeholders are `$1`, `$2`, …; ids are text, times are milliseconds in a BIGINT
//! ([`crate::clock::to_millis`]), truth values are a BIGINT of 0 or 1, lists and maps are JSON as text. These four are
//! what both engines and the driver agree on (a sum of BIGINTs has to be cast back to BIGINT).

mod act;
mod connect;
mod error;
mod migrate;
mod url;
mod writer;

use std::path::Path;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Transaction};

pub use self::act::Act;
pub use self::error::{DatabaseError, is_duplicate};
pub use self::migrate::{CORE, Migration, MigrationSet, OpenError};
pub use self::url::{DatabaseUrl, DatabaseUrlError, PostgresUrl};
use self::writer::Writer;
use super::bus::Bus;
use super::error::Result;
use crate::clock::Clock;

/// Which engine keeps the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// What opening a store takes.
pub struct OpenOptions<'a> {
    /// Where the database is.
    pub url: &'a DatabaseUrl,
    /// The data folder; backups before a migration go to `backups/` in it.
    pub folder: &'a Path,
    /// The core's tables ([`CORE`]) and each fleet's, parents first.
    pub migrations: &'a [MigrationSet],
    /// Tells when a migration ran.
    pub clock: &'a Clock,
    /// Hears of every event once it is durable.
    pub bus: Arc<dyn Bus>,
}

/// An open database. Cloning it is cheap.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    url: DatabaseUrl,
    writer: Arc<Writer>,
    readers: AnyPool,
    bus: Arc<dyn Bus>,
}

/// How much was written since the store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteCounts {
    /// Acts that are durable.
    pub acts: u64,
    /// Commits that made them so; fewer, since acts share them.
    pub commits: u64,
}

impl Store {
    /// Opens the database, makes it if it is new, and brings its tables up to date.
    pub async fn open(options: OpenOptions<'_>) -> Result<Self, OpenError> {
        let url = options.url;
        if let DatabaseUrl::Sqlite(path) = url {
            connect::prepare_file(path).map_err(|source| OpenError::File { path: path.clone(), source })?;
        }
        let failed = |source| OpenError::Database { database: url.to_string(), source };
        let mut connection = connect::writer(url).await.map_err(failed)?;
        migrate::run(&mut connection, &options).await?;
        Ok(Self(Arc::new(Shared {
            url: url.clone(),
            writer: Writer::new(url.clone(), connection),
            readers: connect::readers(url).map_err(failed)?,
            bus: options.bus,
        })))
    }

    /// Waits for a turn to write.
    ///
    /// # Errors
    ///
    /// [`crate::hub::error::Error::Unavailable`] when the database cannot be written at the moment.
    pub async fn begin(&self) -> Result<Act> {
        Ok(Act::new(self.0.writer.begin().await?, Arc::clone(&self.0.bus)))
    }

    /// A connection that reads what is durable. Each statement sees the newest state.
    pub async fn read(&self) -> Result<PoolConnection<Any>> {
        Ok(self.0.readers.acquire().await?)
    }

    /// A connection whose statements all see the database as it was at the first of them.
    pub async fn snapshot(&self) -> Result<Transaction<'static, Any>> {
        let begin = match self.engine() {
            Engine::Sqlite => "BEGIN DEFERRED",
            Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.0.readers.begin_with(begin).await?)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        let mut connection = self.read().await?;
        sqlx::query("SELECT 1").execute(&mut *connection).await?;
        Ok(())
    }

    /// Which engine it is, for the few statements that differ.
    pub fn engine(&self) -> Engine {
        self.0.url.engine()
    }

    /// Where it is; its text forms hold no password.
    pub fn url(&self) -> &DatabaseUrl {
        &self.0.url
    }

    /// How much was written so far.
    pub fn write_counts(&self) -> WriteCounts {
        let (acts, commits) = self.0.writer.counts();
        WriteCounts { acts, commits }
    }

    /// Commits what is under way and closes every connection; later calls fail.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writer.close().await;
    }
}
