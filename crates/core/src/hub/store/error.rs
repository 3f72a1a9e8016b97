//! What a database says when it refuses, sorted into what a person can do about it. Which answer a service gives
//! is decided where the statement stands; this module only gives the default.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::error::ErrorKind;

use crate::hub::error::Error;

/// Why the database did not do what it was asked. Each text holds what the engine said; none holds a password.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its disk has no room.
    #[error("no space is left on the database's disk: free some, and the hub goes on by itself ({0})")]
    DiskFull(sqlx::Error),
    /// It may be read but not written.
    #[error(
        "the database cannot be opened or written: check the owner and mode of its folder, that its disk is not mounted read-only, and that PostgreSQL is no standby ({0})"
    )]
    ReadOnly(sqlx::Error),
    /// Its file cannot be made or guarded.
    #[error(
        "{path}: {source}: check that the folder is there, who owns it, and that its disk is mounted writable"
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody else holds it.
    #[error(
        "the database is locked by another program, a backup tool or a database browser perhaps: stop it ({0})"
    )]
    Locked(sqlx::Error),
    /// Its file is damaged.
    #[error(
        "the database file is damaged: stop the hub and restore the newest backup with `nave restore` ({0})"
    )]
    Corrupt(sqlx::Error),
    /// The server wants other credentials, or has no such database.
    #[error("PostgreSQL refused the hub: check the user, password and database name of `--database` ({0})")]
    Denied(sqlx::Error),
    /// The server's TLS is missing or not trusted.
    #[error(
        "no trusted TLS connection to PostgreSQL: name its CA with `?sslrootcert=FILE` in `--database`, or set `sslmode` if the way to it is safe ({0})"
    )]
    Untrusted(sqlx::Error),
    /// No connection, or it broke.
    #[error("there is no connection to the database; a running hub tries again by itself ({0})")]
    Lost(sqlx::Error),
    /// It did not answer in time.
    #[error("the database did not answer within {0} s")]
    Slow(u64),
    /// The group that the act was in could not be committed, because of another of its acts or the connection.
    #[error("{0}")]
    Group(Arc<StoreError>),
    /// The store was closed.
    #[error("the hub is stopping")]
    Closed,
    /// A row with this key is already there.
    #[error("such a row exists already ({0})")]
    Duplicate(sqlx::Error),
    /// Anything else: a defect.
    #[error("the database refused a statement ({0})")]
    Other(sqlx::Error),
}

impl StoreError {
    /// Whether trying again later can help, as opposed to a defect.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Group(reason) => reason.is_passing(),
            Self::Duplicate(_) | Self::Other(_) => false,
            _ => true,
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Self::DiskFull(_) => "the database (no space is left on its disk)",
            Self::ReadOnly(_) | Self::File { .. } => "the database (it cannot be written)",
            Self::Locked(_) => "the database (another program has locked it)",
            Self::Corrupt(_) => "the database (its file is damaged)",
            Self::Group(reason) => reason.what(),
            Self::Closed => "the hub (it is stopping)",
            _ => "the database",
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().unwrap_or_default();
                match refusal.kind() {
                    ErrorKind::UniqueViolation => Self::Duplicate(error),
                    ErrorKind::Other => of_code(&code)(error),
                    _ => Self::Other(error),
                }
            }
            sqlx::Error::Tls(_) => Self::Untrusted(error),
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed => Self::Lost(error),
            sqlx::Error::PoolClosed => Self::Closed,
            _ => Self::Other(error),
        }
    }
}

/// SQLite's result codes are numbers (<https://www.sqlite.org/rescode.html>, the low byte is the primary code);
/// PostgreSQL's have five characters (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn of_code(code: &str) -> fn(sqlx::Error) -> StoreError {
    if code.len() == 5 {
        return match (&code[..2], code) {
            (_, "53100") => StoreError::DiskFull,
            (_, "25006") => StoreError::ReadOnly,
            (_, "55P03") => StoreError::Locked,
            (_, "XX001" | "XX002") => StoreError::Corrupt,
            ("28", _) | (_, "3D000" | "42501") => StoreError::Denied,
            ("08" | "53" | "57" | "58", _) | (_, "25P03") => StoreError::Lost,
            _ => StoreError::Other,
        };
    }
    match code.parse::<u32>().unwrap_or_default() & 0xff {
        13 => StoreError::DiskFull,
        // READONLY, PERM and CANTOPEN: for a file that is there, all three come from modes and mounts.
        3 | 8 | 14 => StoreError::ReadOnly,
        5 | 6 => StoreError::Locked,
        11 | 26 => StoreError::Corrupt,
        10 => StoreError::Lost,
        _ => StoreError::Other,
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate(_) => Self::Conflict("it exists already".to_owned()),
            error if error.is_passing() => Self::Unavailable { what: error.what(), source: error.into() },
            error => Self::internal(error),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Whether a statement failed because a row with the same key is there: for a store that has something better to
/// say than [`StoreError::Duplicate`].
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_engines_are_sorted() {
        let named = |code| of_code(code)(sqlx::Error::RowNotFound).to_string();
        for (sqlite, postgres, word) in [
            ("13", "53100", "no space"),
            ("8", "25006", "cannot be opened"),
            ("1544", "25006", "cannot be opened"),
            ("5", "55P03", "locked"),
            ("26", "XX001", "damaged"),
            ("778", "57P01", "no connection"),
            ("1", "42601", "refused a statement"),
        ] {
            assert!(named(sqlite).contains(word), "{sqlite}: {}", named(sqlite));
            assert!(named(postgres).contains(word), "{postgres}: {}", named(postgres));
        }
        assert!(named("28P01").contains("password"));
    }

    #[test]
    fn a_caller_learns_what_is_away_but_no_details() {
        let error = Error::from(StoreError::DiskFull(sqlx::Error::Protocol("secret".into())));
        assert_eq!(error.code(), "unavailable");
        assert!(error.message().contains("no space is left"), "{}", error.message());
        assert!(!error.message().contains("secret"));
    }

    #[test]
    fn a_group_speaks_of_its_reason() {
        let reason = Arc::new(StoreError::ReadOnly(sqlx::Error::RowNotFound));
        assert!(Error::from(StoreError::Group(reason)).message().contains("cannot be written"));
    }
}
