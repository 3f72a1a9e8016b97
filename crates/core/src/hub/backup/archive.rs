//! The inside of a backup: a tar archive that any `tar` lists. `manifest.json`, then `tables/<name>.jsonl`, then
//! `files/<path in the data folder>`, and `end.json`. Which rows and files these are is decided elsewhere.

use std::cell::Cell;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use tar::{EntryType, Header};

use super::error::at;
use super::manifest::{End, FIRST, LAST, Manifest, Tally, is_table_name};
use super::stream::StreamError;
use super::{BackupError, ROOTS};

/// Nothing that is read whole is larger, in bytes.
const MAX_TEXT: u64 = 16 << 20;
/// Folders below one another in `files/`.
const MAX_DEPTH: usize = 8;
/// What a ustar header has room for, in bytes, is a little more.
const MAX_PATH: usize = 240;

/// Writes an archive.
pub(super) struct ArchiveWriter<W: Write> {
    tar: tar::Builder<W>,
    tally: Tally,
    created_at: u64,
}

impl<W: Write> ArchiveWriter<W> {
    pub(super) fn new(out: W, manifest: &Manifest) -> io::Result<Self> {
        let created_at = u64::try_from(manifest.created_at.unix_timestamp()).unwrap_or_default();
        let mut new = Self { tar: tar::Builder::new(out), tally: Tally::new(), created_at };
        let text = serde_json::to_vec_pretty(manifest)?;
        new.entry(FIRST, 0o600, text.len() as u64, text.as_slice())?;
        Ok(new)
    }

    /// Adds an entry of exactly that size.
    pub(super) fn entry(&mut self, name: &str, mode: u32, size: u64, content: impl Read) -> io::Result<()> {
        self.tally.begin(name, size);
        let tally = &mut self.tally;
        append(&mut self.tar, name, mode, size, self.created_at, content, |part| tally.add(part))
    }

    /// Writes the last entry.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let text = serde_json::to_vec(&self.tally.end())?;
        append(&mut self.tar, LAST, 0o600, text.len() as u64, self.created_at, text.as_slice(), |_| {})?;
        self.tar.into_inner()
    }
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    name: &str,
    mode: u32,
    size: u64,
    created_at: u64,
    content: impl Read,
    seen: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(created_at);
    header.set_cksum();
    tar.append(&header, Exactly { content, left: size, seen })
}

/// Gives as many bytes as were announced: the archive library would write a shorter file and break all that follows.
struct Exactly<R, F> {
    content: R,
    left: u64,
    seen: F,
}

impl<R: Read, F: FnMut(&[u8])> Read for Exactly<R, F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        if most == 0 {
            return Ok(0);
        }
        let given = self.content.read(&mut out[..most])?;
        if given == 0 {
            return Err(io::Error::other("a file became shorter while it was read: try again"));
        }
        self.left -= given as u64;
        (self.seen)(&out[..given]);
        Ok(given)
    }
}

/// What an archive holds, checked and laid out in a folder.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) manifest: Manifest,
    /// How many files of the data folder.
    pub(super) files: u64,
    folder: PathBuf,
}

impl Unpacked {
    pub(super) fn table(&self, name: &str) -> PathBuf {
        self.folder.join("tables").join(format!("{name}.jsonl"))
    }

    pub(super) fn bulk_table(&self, name: &str) -> PathBuf {
        self.folder.join("bulk").join(format!("{name}.jsonl"))
    }

    /// The folder that holds what shall lie in the data folder.
    pub(super) fn files_folder(&self) -> PathBuf {
        self.folder.join("files")
    }
}

/// Remembers whether its end was reached.
struct Watched<'a, R> {
    input: R,
    ended: &'a Cell<bool>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let given = self.input.read(out)?;
        self.ended.set(self.ended.get() || (given == 0 && !out.is_empty()));
        Ok(given)
    }
}

/// Reads a whole archive into an empty folder. Only if this succeeds is anything of it to be trusted.
pub(super) fn unpack(input: impl Read, folder: &Path) -> Result<Unpacked, BackupError> {
    let ended = Cell::new(false);
    let mut input = Watched { input, ended: &ended };
    let mut archive = tar::Archive::new(&mut input);
    let mut tally = Tally::new();
    let mut manifest: Option<Manifest> = None;
    let mut end = None;
    let mut files = 0;
    // Raw: extensions of the format, of which a backup uses none, would have names of any length.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry.map_err(|error| match &manifest {
            // Cut within a header, which the library does not tell from any other trouble.
            Some(_) if ended.get() => StreamError::Truncated.into(),
            manifest => broken(manifest.is_some(), error),
        })?;
        let name = std::str::from_utf8(&entry.path_bytes()).map(str::to_owned).unwrap_or_default();
        let size = entry.size();
        if end.is_some() || entry.header().entry_type() != EntryType::Regular {
            return Err(match manifest {
                None => StreamError::NotABackup.into(),
                Some(_) => BackupError::content(name, "it is no plain file in its place"),
            });
        }
        match (&manifest, name.as_str()) {
            (None, FIRST) => {
                let text = text(&mut entry, &name, size)?;
                tally.begin(&name, size);
                tally.add(&text);
                manifest = Some(Manifest::parse(&text)?);
            }
            (None, _) => return Err(StreamError::NotABackup.into()),
            (Some(_), LAST) => end = Some(text(&mut entry, &name, size)?),
            (Some(manifest), _) => {
                let place = place(&name, manifest)?;
                files += u64::from(place.starts_with("files"));
                let mode = entry.header().mode().map_err(|error| BackupError::content(&name, &error))?;
                tally.begin(&name, size);
                lay_out(&mut entry, &folder.join(place), size, mode, &mut tally)?;
            }
        }
    }
    let (Some(manifest), Some(end)) = (manifest, end) else { return Err(StreamError::Truncated.into()) };
    let end: End = serde_json::from_slice(&end).map_err(|error| BackupError::content(LAST, &error))?;
    if end != tally.end() {
        return Err(BackupError::content(LAST, "its checksum does not match what is inside"));
    }
    // To the very end, which an encrypted backup authenticates last.
    io::copy(&mut input, &mut io::sink())?;
    let unpacked = Unpacked { manifest, files, folder: folder.to_owned() };
    let missing = unpacked.manifest.tables.iter().find(|table| !unpacked.table(&table.name).exists());
    let bulk = unpacked.manifest.bulk.iter().flat_map(|bulk| &bulk.tables);
    let missing = missing.or(bulk.into_iter().find(|table| !unpacked.bulk_table(&table.name).exists()));
    match missing {
        Some(table) => Err(BackupError::content(&table.name, "its rows are missing")),
        None => Ok(unpacked),
    }
}

fn broken(begun: bool, error: io::Error) -> BackupError {
    match BackupError::from(error) {
        BackupError::Transfer(_) if !begun => StreamError::NotABackup.into(),
        BackupError::Transfer(error) => BackupError::content("an entry", &error),
        error => error,
    }
}

/// Where an entry may go, below the folder it is laid out in.
fn place(name: &str, manifest: &Manifest) -> Result<PathBuf, BackupError> {
    let refused = |problem| Err(BackupError::content(format!("{name:?}"), problem));
    if name.len() > MAX_PATH {
        return refused("its name is too long");
    }
    if let Some(table) = name.strip_prefix("tables/").and_then(|rest| rest.strip_suffix(".jsonl")) {
        let listed = is_table_name(table) && manifest.tables.iter().any(|listed| listed.name == table);
        return if listed { Ok(PathBuf::from(name)) } else { refused("the manifest does not list it") };
    }
    if let Some(table) = name.strip_prefix("bulk/").and_then(|rest| rest.strip_suffix(".jsonl")) {
        let mut bulk = manifest.bulk.iter().flat_map(|bulk| &bulk.tables);
        let listed = is_table_name(table) && bulk.any(|listed| listed.name == table);
        return if listed { Ok(PathBuf::from(name)) } else { refused("the manifest does not list it") };
    }
    let Some(file) = name.strip_prefix("files/") else { return refused("no backup holds such a part") };
    // Compared as text too: the parts of a path hide doubled slashes and single dots.
    let parts: Vec<&str> = file.split('/').collect();
    let plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)))
        && parts.iter().all(|part| !part.is_empty() && *part != "." && !part.contains('\0'));
    match parts.first() {
        Some(root) if plain && ROOTS.contains(root) && parts.len() <= MAX_DEPTH => Ok(PathBuf::from(name)),
        _ => refused("it would not go where a backup's files go"),
    }
}

fn text(entry: &mut impl Read, name: &str, size: u64) -> Result<Vec<u8>, BackupError> {
    if size > MAX_TEXT {
        return Err(BackupError::content(name, "it is too large"));
    }
    let mut text = Vec::new();
    entry.take(size).read_to_end(&mut text)?;
    if text.len() as u64 == size { Ok(text) } else { Err(StreamError::Truncated.into()) }
}

fn lay_out(
    entry: &mut impl Read,
    path: &Path,
    size: u64,
    mode: u32,
    tally: &mut Tally,
) -> Result<(), BackupError> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(at(parent))?;
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(at(path))?;
    let mut buffer = vec![0; 64 * 1024];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let given = entry.read(&mut buffer[..most])?;
        if given == 0 {
            return Err(StreamError::Truncated.into());
        }
        tally.add(&buffer[..given]);
        file.write_all(&buffer[..given]).map_err(at(path))?;
        left -= given as u64;
    }
    finish(&file, mode).map_err(at(path))
}

/// Never a mode by which others could write, or that runs with rights of its own.
fn finish(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(PermissionsExt::from_mode(mode & 0o755 | 0o400))?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
