//! Writing a backup: the rows of one snapshot and the files, in order, through the cipher.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nave_link::random::Random;
use sqlx::AnyConnection;

use super::archive::ArchiveWriter;
use super::error::at;
use super::manifest::{Bulk, FORMAT, Manifest, Step, Table, WITHOUT_BULK};
use super::stream::{Cost, Encryptor};
use super::{BackupError, Found, Protection, ROOTS, Summary, blocking, store};
use crate::clock::Clock;
use crate::hub::seal::MasterFile;
use crate::hub::store::{Applied, MigrationSet, Store, applied_on};

/// What is backed up.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The database.
    pub store: &'a Store,
    /// The tables that this program knows.
    pub sets: &'a [MigrationSet],
    /// The bulk data with its tables, if it is to be taken too.
    pub bulk: Option<(&'a Store, &'a [MigrationSet])>,
    /// The data folder; `None` for the database alone.
    pub folder: Option<&'a Path>,
    /// systemd's folder of credentials, from which the master key may come.
    pub credentials: Option<&'a Path>,
    /// Where rows are kept until their number is known; with room for the database.
    pub spool: &'a Path,
    /// Tells when the backup was made.
    pub clock: &'a Clock,
    /// Makes salts.
    pub random: &'a Random,
}

/// Attempts to meet the master key at rest.
const ATTEMPTS: u32 = 5;
const MASTER: &str = "master.key";

/// Writes a backup; gives the writer back, flushed, with what was written to it. The hub may go on working meanwhile.
pub async fn write_stream<W: Write + Send + 'static>(
    source: &Source<'_>,
    protection: Protection,
    out: W,
) -> Result<(W, Summary), BackupError> {
    protection.check()?;
    let (mut manifest, tables, master) = rows(source).await?;
    let mut bulk = Vec::new();
    if let Some((store, sets)) = source.bulk {
        let mut snapshot = store.snapshot().await?;
        store::lift_time_limit(&mut snapshot, store.engine()).await?;
        let applied = applied_on(&mut snapshot, store.engine()).await?;
        if !applied.is_empty() {
            bulk = spool(&mut snapshot, store, sets, source.spool).await?;
            manifest.format = FORMAT;
            manifest.bulk = Some(Bulk { schema: steps(applied), tables: tables_of(&bulk) });
        }
    }
    let folder = source.folder.map(Path::to_owned);
    let random = source.random.clone();
    blocking(move || {
        let found = match &folder {
            Some(folder) => files(folder)?,
            None => Vec::new(),
        };
        let files = found.len() as u64 + u64::from(master.is_some());
        let contents = Contents { tables, bulk, files: found, master };
        let out = BufWriter::new(out);
        let out = match protection {
            Protection::Plain => contents.write(&manifest, out)?,
            Protection::Passphrase(passphrase) => {
                let encryptor = Encryptor::new(out, &passphrase, Cost::DEFAULT, &random)?;
                contents.write(&manifest, encryptor)?.finish()?
            }
        };
        let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((out, Summary { manifest, files, replaced: None }))
    })
    .await
}

/// A table's rows, in a file without a name.
type Spooled = (Table, File);
/// The master key's file, if there is one.
type Master = Option<Vec<u8>>;

struct Contents {
    tables: Vec<Spooled>,
    bulk: Vec<Spooled>,
    files: Vec<Found>,
    master: Master,
}

/// Reads all rows in one snapshot, together with the master key that opens what is sealed in them. A rotation keeps both
/// keys in the file until the rewrapped rows are committed, so a file that is the same before and after the snapshot
/// was taken fits it.
async fn rows(source: &Source<'_>) -> Result<(Manifest, Vec<Spooled>, Master), BackupError> {
    for _ in 0..ATTEMPTS {
        let before = master(source)?;
        let mut snapshot = source.store.snapshot().await?;
        let engine = source.store.engine();
        store::lift_time_limit(&mut snapshot, engine).await?;
        // A snapshot begins with its first question.
        let applied = applied_on(&mut snapshot, engine).await?;
        if master(source)? != before {
            continue;
        }
        if applied.is_empty() {
            return Err(BackupError::NoHub(source.store.url().to_string()));
        }
        let tables = spool(&mut snapshot, source.store, source.sets, source.spool).await?;
        let sealed = tables.iter().any(|(table, _): &Spooled| table.name == "data_keys" && table.rows > 0);
        if let (true, None, Some(folder)) = (sealed, &before, source.folder) {
            return Err(BackupError::MasterMissing(folder.join(MASTER)));
        }
        let manifest = Manifest {
            format: WITHOUT_BULK,
            created_at: source.clock.now(),
            hub_version: env!("CARGO_PKG_VERSION").to_owned(),
            files: source.folder.is_some(),
            schema: steps(applied),
            tables: tables_of(&tables),
            bulk: None,
        };
        return Ok((manifest, tables, before));
    }
    Err(BackupError::Restless)
}

/// Every row of a snapshot, a file for each table.
/// What stands in the names of tables that are made from others: a restored hub makes them anew, in its engine's own way.
const DERIVED: &str = "_derived";

async fn spool(
    snapshot: &mut AnyConnection,
    store: &Store,
    sets: &[MigrationSet],
    folder: &Path,
) -> Result<Vec<Spooled>, BackupError> {
    let mut tables = Vec::new();
    for name in store::tables(snapshot, store.engine(), sets).await? {
        if name.contains(DERIVED) {
            continue;
        }
        let file = tempfile::tempfile_in(folder).map_err(at(folder))?;
        let mut out = BufWriter::new(file);
        let table = store::dump(snapshot, store.engine(), &name, &mut out).await?;
        let mut file = out.into_inner().map_err(|error| at(folder)(error.into_error()))?;
        file.rewind().map_err(at(folder))?;
        tables.push((table, file));
    }
    Ok(tables)
}

fn steps(applied: Vec<Applied>) -> Vec<Step> {
    let step = |step: Applied| Step { set: step.set, version: step.version, name: step.name };
    applied.into_iter().map(step).collect()
}

fn tables_of(spooled: &[Spooled]) -> Vec<Table> {
    spooled.iter().map(|(table, _)| table.clone()).collect()
}

fn master(source: &Source<'_>) -> Result<Master, BackupError> {
    let Some(folder) = source.folder else { return Ok(None) };
    let path = MasterFile::find(folder, source.credentials).path;
    match std::fs::read(&path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(&path)(error)),
    }
}

/// The files of a data folder, except the master key, which was read with the rows.
fn files(folder: &Path) -> Result<Vec<Found>, BackupError> {
    let mut found = Vec::new();
    let mut open = Vec::new();
    for root in ROOTS.into_iter().filter(|root| *root != MASTER) {
        open.push(Found { name: root.to_owned(), path: folder.join(root) });
    }
    while let Some(Found { name, path }) = open.pop() {
        let kind = match std::fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(at(&path)(error)),
        };
        if kind.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(at(&path))? {
                let entry = entry.map_err(at(&path))?;
                let file_name = entry.file_name();
                let Some(file_name) = file_name.to_str() else {
                    return Err(at(&entry.path())(io::Error::other("its name is not UTF-8: rename it")));
                };
                open.push(Found { name: format!("{name}/{file_name}"), path: entry.path() });
            }
        } else if kind.is_file() || kind.is_symlink() && path.is_file() {
            found.push(Found { name, path });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

impl Contents {
    fn write<W: Write>(self, manifest: &Manifest, out: W) -> Result<W, BackupError> {
        let mut archive = ArchiveWriter::new(out, manifest)?;
        let tables = self.tables.into_iter().map(|spooled| ("tables", spooled));
        for (part, (table, rows)) in tables.chain(self.bulk.into_iter().map(|spooled| ("bulk", spooled))) {
            let size = rows.metadata()?.len();
            archive.entry(&format!("{part}/{}.jsonl", table.name), 0o600, size, rows)?;
        }
        if let Some(master) = self.master {
            archive.entry(&format!("files/{MASTER}"), 0o600, master.len() as u64, master.as_slice())?;
        }
        for Found { name, path } in self.files {
            let file = match File::open(&path) {
                Ok(file) => file,
                // Blobs come and go; one that went after it was seen belongs to no row of the snapshot any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at(&path)(error)),
            };
            let metadata = file.metadata().map_err(at(&path))?;
            let mode = metadata.permissions().mode() & 0o777;
            archive.entry(&format!("files/{name}"), mode, metadata.len(), file)?;
        }
        Ok(archive.finish()?)
    }
}
