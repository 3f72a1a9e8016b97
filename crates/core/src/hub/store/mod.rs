//! The hub's memory: two of these, of which the second holds bulk data ([`Store::open_bulk`]). Each is one database, SQLite
//! in the data folder or PostgreSQL, behind one set of statements. Reading, writing in groups, migrating. What the tables
//! mean is not known here: statements stand in the `store` module of whoever owns the table.
//!
//! Rules for statements: placeholders are `$1`, `$2`, …; ids are text, times are milliseconds in a BIGINT
//! ([`crate::clock::to_millis`]), truth values are a BIGINT of 0 or 1, lists and maps are JSON as text. These four are
//! what both engines and the driver agree on (PostgreSQL's sum of BIGINTs has to be cast back to BIGINT).

mod act;
mod bulk;
mod connect;
mod error;
mod migrate;
mod rows;
mod together;
mod url;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Transaction};

pub use self::act::Act;
pub(super) use self::connect::connect_writer;
pub use self::error::{StoreError, is_unique_violation};
pub use self::migrate::{Applied, Migration, MigrationSet, applied};
pub(super) use self::migrate::{applied_on, take_steps};
pub use self::rows::{in_sizes, rows_of_placeholders};
pub(super) use self::together::again;
pub use self::together::{Together, WriteGroup};
pub use self::url::{DatabaseUrl, Engine, PostgresUrl};
use self::writer::Writer;
use super::error::Result;
use crate::clock::Clock;

/// A connection from the pool of readers.
pub type Reader = PoolConnection<Any>;

/// A connection from that pool, inside a transaction that reads.
pub type Snapshot = Transaction<'static, Any>;

/// The hub's database. Cloning it is cheap.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    url: DatabaseUrl,
    writer: Arc<Writer>,
    readers: AnyPool,
    /// For bulk data: whether its tables are known to be there.
    ready: AtomicBool,
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
    /// Opens the database, makes it if it is new, and brings its schema up to date; a copy from before goes to a folder
    /// in the data folder.
    pub async fn open(url: DatabaseUrl, folder: &Path, sets: &[MigrationSet], clock: &Clock) -> Result<Self> {
        let store = Self::connect(url).await?;
        migrate::run(&store, Some(folder), sets, clock).await?;
        Ok(store)
    }

    /// Opens the database as it is.
    pub async fn connect(url: DatabaseUrl) -> Result<Self> {
        if let DatabaseUrl::Sqlite(path) = &url {
            connect::prepare_file(path).map_err(|source| StoreError::File { path: path.clone(), source })?;
        }
        let store = Self::unconnected(url)?;
        // The first connection says at once whether the database can be used at all, and the writer's says why not.
        store.0.writer.connect().await?;
        Ok(store)
    }

    fn unconnected(url: DatabaseUrl) -> Result<Self> {
        let readers = connect::readers(&url)?;
        let (writer, ready) = (Writer::new(url.clone()), AtomicBool::new(false));
        Ok(Self(Arc::new(Shared { url, writer, readers, ready })))
    }

    /// Waits for a turn to write.
    ///
    /// # Errors
    ///
    /// [`super::error::Error::Unavailable`] when the database cannot be written at the moment.
    pub async fn begin(&self) -> Result<Act> {
        Ok(Act::new(self.0.writer.begin().await?, self.engine()))
    }

    /// A connection that reads what is durable. Each statement sees the newest state.
    pub async fn read(&self) -> Result<Reader> {
        Ok(self.0.readers.acquire().await?)
    }

    /// A connection whose statements all see the database as it was at the first of them; end it by dropping it.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let begin = match self.engine() {
            Engine::Sqlite => "BEGIN DEFERRED",
            Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.0.readers.begin_with(begin).await?)
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

    /// Commits what is under way and ends every connection; later calls fail.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writer.close().await;
    }
}
