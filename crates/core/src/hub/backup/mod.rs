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
pub use self::manifest::{Manifest, Table};
pub use self::restore::{Restored, Target, restore};
pub use self::stream::StreamError;
pub use self::write::write;
use super::bus::Bus;
use super::error::Result;
use super::event::{self, Event};
use super::op::Op;
use super::store::{MigrationSet, Store};
use crate::clock::Clock;

/// What a backup takes of a data folder, beside the database.
const ROOTS: [&str; 5] = ["hub.key", "master.key", "cert", "ca", "blobs"];

/// What is backed up.
#[derive(Clone)]
pub struct Source<'a> {
    /// The database.
    pub store: &'a Store,
    /// The tables that this program knows.
    pub sets: &'a [MigrationSet],
    /// The data folder; `None` for the database alone.
    pub folder: Option<&'a Path>,
    /// systemd's folder of credentials, from which the master key may come.
    pub credentials: Option<&'a Path>,
    /// Where rows are kept until their number is known; private, and with room for the database.
    pub spool: &'a Path,
    /// Tells when the backup was made.
    pub clock: &'a Clock,
    /// Makes salts.
    pub random: &'a Random,
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

/// Writes a backup into a new file that only its owner can read. It is there whole or not at all.
pub async fn write_file(
    source: &Source<'_>,
    protection: Protection,
    path: &Path,
) -> Result<Manifest, BackupError> {
    if path.exists() {
        return Err(BackupError::Exists(path.to_owned()));
    }
    let folder = parent(path);
    // The temporary file has mode 0600 and goes away if anything fails.
    let file = tempfile::NamedTempFile::new_in(folder).map_err(at(path))?;
    let (file, manifest) = write(source, protection, file).await?;
    let path = path.to_owned();
    let write = move || {
        file.as_file().sync_all().map_err(at(&path))?;
        file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => BackupError::Exists(path.clone()),
            _ => at(&path)(error.error),
        })?;
        std::fs::File::open(parent(&path)).and_then(|folder| folder.sync_all()).map_err(at(&path))
    };
    blocking(write).await?;
    Ok(manifest)
}

/// Records that a backup was made, for the check that warns of old ones.
pub async fn record(
    op: &Op,
    store: &Store,
    bus: &Arc<dyn Bus>,
    file: &Path,
    manifest: &Manifest,
) -> Result<()> {
    let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
    let mut act = store.begin().await?;
    let event = Event {
        action: "backup.made",
        object_kind: "backup",
        object_id: String::new(),
        object_name: file.display().to_string(),
        detail: json!({ "rows": rows, "created_at": manifest.created_at.unix_timestamp() }),
    };
    event::record(&mut act, op, bus, event).await?;
    act.commit().await
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
    let source =
        Source { store, sets, folder: None, credentials: None, spool: folder, clock, random: &random };
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
