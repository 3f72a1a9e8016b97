//! Why a backup could not be written or restored.

use std::io;
use std::path::{Path, PathBuf};

use super::stream::StreamError;
use crate::hub::error::Error;
use crate::hub::identity::IdentityError;
use crate::hub::store::StoreError;

/// Why a backup could not be written or restored. Whatever it is, nothing that was there has been touched, with the one
/// exception that says so.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The encrypted form cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// It is encrypted and no passphrase was given.
    #[error("this backup is encrypted: give its passphrase")]
    PassphraseMissing,
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty: choose one, or ask for a backup that is not encrypted")]
    PassphraseEmpty,
    /// What is inside has a later format.
    #[error(
        "this backup has format {0}, which this version of Nave cannot read: use the version that wrote it, or a newer one"
    )]
    NewerFormat(u64),
    /// The database inside is of a later version, or of a fleet that is not built in.
    #[error(
        "this backup holds schema step {step} of {set}, which this version of Nave does not know: restore it with the version that wrote it ({hub_version}), or a newer one"
    )]
    NewerSchema {
        /// Whose step.
        set: String,
        /// Which one.
        step: i64,
        /// What wrote the backup.
        hub_version: String,
    },
    /// What is inside makes no sense.
    #[error("the backup is damaged: {entry}: {problem}: use another copy")]
    Content {
        /// Which part.
        entry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is something where it should go.
    #[error("{place} is not empty: choose another, or pass --force to replace what is there{}", .kept.then_some(" (the old files are kept beside the new ones)").unwrap_or_default())]
    NotEmpty {
        /// Where.
        place: String,
        /// Whether force would keep the old.
        kept: bool,
    },
    /// There is nothing to back up.
    #[error("{0} holds no hub: check --database and NAVE_DIR")]
    NoHub(String),
    /// Without its master key, half of a backup could never be read.
    #[error(
        "the database holds sealed values, but their key {0} is not there: if it is a systemd credential, set CREDENTIALS_DIRECTORY to the folder that holds it; else put it back from an earlier backup"
    )]
    MasterMissing(PathBuf),
    /// Master key and database did not stand still.
    #[error("the master key was being replaced all the while: try again")]
    Restless,
    /// The file to write is there already.
    #[error("{0} exists already: choose another name, or remove it")]
    Exists(PathBuf),
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Reading the backup, or writing it, failed.
    #[error("the backup cannot be read or written: {0}")]
    Transfer(#[source] io::Error),
    /// The database is restored, but a file could not be put in its place.
    #[error(
        "the database was restored, but {path} could not be put in its place ({source}): mend that and restore again with --force"
    )]
    HalfDone {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] IdentityError),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The hub's own services refused.
    #[error("{}", told(.0))]
    Hub(Error),
}

/// Whoever makes a backup is whoever can mend what is in its way: the reason is told too.
fn told(error: &Error) -> String {
    match error {
        Error::Unavailable { source, .. } | Error::Internal(source) => source.to_string(),
        other => other.message(),
    }
}

impl From<Error> for BackupError {
    fn from(error: Error) -> Self {
        Self::Hub(error)
    }
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The archive library wraps the errors of what it reads from; the cause is what counts.
impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<StreamError>() {
                return Self::Stream(*found);
            }
            // An I/O error's source is that of what it holds, not what it holds.
            let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = held.map(|held| held as &(dyn std::error::Error + 'static)).or_else(|| error.source());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Stream(StreamError::Truncated),
            _ => Self::Transfer(error),
        }
    }
}

impl BackupError {
    pub(super) fn content(entry: impl Into<String>, problem: &(impl ToString + ?Sized)) -> Self {
        Self::Content { entry: entry.into(), problem: problem.to_string() }
    }
}

/// Names the file in an error of the system.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io { path, source }
}
