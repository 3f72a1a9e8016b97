//! The hub's memory: one database, SQLite in the data folder or PostgreSQL. There is one writer a hub, on both
//! engines: acts take turns inside a transaction that is committed as soon as everyone who was waiting when it
//! began has had a turn, so that one durable commit serves them all. What the tables mean is not known here.

mod act;
mod error;
mod migrate;
mod url;

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use act::Act;
pub use error::{StoreError, is_unique_violation};
pub use migrate::{Applied, Migration, MigrationSet, applied, bring_up_to_date};
pub use url::{DatabaseUrl, Engine};

use super::error::Result;
use act::Slot;

/// How long to wait for a connection before the database counts as unavailable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What every connection is told first. SQLite: wait for a lock instead of failing, and do not answer before the
/// write-ahead log is on the disk.
const SQLITE_SETUP: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY";
const POSTGRES_SETUP: &str = "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET client_min_messages = warning";

/// A connection from the pool of readers.
pub type Reader = PoolConnection<Any>;

/// The hub's database. Cloning it is cheap.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    url: DatabaseUrl,
    writer: Arc<Mutex<Slot>>,
    group_opened: Arc<Notify>,
    readers: AnyPool,
    _stop_committer: DropGuard,
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub async fn open(url: DatabaseUrl, sets: &[MigrationSet], clock: &crate::clock::Clock) -> Result<Self> {
        let store = Self::connect(url).await?;
        bring_up_to_date(&store, sets, clock).await?;
        Ok(store)
    }

    /// Opens the database as it is.
    pub async fn connect(url: DatabaseUrl) -> Result<Self> {
        sqlx::any::install_default_drivers();
        url.prepare()?;
        let engine = url.engine();
        let readers = AnyPoolOptions::new()
            .max_connections(4)
            .min_connections(0)
            .acquire_timeout(CONNECT_TIMEOUT)
            .after_connect(move |connection, _| Box::pin(set_up(connection, engine)))
            .connect_lazy(&url.connect_text())
            .map_err(error::map)?;
        let stop = CancellationToken::new();
        let writer = Arc::new(Mutex::new(Slot::default()));
        let group_opened = Arc::new(Notify::new());
        tokio::spawn(act::commit_groups(Arc::clone(&writer), Arc::clone(&group_opened), stop.clone()));
        let inner = Inner { url, writer, group_opened, readers, _stop_committer: stop.drop_guard() };
        let store = Self(Arc::new(inner));
        // The first connection says at once whether the database can be used at all.
        drop(store.read().await?);
        Ok(store)
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        self.0.url.engine()
    }

    /// Where the database is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.0.url
    }

    /// A connection for reading.
    pub async fn read(&self) -> Result<Reader> {
        Ok(self.0.readers.acquire().await.map_err(error::map)?)
    }

    /// A connection on which every read sees the same moment; end it by dropping it.
    pub async fn snapshot(&self) -> Result<sqlx::Transaction<'static, Any>> {
        let begin = match self.engine() {
            Engine::Sqlite => "BEGIN DEFERRED",
            Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.0.readers.begin_with(begin).await.map_err(error::map)?)
    }

    /// Takes a turn to write. Waits until it comes.
    pub async fn begin(&self) -> Result<Act> {
        let slot = Arc::clone(&self.0.writer).lock_owned().await;
        Act::begin(slot, &self.0.url, &self.0.group_opened).await
    }

    /// Ends every connection.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writer.lock().await.disconnect().await;
    }
}

/// The writer's own connection.
async fn connect_writer(url: &DatabaseUrl) -> Result<AnyConnection> {
    let connect = async {
        let mut connection = AnyConnection::connect(&url.connect_text()).await?;
        set_up(&mut connection, url.engine()).await?;
        Ok(connection)
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
        Ok(connected) => connected.map_err(|error| error::map(error).into()),
        Err(_) => Err(error::map(sqlx::Error::PoolTimedOut).into()),
    }
}

async fn set_up(connection: &mut AnyConnection, engine: Engine) -> sqlx::Result<()> {
    let setup = match engine {
        Engine::Sqlite => SQLITE_SETUP,
        Engine::Postgres => POSTGRES_SETUP,
    };
    connection.execute(sqlx::raw_sql(setup)).await.map(drop)
}
