//! Backup and restore: one engine-neutral archive of every table, seen at one moment, and of the files that make the
//! hub who it is. Also the way from SQLite to PostgreSQL and back.

mod archive;
mod cipher;
mod files;
mod store;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use nave_link::random::Random;
use nave_link::secret_file;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use super::bus::Bus;
use super::error::{Error, Result};
use super::event::{self, Event};
use super::identity::DataFolder;
use super::op::Op;
use super::store::{DatabaseUrl, MigrationSet, Store, applied};
use crate::clock::Clock;

pub use cipher::CipherError;

/// The version of the archive's form.
const FORMAT: u32 = 1;

/// What an archive says about itself; its first entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    version: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Steps of each table set that the rows belong to.
    schema: BTreeMap<String, i64>,
    /// Rows of each table.
    rows: BTreeMap<String, u64>,
}

/// Why a backup cannot be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It cannot be decrypted.
    #[error("{path}: {source}")]
    Cipher {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: CipherError,
    },
    /// It is not whole, or no backup of a hub.
    #[error("{path} is no whole backup of a nave hub: {problem}; nothing was changed")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It was made by a newer program.
    #[error(
        "{path} was made by nave {version}, which is newer than this one: restore it with that version; nothing was changed"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The version that made it.
        version: String,
    },
    /// There is something already where it would go.
    #[error("{0} is not empty: restoring would replace what is there; say --force if you mean it")]
    NotEmpty(String),
    /// The database.
    #[error("{0}")]
    Store(String),
}

impl From<Error> for BackupError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable { source, .. } | Error::Internal(source) => Self::Store(source.to_string()),
            other => Self::Store(other.message()),
        }
    }
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// Files.
    pub files: usize,
}

/// Writes a backup of the hub in `folder`, running or not, into a new file (mode 0600), encrypted under the passphrase if
/// there is one; and notes that in the audit log.
pub async fn write(
    op: &Op,
    folder: &Path,
    url: &DatabaseUrl,
    sets: &[MigrationSet],
    file: &Path,
    passphrase: Option<&SecretString>,
    random: &Random,
) -> Result<Summary, BackupError> {
    let store = Store::connect(url.clone()).await?;
    let schema = applied(&store).await?.into_iter().fold(BTreeMap::new(), |mut schema, step| {
        let newest: &mut i64 = schema.entry(step.set).or_default();
        *newest = step.version.max(*newest);
        schema
    });
    if schema.is_empty() {
        return Err(BackupError::Store(format!("{url} holds no hub")));
    }
    let at = |source| BackupError::Io { path: file.to_owned(), source };
    let partial = file.with_added_extension("partial");
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if file.exists() {
        return Err(BackupError::NotEmpty(file.display().to_string()));
    }
    let out = options.write(true).create(true).truncate(true).open(&partial).map_err(at)?;
    let written = async {
        let out = BufWriter::new(out);
        let cipher = match passphrase {
            Some(passphrase) => cipher::Out::encrypted(out, passphrase, random),
            None => Ok(cipher::Out::plain(out)),
        };
        let mut archive = archive::Writer::new(cipher.map_err(at)?);
        let mut snapshot = store.snapshot().await?;
        let tables: Vec<&str> = sets.iter().flat_map(|set| set.tables.iter().copied()).collect();
        let mut rows = BTreeMap::new();
        for table in &tables {
            rows.insert((*table).to_owned(), store::count(&mut snapshot, table).await?);
        }
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: op.clock.now(),
            schema,
            rows: rows.clone(),
        };
        let text =
            serde_json::to_vec_pretty(&manifest).map_err(|error| BackupError::Store(error.to_string()))?;
        archive.add("manifest.json", &text, 0o600).map_err(at)?;
        for table in tables {
            store::dump(&mut snapshot, table, |part, lines| {
                archive.add(&format!("tables/{table}/{part:06}.jsonl"), lines, 0o600)
            })
            .await?
            .map_err(at)?;
        }
        drop(snapshot);
        let mut files = 0;
        for (name, path, mode) in files::of_hub(folder).map_err(at)? {
            archive.add(&format!("files/{name}"), &fs::read(&path).map_err(at)?, mode).map_err(at)?;
            files += 1;
        }
        let mut out = archive.finish().and_then(cipher::Out::finish).map_err(at)?;
        out.flush().map_err(at)?;
        out.get_ref().sync_all().map_err(at)?;
        Ok(Summary { rows, files })
    };
    let summary = match written.await {
        Ok(summary) => summary,
        Err(error) => {
            let _ = fs::remove_file(&partial);
            return Err(error);
        }
    };
    fs::rename(&partial, file).map_err(at)?;
    note(op, &store, file, passphrase.is_some()).await?;
    store.close().await;
    Ok(summary)
}

async fn note(op: &Op, store: &Store, file: &Path, encrypted: bool) -> Result<()> {
    let bus: std::sync::Arc<dyn Bus> = super::bus::LocalBus::new();
    let mut act = store.begin().await?;
    let event = Event {
        action: "backup.made",
        object_kind: "backup",
        object_id: String::new(),
        object_name: file.display().to_string(),
        detail: json!({ "encrypted": encrypted }),
    };
    event::record(&mut act, op, &bus, event).await?;
    act.commit().await
}

/// Restores a backup into a data folder and a database. Nothing is changed unless the backup is whole; what was there is
/// kept beside the folder, under another name.
pub async fn restore(
    file: &Path,
    passphrase: Option<&SecretString>,
    folder: &Path,
    url: Option<&DatabaseUrl>,
    sets: &[MigrationSet],
    force: bool,
    clock: &Clock,
) -> Result<Summary, BackupError> {
    if !force && folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(BackupError::NotEmpty(folder.display().to_string()));
    }
    if folder.exists() {
        // Held so that no hub runs on it meanwhile.
        drop(DataFolder::open(folder).map_err(|error| BackupError::Store(error.to_string()))?);
    }
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Io { path, source }
    };
    let fresh = folder.with_added_extension("restoring");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(at(&fresh))?;
    }
    secret_file::create_private_dir(&fresh).map_err(|error| BackupError::Store(error.to_string()))?;
    let restored = into_fresh(file, passphrase, &fresh, url, sets, force, clock).await;
    let summary = match restored {
        Ok(summary) => summary,
        Err(error) => {
            let _ = fs::remove_dir_all(&fresh);
            return Err(error);
        }
    };
    if folder.exists() {
        let mut aside = folder.with_added_extension("before-restore");
        let mut number = 1;
        while aside.exists() {
            number += 1;
            aside = folder.with_added_extension(format!("before-restore-{number}"));
        }
        fs::rename(folder, &aside).map_err(at(folder))?;
    }
    fs::rename(&fresh, folder).map_err(at(folder))?;
    Ok(summary)
}

async fn into_fresh(
    file: &Path,
    passphrase: Option<&SecretString>,
    fresh: &Path,
    url: Option<&DatabaseUrl>,
    sets: &[MigrationSet],
    force: bool,
    clock: &Clock,
) -> Result<Summary, BackupError> {
    let damaged = |problem: String| BackupError::Damaged { path: file.to_owned(), problem };
    let input = File::open(file).map_err(|source| BackupError::Io { path: file.to_owned(), source })?;
    let input = cipher::In::open(BufReader::new(input), passphrase)
        .map_err(|source| BackupError::Cipher { path: file.to_owned(), source })?;
    let unpacked = fresh.join("unpacked");
    archive::unpack(input, &unpacked).map_err(|error| match cipher::error_of(&error) {
        Some(source) => BackupError::Cipher { path: file.to_owned(), source },
        None => damaged(error.to_string()),
    })?;
    let manifest =
        fs::read(unpacked.join("manifest.json")).map_err(|_| damaged("it has no manifest".to_owned()))?;
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|error| damaged(error.to_string()))?;
    let known = |set: &str, version: i64| {
        sets.iter()
            .find(|known| known.name == set)
            .is_none_or(|known| version <= known.migrations.len() as i64)
    };
    if manifest.format > FORMAT || !manifest.schema.iter().all(|(set, version)| known(set, *version)) {
        return Err(BackupError::Newer { path: file.to_owned(), version: manifest.version });
    }

    let url = url.cloned().unwrap_or_else(|| DatabaseUrl::in_folder(fresh));
    let store = Store::connect(url.clone()).await?;
    let used = !applied(&store).await?.is_empty();
    if used && !force {
        return Err(BackupError::NotEmpty(url.to_string()));
    }
    super::store::bring_up_to_date(&store, sets, clock).await?;
    let mut act = store.begin().await?;
    let tables: Vec<&str> = sets.iter().flat_map(|set| set.tables.iter().copied()).collect();
    for table in tables.iter().rev() {
        store::clear(&mut act, table).await?;
    }
    let mut rows = BTreeMap::new();
    for table in &tables {
        let count =
            store::load(&mut act, table, &unpacked.join("tables").join(table)).await.map_err(|error| {
                match error {
                    Error::Invalid { problem, .. } => damaged(problem),
                    other => other.into(),
                }
            })?;
        if manifest.rows.get(*table).is_some_and(|expected| *expected != count) {
            return Err(damaged(format!(
                "table {table} has {count} rows instead of {}",
                manifest.rows[*table]
            )));
        }
        rows.insert((*table).to_owned(), count);
    }
    for (table, column) in sets.iter().flat_map(|set| set.counters) {
        store::set_counter(&mut act, table, column).await?;
    }
    act.commit().await?;
    store.close().await;
    let moved = files::put_back(&unpacked.join("files"), fresh)
        .map_err(|source| BackupError::Io { path: fresh.to_owned(), source })?;
    fs::remove_dir_all(&unpacked).map_err(|source| BackupError::Io { path: unpacked, source })?;
    Ok(Summary { rows, files: moved })
}
