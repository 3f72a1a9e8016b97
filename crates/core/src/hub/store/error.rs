//! What can be wrong with a database, in words that say what to do.

use crate::hub::error::Error;

/// Why the database did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The connection broke, or the server is away.
    #[error("the connection to the database was lost")]
    Lost,
    /// It cannot take more for now, or not at all until somebody acts. The text says which.
    #[error("{0}")]
    Unusable(String),
    /// A unique column has that value already.
    #[error("that value exists already ({0})")]
    Duplicate(String),
    /// Anything else: a defect of ours.
    #[error("{0}")]
    Other(String),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Lost => Self::Unavailable { what: "the database", source: Box::new(error) },
            StoreError::Unusable(_) => {
                Self::Unavailable { what: "the database (the hub's log says why)", source: Box::new(error) }
            }
            StoreError::Duplicate(_) => Self::Conflict("that exists already".to_owned()),
            StoreError::Other(_) => Self::Internal(Box::new(error)),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        map(error).into()
    }
}

/// Whether a statement failed because a unique column has that value already.
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Sorts the engines' errors.
pub(super) fn map(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Lost,
        sqlx::Error::Tls(_) => StoreError::Unusable(format!("the database refuses TLS: {error}")),
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if database.is_unique_violation() {
                return StoreError::Duplicate(database.message().to_owned());
            }
            match advice(&code) {
                Some(advice) => StoreError::Unusable(format!("{advice} ({})", database.message())),
                None => StoreError::Other(error.to_string()),
            }
        }
        _ => StoreError::Other(error.to_string()),
    }
}

/// What to do about an error of an engine: SQLite's primary result codes (<https://www.sqlite.org/rescode.html>) are
/// numbers, PostgreSQL's SQLSTATEs (appendix A of its manual) have five characters.
fn advice(code: &str) -> Option<&'static str> {
    if code.len() == 5 && code.parse::<u32>().is_err() || code.len() == 5 && !code.starts_with('0') {
        return match &code[..2] {
            "08" | "57" => {
                Some("the database server is stopping or cannot be reached: the hub tries again by itself")
            }
            "53" => Some("the database server is out of disk, memory or connections: free some"),
            "28" | "3D" => Some("the database server refuses this account or database: check --database"),
            "25" | "42" if matches!(code, "25006" | "42501") => Some(
                "the database may not be written: check that the account owns it and that the server is no read-only replica",
            ),
            _ => None,
        };
    }
    match code.parse::<u32>().ok()? & 0xff {
        5 | 6 => Some("another process keeps the database locked: stop it"),
        8 | 3 => Some(
            "the database may not be written: check the owner and the mode of the data folder, and that its file system is not read-only",
        ),
        10 => Some("the disk reports errors: check it, and restore a backup if the database was hurt"),
        11 | 26 => Some("the database file is damaged: stop the hub and restore the last backup"),
        13 => Some("the disk is full: free some space; nothing that was acknowledged is lost"),
        14 => Some("the database file cannot be opened: check that the data folder exists and who owns it"),
        _ => None,
    }
}
