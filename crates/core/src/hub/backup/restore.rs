//! Restoring a backup: read and checked whole beside the target first, then put in its place.

use std::fs::{self, File, Metadata};
use std::io::{BufReader, Cursor, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sqlx::{AnyConnection, Connection as _};

use super::archive::{Unpacked, unpack};
use super::error::at;
use super::manifest::{Bulk, LAST, Manifest, Step, Table};
use super::stream::{Decryptor, MAGIC, StreamError};
use super::{BackupError, ROOTS, Summary, blocking, store};
use crate::clock::{Clock, to_millis};
use crate::hub::identity::DataFolder;
use crate::hub::store::{DatabaseUrl, Engine, MigrationSet, connect_writer, take_steps};

/// What may lie in an empty data folder: the lock that restoring itself takes, and what a file system puts there.
const NOTHING: [&str; 2] = ["hub.lock", "lost+found"];

/// Where a backup goes.
pub struct Target<'a> {
    /// The data folder, made if it is not there.
    pub folder: &'a Path,
    /// The database; of either engine, whichever the backup came from.
    pub url: &'a DatabaseUrl,
    /// The tables that this program knows.
    pub sets: &'a [MigrationSet],
    /// Those of the bulk data. What there is of it is replaced with the rest, by nothing if the backup holds none.
    pub bulk_sets: &'a [MigrationSet],
    /// Replace what is there.
    pub force: bool,
    /// Tells when.
    pub clock: &'a Clock,
}

/// Restores a backup. The hub must not run. Until the whole backup has been read and checked, nothing is touched.
pub async fn restore_stream<R: Read + Send + 'static>(
    input: R,
    passphrase: Option<SecretString>,
    target: &Target<'_>,
) -> Result<Summary, BackupError> {
    // The lock of a running hub is refused here.
    let folder = DataFolder::open(target.folder)?;
    let foreign = !target.force && !is_empty(folder.path())?;
    let staging = tempfile::Builder::new()
        .prefix(".restoring-")
        .tempdir_in(folder.path())
        .map_err(at(folder.path()))?;
    let place = staging.path().to_owned();
    let unpacked = blocking(move || open(input, passphrase, &place)).await?;
    if unpacked.manifest.files && foreign {
        return Err(BackupError::NotEmpty { place: folder.path().display().to_string(), kept: true });
    }
    let version = &unpacked.manifest.hub_version;
    check_schema(&unpacked.manifest.schema, version, target.sets)?;
    if let Some(bulk) = &unpacked.manifest.bulk {
        check_schema(&bulk.schema, version, target.bulk_sets)?;
    }
    let replaced = match target.url {
        DatabaseUrl::Sqlite(path) => into_sqlite(path, target, &unpacked).await?,
        DatabaseUrl::Postgres(_) => into_postgres(target, &unpacked).await?,
    };
    Ok(Summary { manifest: unpacked.manifest, files: unpacked.files, replaced })
}

async fn into_sqlite(
    path: &Path,
    target: &Target<'_>,
    unpacked: &Unpacked,
) -> Result<Option<PathBuf>, BackupError> {
    let DatabaseUrl::Sqlite(bulk_path) = target.url.bulk() else {
        return Err(BackupError::NotEmpty { place: path.display().to_string(), kept: true });
    };
    let used = |path: &&Path| fs::metadata(path).is_ok_and(|file| file.len() > 0);
    if let Some(used) = [path, &bulk_path].into_iter().find(used)
        && !target.force
    {
        return Err(BackupError::NotEmpty { place: used.display().to_string(), kept: true });
    }
    // Beside its place, which may be on another file system than the data folder.
    let folder = super::parent(path);
    let staging = tempfile::Builder::new().prefix(".restoring-").tempdir_in(folder).map_err(at(folder))?;
    let new = staging.path().join("restored");
    fill_file(&new, &Part::main(target, unpacked), target.clock).await?;
    let new_bulk = staging.path().join("bulk");
    if let Some(bulk) = Part::bulk(target, unpacked) {
        fill_file(&new_bulk, &bulk, target.clock).await?;
    }
    let files = Placing::new(target.folder, target)?;
    let database = Placing::new(folder, target)?;
    files.prepare(unpacked)?;
    database.give(&new)?;
    database.give(&new_bulk)?;
    files.files(unpacked)?;
    database.database(&new_bulk, &bulk_path)?;
    database.database(&new, path)?;
    Ok(files.kept().or(database.kept()))
}

async fn into_postgres(target: &Target<'_>, unpacked: &Unpacked) -> Result<Option<PathBuf>, BackupError> {
    let mut connection = connect_writer(target.url).await?;
    store::begin(&mut connection).await?;
    store::lift_time_limit(&mut connection, Engine::Postgres).await?;
    let tables = store::tables(&mut connection, Engine::Postgres, target.sets).await?;
    if !tables.is_empty() {
        if !target.force {
            return Err(BackupError::NotEmpty { place: target.url.to_string(), kept: false });
        }
        store::drop_tables(&mut connection, Engine::Postgres, target.sets).await?;
    }
    fill(&mut connection, Engine::Postgres, &Part::main(target, unpacked), target.clock).await?;
    bulk_into_postgres(&mut connection, target, unpacked).await?;
    let placing = Placing::new(target.folder, target)?;
    placing.prepare(unpacked)?;
    store::commit(&mut connection).await?;
    connection.close().await?;
    placing.files(unpacked).map_err(|error| match error {
        BackupError::Io { path, source } => BackupError::HalfDone { path, source },
        error => error,
    })?;
    Ok(placing.kept())
}

/// The same transaction, so that both are there or neither.
async fn bulk_into_postgres(
    connection: &mut AnyConnection,
    target: &Target<'_>,
    unpacked: &Unpacked,
) -> Result<(), BackupError> {
    let bulk = Part::bulk(target, unpacked);
    let url = target.url.bulk();
    let Some(schema) = url.schema() else { return Ok(()) };
    store::enter_schema(connection, schema, bulk.is_some()).await?;
    if !store::tables(connection, Engine::Postgres, target.bulk_sets).await?.is_empty() {
        if !target.force {
            return Err(BackupError::NotEmpty { place: url.to_string(), kept: false });
        }
        store::drop_tables(connection, Engine::Postgres, target.bulk_sets).await?;
    }
    match bulk {
        Some(bulk) => fill(connection, Engine::Postgres, &bulk, target.clock).await,
        None => Ok(()),
    }
}

fn open<R: Read>(
    mut input: R,
    passphrase: Option<SecretString>,
    folder: &Path,
) -> Result<Unpacked, BackupError> {
    let mut start = Vec::new();
    input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start)?;
    if start == MAGIC {
        let passphrase = passphrase.ok_or(BackupError::PassphraseMissing)?;
        return unpack(Decryptor::new(BufReader::new(input), &passphrase)?, folder);
    }
    if MAGIC.starts_with(&start) {
        return Err(StreamError::Truncated.into());
    }
    unpack(BufReader::new(Cursor::new(start).chain(input)), folder)
}

/// Every step that the backup's schema has gone through must be one that this program can take.
fn check_schema(schema: &[Step], hub_version: &str, sets: &[MigrationSet]) -> Result<(), BackupError> {
    let known = |set: &str, version: i64| {
        sets.iter()
            .filter(|known| known.name == set)
            .any(|known| known.migrations.iter().any(|step| i64::from(step.version) == version))
    };
    match schema.iter().find(|step| !known(&step.set, step.version)) {
        Some(step) => Err(BackupError::NewerSchema {
            set: step.set.clone(),
            step: step.version,
            hub_version: hub_version.to_owned(),
        }),
        None => Ok(()),
    }
}

/// One of the two databases that a backup holds.
struct Part<'a> {
    schema: &'a [Step],
    tables: &'a [Table],
    sets: &'a [MigrationSet],
    lines: Box<dyn Fn(&str) -> PathBuf + Send + Sync + 'a>,
}

impl<'a> Part<'a> {
    fn main(target: &Target<'a>, unpacked: &'a Unpacked) -> Self {
        let Manifest { schema, tables, .. } = &unpacked.manifest;
        Self { schema, tables, sets: target.sets, lines: Box::new(|name| unpacked.table(name)) }
    }

    fn bulk(target: &Target<'a>, unpacked: &'a Unpacked) -> Option<Self> {
        let Bulk { schema, tables } = unpacked.manifest.bulk.as_ref()?;
        Some(Self {
            schema,
            tables,
            sets: target.bulk_sets,
            lines: Box::new(|name| unpacked.bulk_table(name)),
        })
    }
}

/// Makes a SQLite file that is whole without its log.
async fn fill_file(path: &Path, part: &Part<'_>, clock: &Clock) -> Result<(), BackupError> {
    let mut connection = connect_writer(&DatabaseUrl::Sqlite(path.to_owned())).await?;
    store::begin(&mut connection).await?;
    fill(&mut connection, Engine::Sqlite, part, clock).await?;
    store::commit(&mut connection).await?;
    store::close_single_file(connection).await
}

/// Makes the schema as it was, then the rows. Steps that came later are taken when the hub starts.
async fn fill(
    connection: &mut AnyConnection,
    engine: Engine,
    part: &Part<'_>,
    clock: &Clock,
) -> Result<(), BackupError> {
    let taken = |set: &str, version: u32| {
        part.schema.iter().any(|step| step.set == set && step.version == i64::from(version))
    };
    take_steps(connection, engine, part.sets, taken, clock).await?;
    for table in part.tables {
        let path = (part.lines)(&table.name);
        let lines = BufReader::new(File::open(&path).map_err(at(&path))?);
        let rows = store::load(connection, &table.name, lines).await?;
        if rows != table.rows {
            return Err(BackupError::content(
                LAST,
                &format!("{} has {rows} rows of {}", table.name, table.rows),
            ));
        }
        if let Some(last) = table.last_number {
            store::set_last_number(connection, engine, &table.name, last).await?;
        }
    }
    Ok(())
}

fn is_empty(folder: &Path) -> Result<bool, BackupError> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let name = entry.map_err(at(folder))?.file_name();
        if !NOTHING.iter().any(|nothing| name == *nothing) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts what was restored in its place, by renames within one folder; what was there is kept in another.
struct Placing {
    folder: PathBuf,
    owner: Metadata,
    kept: PathBuf,
}

impl Placing {
    /// Does what can fail for want of room or rights before anything is moved.
    fn new(folder: &Path, target: &Target<'_>) -> Result<Self, BackupError> {
        let owner = fs::metadata(folder).map_err(at(folder))?;
        let kept = folder.join(format!("before-restore-{}", to_millis(target.clock.now())));
        nave_link::secret_file::create_private_dir(&kept)
            .map_err(|error| BackupError::Transfer(std::io::Error::other(error)))?;
        let new = Self { folder: folder.to_owned(), owner, kept };
        new.give(&new.kept)?;
        Ok(new)
    }

    fn prepare(&self, unpacked: &Unpacked) -> Result<(), BackupError> {
        if unpacked.manifest.files { self.give(&unpacked.files_folder()) } else { Ok(()) }
    }

    fn files(&self, unpacked: &Unpacked) -> Result<(), BackupError> {
        if !unpacked.manifest.files {
            return Ok(());
        }
        for root in ROOTS {
            self.clear(&self.folder.join(root))?;
            let new = unpacked.files_folder().join(root);
            if fs::symlink_metadata(&new).is_ok() {
                fs::rename(&new, self.folder.join(root)).map_err(at(&new))?;
            }
        }
        self.sync()
    }

    /// The old database goes with its log, which would otherwise be played into the new one. There may be no new one.
    fn database(&self, new: &Path, place: &Path) -> Result<(), BackupError> {
        for suffix in ["-wal", "-shm", ""] {
            let mut old = place.as_os_str().to_owned();
            old.push(suffix);
            self.clear(Path::new(&old))?;
        }
        if new.exists() {
            fs::rename(new, place).map_err(at(place))?;
        }
        self.sync()
    }

    /// Moves aside what is in a place.
    fn clear(&self, place: &Path) -> Result<(), BackupError> {
        if fs::symlink_metadata(place).is_err() {
            return Ok(());
        }
        fs::rename(place, self.kept.join(place.file_name().unwrap_or_default())).map_err(at(place))
    }

    fn sync(&self) -> Result<(), BackupError> {
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(at(&self.folder))
    }

    /// Where the old files are, if there were any.
    fn kept(&self) -> Option<PathBuf> {
        // Fails if there is something in it.
        let _ = fs::remove_dir(&self.kept);
        self.kept.exists().then(|| self.kept.clone())
    }

    /// What root restores belongs to the account that owns the folder, and so to the hub.
    fn give(&self, path: &Path) -> Result<(), BackupError> {
        if nix::unistd::geteuid().is_root() { give(path, &self.owner) } else { Ok(()) }
    }
}

impl Drop for Placing {
    fn drop(&mut self) {
        // Empty if nothing was moved, because of an error or because nothing was there.
        let _ = fs::remove_dir(&self.kept);
    }
}

/// Gives a file or a folder with all in it to an owner.
fn give(path: &Path, owner: &Metadata) -> Result<(), BackupError> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if (metadata.uid(), metadata.gid()) != (owner.uid(), owner.gid()) {
        std::os::unix::fs::lchown(path, Some(owner.uid()), Some(owner.gid())).map_err(at(path))?;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(at(path))? {
            give(&entry.map_err(at(path))?.path(), owner)?;
        }
    }
    Ok(())
}
