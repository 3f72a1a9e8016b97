//! Bulk data: what is written a lot and can be missed, such as log lines and metrics. It has a file, or a schema, of its
//! own, so that backups of what matters stay small, and so that it can fill its disk without the rest.

use std::sync::atomic::Ordering;

use super::{DatabaseUrl, Engine, MigrationSet, Store, connect, migrate};
use crate::clock::Clock;
use crate::hub::error::{Error, Result};
use crate::hub::store::StoreError;

impl Store {
    /// Opens the bulk data of the hub whose database is at `main`. That its disk is full, or that it cannot be reached, is
    /// logged and no error: a hub goes on without it, and [`Store::prepare_bulk`] tries again.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when a newer program has changed it.
    pub async fn open_bulk(main: &DatabaseUrl, sets: &[MigrationSet], clock: &Clock) -> Result<Self> {
        let store = Self::unconnected(main.bulk())?;
        match store.prepare_bulk(sets, clock).await {
            Err(error @ Error::Conflict(_)) => return Err(error),
            Err(error) => {
                tracing::error!(database = %store.url(), %error, "bulk data cannot be kept; the hub tries again");
            }
            Ok(()) => {}
        }
        Ok(store)
    }

    /// Makes sure that bulk data can be kept: its file or schema is there, and its tables are up to date.
    pub async fn prepare_bulk(&self, sets: &[MigrationSet], clock: &Clock) -> Result<()> {
        if self.0.ready.load(Ordering::Acquire) || sets.iter().all(|set| set.migrations.is_empty()) {
            return Ok(());
        }
        if let DatabaseUrl::Sqlite(path) = self.url() {
            connect::prepare_file(path).map_err(|source| StoreError::File { path: path.clone(), source })?;
        }
        self.make_schema().await?;
        // No copy from before: it would be as large as the logs, and they are not worth it.
        migrate::run(self, None, sets, clock).await?;
        self.0.ready.store(true, Ordering::Release);
        Ok(())
    }

    async fn make_schema(&self) -> Result<()> {
        let Some(schema) = self.url().schema() else { return Ok(()) };
        let mut act = self.begin().await?;
        let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM pg_namespace WHERE nspname = $1")
            .bind(schema)
            .fetch_one(act.connection())
            .await?;
        if there == 0 {
            // The name is a constant.
            let sql = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
            let made = sqlx::raw_sql(sql).execute(act.connection()).await;
            made.map_err(|error| Error::Unavailable {
                what: "the place for bulk data (the database's user may not make the schema nave_bulk: let the server's administrator make it, owned by that user)",
                source: error.into(),
            })?;
        }
        act.commit().await
    }

    /// How much space it takes, in bytes, with what was deleted and is not reused yet.
    pub async fn size(&self) -> Result<u64> {
        match (self.url(), self.engine()) {
            (DatabaseUrl::Sqlite(path), _) => {
                // Its log is where the file really is.
                let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                let size = |suffix: &str| {
                    let mut path = path.as_os_str().to_owned();
                    path.push(suffix);
                    std::fs::metadata(path).map_or(0, |file| file.len())
                };
                Ok(size("") + size("-wal"))
            }
            (_, Engine::Postgres | Engine::Sqlite) => {
                let sql = "SELECT COALESCE(SUM(pg_total_relation_size(oid)), 0)::bigint FROM pg_class \
                     WHERE relkind IN ('r', 'm') AND relnamespace = to_regnamespace(current_schema()::text)";
                let size: i64 = sqlx::query_scalar(sql).fetch_one(&mut *self.read().await?).await?;
                Ok(u64::try_from(size).unwrap_or_default())
            }
        }
    }
}
