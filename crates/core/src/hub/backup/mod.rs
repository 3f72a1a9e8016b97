//! Backup, restore, and the way from one engine to the other: one file that holds every row of one moment and the
//! hub's files. Who may ask for one, and where the passphrase comes from, is decided by whoever calls.

mod archive;
mod error;
mod manifest;
mod restore;
mod store;
mod stream;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_link::random::Random;
use nave_link::secret_file;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

pub use self::error::BackupError;
use self::error::at;
pub use self::manifest::{Bulk, Manifest, Table};
pub use self::restore::{Target, restore_stream};
pub use self::stream::StreamError;
pub use self::write::{Source, write_stream};
use super::access::{self, Action, Roles};
use super::bus::{Bus, LocalBus};
use super::event::{self, Event};
use super::op::Op;
use super::store::{DatabaseUrl, MigrationSet, Store};
use crate::clock::Clock;

/// What a backup takes of a data folder, beside the database.
const ROOTS: [&str; 5] = ["hub.key", "master.key", "cert", "ca", "blobs"];

/// Making a backup.
pub const MAKE: Action = Action::new("backup.make", Roles::ADMINS);

/// What a backup holds, and what became of what was there before.
#[derive(Debug)]
pub struct Summary {
    /// What the backup says about itself.
    pub manifest: Manifest,
    /// Files of the data folder in it.
    pub files: u64,
    /// After a restore: where the files are that were replaced.
    pub replaced: Option<PathBuf>,
}

/// A hub that is backed up, running or not.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Its data folder.
    pub folder: &'a Path,
    /// Its database.
    pub url: &'a DatabaseUrl,
    /// The tables that this program knows.
    pub sets: &'a [MigrationSet],
    /// Those of the bulk data, if that is to be taken too.
    pub bulk: Option<&'a [MigrationSet]>,
    /// systemd's folder of credentials, from which the master key may come.
    pub credentials: Option<&'a Path>,
}

/// How a backup is kept from being read.
pub enum Protection {
    /// Encrypted under a passphrase.
    Passphrase(SecretString),
    /// Not at all: whoever reads it has the hub's keys.
    Plain,
}

impl Protection {
    fn check(&self) -> Result<(), BackupError> {
        match self {
            Self::Passphrase(passphrase) if passphrase.expose_secret().is_empty() => {
                Err(BackupError::PassphraseEmpty)
            }
            _ => Ok(()),
        }
    }
}

/// Writes a backup of a hub into a new file that only its owner can read, and notes that in the audit log. The file is
/// there whole or not at all.
pub async fn write(
    op: &Op,
    origin: &Origin<'_>,
    protection: Protection,
    file: &Path,
    random: &Random,
) -> Result<Summary, BackupError> {
    access::require(op, MAKE)?;
    if matches!(origin.url, DatabaseUrl::Sqlite(path) if !path.exists()) {
        return Err(BackupError::NoHub(origin.url.to_string()));
    }
    let store = Store::connect(origin.url.clone()).await?;
    let bulk = match origin.bulk {
        // A hub that kept none has no such file, or an empty schema.
        Some(_) if matches!(origin.url.bulk(), DatabaseUrl::Sqlite(path) if !path.exists()) => None,
        Some(sets) => Some((Store::connect(origin.url.bulk()).await?, sets)),
        None => None,
    };
    let encrypted = matches!(protection, Protection::Passphrase(_));
    let source = Source {
        store: &store,
        sets: origin.sets,
        bulk: bulk.as_ref().map(|(store, sets)| (store, *sets)),
        folder: Some(origin.folder),
        credentials: origin.credentials,
        spool: parent(file),
        clock: &op.clock,
        random,
    };
    let summary = write_file(&source, protection, file).await?;
    if let Some((store, _)) = bulk {
        store.close().await;
    }
    let bus: Arc<dyn Bus> = LocalBus::new();
    let mut act = store.begin().await?;
    let event = Event {
        action: "backup.made",
        object_kind: "backup",
        object_id: String::new(),
        object_name: file.display().to_string(),
        detail: json!({
            "encrypted": encrypted,
            "rows": summary.manifest.rows(),
            "files": summary.files,
            "with_logs": summary.manifest.bulk.is_some(),
        }),
    };
    event::record(&mut act, op, &bus, event).await?;
    act.commit().await?;
    store.close().await;
    Ok(summary)
}

/// Restores a backup from a file. The hub must not run.
pub async fn restore(
    file: &Path,
    passphrase: Option<SecretString>,
    target: &Target<'_>,
) -> Result<Summary, BackupError> {
    let input = std::fs::File::open(file).map_err(at(file))?;
    restore_stream(input, passphrase, target).await
}

async fn write_file(
    source: &Source<'_>,
    protection: Protection,
    path: &Path,
) -> Result<Summary, BackupError> {
    if path.exists() {
        return Err(BackupError::Exists(path.to_owned()));
    }
    // The temporary file has mode 0600 and goes away if anything fails.
    let file = tempfile::NamedTempFile::new_in(parent(path)).map_err(at(path))?;
    let (file, summary) = write_stream(source, protection, file).await?;
    let path = path.to_owned();
    blocking(move || {
        file.as_file().sync_all().map_err(at(&path))?;
        file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => BackupError::Exists(path.clone()),
            _ => at(&path)(error.error),
        })?;
        std::fs::File::open(parent(&path)).and_then(|folder| folder.sync_all()).map_err(at(&path))
    })
    .await?;
    Ok(summary)
}

/// Whether a file is a backup that needs a passphrase.
pub fn is_encrypted(path: &Path) -> Result<bool, BackupError> {
    use std::io::Read as _;
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(at(path))?;
    file.take(stream::MAGIC.len() as u64).read_to_end(&mut start).map_err(at(path))?;
    Ok(start == stream::MAGIC)
}

/// The database alone, not encrypted, beside the data: what is kept from before an upgrade.
pub(super) async fn copy_rows(
    store: &Store,
    sets: &[MigrationSet],
    path: &Path,
    clock: &Clock,
) -> Result<(), BackupError> {
    let folder = parent(path);
    secret_file::create_private_dir(folder)
        .map_err(|error| BackupError::Transfer(std::io::Error::other(error)))?;
    let random = Random::system();
    let source = Source {
        store,
        sets,
        bulk: None,
        folder: None,
        credentials: None,
        spool: folder,
        clock,
        random: &random,
    };
    write_file(&source, Protection::Plain, path).await.map(drop)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Runs what waits for files outside the tasks that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cut) if cut.is_panic() => std::panic::resume_unwind(cut.into_panic()),
        Err(cut) => Err(BackupError::Transfer(std::io::Error::other(cut))),
    }
}

/// A file of the data folder and its name in a backup.
#[derive(Debug)]
struct Found {
    name: String,
    path: PathBuf,
}
