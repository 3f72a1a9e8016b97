//! Which files of a data folder make the hub who it is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Below the data folder: single files, and folders with all that is in them.
const KEPT: [&str; 5] = ["hub.key", "master.key", "cert", "ca", "blobs"];

/// (name below the data folder, path, mode) of every file that is kept.
pub(super) fn of_hub(folder: &Path) -> io::Result<Vec<(String, PathBuf, u32)>> {
    let mut found = Vec::new();
    for name in KEPT {
        collect(folder, name, &mut found)?;
    }
    Ok(found)
}

fn collect(folder: &Path, name: &str, found: &mut Vec<(String, PathBuf, u32)>) -> io::Result<()> {
    let path = folder.join(name);
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if metadata.is_file() {
        found.push((name.to_owned(), path, metadata.mode() & 0o777));
        return Ok(());
    }
    let mut names: Vec<_> =
        fs::read_dir(&path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    for inner in names {
        if let Some(inner) = inner.to_str() {
            collect(folder, &format!("{name}/{inner}"), found)?;
        }
    }
    Ok(())
}

/// Moves unpacked files to their places; returns how many.
pub(super) fn put_back(unpacked: &Path, folder: &Path) -> io::Result<usize> {
    if !unpacked.exists() {
        return Ok(0);
    }
    for entry in fs::read_dir(unpacked)? {
        let entry = entry?;
        fs::rename(entry.path(), folder.join(entry.file_name()))?;
    }
    of_hub(folder).map(|files| files.len())
}
