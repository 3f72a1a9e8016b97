//! Connections to either engine, set up the way the hub relies on. What is said over them is not decided here.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _};

use super::{DatabaseUrl, Engine, StoreError};

/// How long a step of the store itself may take (not a statement of a service).
pub(super) const STEP: Duration = Duration::from_secs(20);
/// How long a reader waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Connections that read at the same time.
const READERS: u32 = 8;

// `synchronous = FULL` is what makes a commit survive a power cut in WAL mode; NORMAL may lose the last ones.
const SQLITE_WRITER: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 67108864";
const SQLITE_READER: &str = "PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA trusted_schema = OFF";
// The idle limit frees the write lock of a hub that froze; the keepalives that of one whose network is gone.
const POSTGRES_WRITER: &str = "SET application_name = 'nave'; SET synchronous_commit = on; \
     SET statement_timeout = '15s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s'; \
     SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";
// A plan that fits every value of a filter reads whole tables for those that are rare; PostgreSQL would keep such a one.
const POSTGRES_READER: &str = "SET application_name = 'nave'; SET statement_timeout = '30s'; \
     SET plan_cache_mode = force_custom_plan; \
     SET idle_in_transaction_session_timeout = '600s'; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";

/// Makes the database file, empty, if it is not there; nobody but its owner may read it.
pub(super) fn prepare_file(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    // The mode counts only for a new file, and the umask was taken off it.
    if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
        file.set_permissions(PermissionsExt::from_mode(0o600))?;
    }
    Ok(())
}

/// One connection that writes.
pub(super) async fn writer(url: &DatabaseUrl) -> Result<AnyConnection, StoreError> {
    let setup = match url.engine() {
        Engine::Sqlite => SQLITE_WRITER,
        Engine::Postgres => POSTGRES_WRITER,
    };
    within(STEP, async {
        let mut connection = options(url)?.connect().await?;
        sqlx::raw_sql(setup).execute(&mut connection).await?;
        in_schema(url, &mut connection).await?;
        Ok(connection)
    })
    .await
}

/// A connection of one's own that writes, to a database that no hub uses.
pub(in crate::hub) async fn connect_writer(url: &DatabaseUrl) -> Result<AnyConnection, StoreError> {
    if let DatabaseUrl::Sqlite(path) = url {
        prepare_file(path).map_err(|source| StoreError::File { path: path.clone(), source })?;
    }
    writer(url).await
}

/// A pool of connections that only read. It connects when it is first used.
pub(super) fn readers(url: &DatabaseUrl) -> Result<AnyPool, StoreError> {
    let setup = match url.engine() {
        Engine::Sqlite => SQLITE_READER,
        Engine::Postgres => POSTGRES_READER,
    };
    let own = url.clone();
    let pool = AnyPoolOptions::new().max_connections(READERS).acquire_timeout(ACQUIRE).after_connect(
        move |connection, _| {
            let own = own.clone();
            Box::pin(async move {
                sqlx::raw_sql(setup).execute(&mut *connection).await?;
                in_schema(&own, connection).await
            })
        },
    );
    Ok(pool.connect_lazy_with(options(url)?))
}

/// Names of tables mean those of the schema; it need not be there yet.
async fn in_schema(url: &DatabaseUrl, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let Some(schema) = url.schema() else { return Ok(()) };
    // The name is a constant.
    let sql = sqlx::AssertSqlSafe(format!("SET search_path TO {schema}"));
    sqlx::raw_sql(sql).execute(connection).await.map(drop)
}

fn options(url: &DatabaseUrl) -> Result<AnyConnectOptions, sqlx::Error> {
    // Installs once per process; later calls change nothing.
    sqlx::any::install_default_drivers();
    // The driver's own statement log could hold what must not be logged.
    Ok(AnyConnectOptions::from_str(&url.to_driver_url())?.disable_statement_logging())
}

/// Runs one step, but not for ever: a network that swallows packets answers nothing at all.
pub(super) async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, step).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(StoreError::Slow(limit.as_secs())),
    }
}
