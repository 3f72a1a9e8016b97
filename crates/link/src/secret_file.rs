//! Files that hold secrets: written whole or not at all, never readable by others, never replaced by accident.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown, lchown};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The largest file that is read here, in bytes: no key or certificate chain comes near it.
const MAX_SIZE: u64 = 1 << 20;
const ROOT: u32 = 0;

/// Why a file with a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Others on the machine can read it.
    #[error(
        "{path} can be read by others (mode {mode:03o}), so it may be known to them: run `chmod {wanted:03o} {path}`, and replace the secret if others had access"
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// It is no text, or too large to be a key.
    #[error("{path} is not a text file of at most {MAX_SIZE} bytes")]
    NotText {
        /// Which file.
        path: PathBuf,
    },
}

impl SecretFileError {
    /// Whether the file is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Makes a folder, and those above it, that only its owner can enter.
pub fn create_private_dir(path: &Path) -> Result<(), SecretFileError> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))?;
    while let Some(made) = missing.pop() {
        follow_folder(made)?;
    }
    Ok(())
}

/// Gives a file or folder that was just made to the owner of the folder that it lies in. Only root makes things
/// in folders of others, and what it leaves there must be usable by whoever runs the hub or the node.
pub fn follow_folder(path: &Path) -> Result<(), SecretFileError> {
    let owner = fs::metadata(folder_of(path)).map_err(at(path))?;
    let made = fs::symlink_metadata(path).map_err(at(path))?;
    if made.uid() == owner.uid() || made.uid() != ROOT {
        return Ok(());
    }
    lchown(path, Some(owner.uid()), Some(owner.gid())).map_err(at(path))
}

/// Writes a new file with exactly that mode. Fails if it exists; after a crash it is there whole or not at all.
pub fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), SecretFileError> {
    let temporary = write_beside(path, content, mode)?;
    // A hard link, unlike a rename, fails when the name is taken: two processes cannot both win.
    let linked = fs::hard_link(&temporary, path).map_err(at(path));
    fs::remove_file(&temporary).map_err(at(&temporary))?;
    linked?;
    sync_folder(path)
}

/// Writes a file in the place of one that may be there; after a crash the old or the new one is there, whole.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), SecretFileError> {
    let temporary = write_beside(path, content, mode)?;
    fs::rename(&temporary, path).map_err(at(path))?;
    sync_folder(path)
}

/// Gives a file its final name, durably; a file that has that name already is replaced.
pub fn take_name(from: &Path, to: &Path) -> Result<(), SecretFileError> {
    fs::rename(from, to).map_err(at(to))?;
    sync_folder(to)
}

/// Reads a secret. A file that others can read is refused, unless it lies below `credentials`, the folder in which
/// systemd hands credentials over and which it guards itself.
pub fn read_private(path: &Path, credentials: Option<&Path>) -> Result<Zeroizing<String>, SecretFileError> {
    let file = File::open(path).map_err(at(path))?;
    let metadata = file.metadata().map_err(at(path))?;
    let mode = metadata.mode() & 0o777;
    let guarded = credentials.is_some_and(|folder| path.starts_with(folder));
    if mode & 0o077 != 0 && !guarded {
        return Err(SecretFileError::Open { path: path.to_owned(), mode, wanted: mode & 0o700 });
    }
    let mut text =
        Zeroizing::new(String::with_capacity(metadata.len().min(MAX_SIZE).try_into().unwrap_or(0)));
    match file.take(MAX_SIZE + 1).read_to_string(&mut text) {
        Ok(read) if read as u64 <= MAX_SIZE => Ok(text),
        Err(source) if source.kind() != io::ErrorKind::InvalidData => {
            Err(SecretFileError::Io { path: path.to_owned(), source })
        }
        _ => Err(SecretFileError::NotText { path: path.to_owned() }),
    }
}

fn write_beside(path: &Path, content: &[u8], mode: u32) -> Result<PathBuf, SecretFileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let write = || {
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        // The mode given at creation is subject to the umask; this one is not.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        let owner = fs::metadata(folder_of(path))?;
        let made = file.metadata()?;
        if made.uid() == ROOT && owner.uid() != ROOT {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        SecretFileError::Io { path: path.to_owned(), source }
    })?;
    Ok(temporary)
}

/// Makes the new name itself survive a power cut.
fn sync_folder(path: &Path) -> Result<(), SecretFileError> {
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(at(path))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SecretFileError + use<> {
    let path = path.to_owned();
    move |source| SecretFileError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_has_its_mode_and_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"first", 0o600).unwrap();
        assert!(create(&path, b"second", 0o600).is_err());
        assert_eq!(read_private(&path, None).unwrap().as_str(), "first");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        replace(&path, b"third", 0o600).unwrap();
        assert_eq!(read_private(&path, None).unwrap().as_str(), "third");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let me = fs::metadata(folder.path()).unwrap().uid();
        // Only root can make a folder of someone else; anyone sees that their own stays their own.
        let owner = if me == ROOT { 4711 } else { me };
        lchown(folder.path(), Some(owner), None).unwrap();
        let deep = folder.path().join("node/hub");
        create_private_dir(&deep).unwrap();
        create(&deep.join("key"), b"secret", 0o600).unwrap();
        replace(&deep.join("state"), b"{}", 0o600).unwrap();
        for made in ["node", "node/hub", "node/hub/key", "node/hub/state"] {
            let metadata = fs::metadata(folder.path().join(made)).unwrap();
            assert_eq!(metadata.uid(), owner, "{made}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"secret", 0o640).unwrap();
        let error = read_private(&path, None).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        assert!(read_private(&path, Some(folder.path())).is_ok(), "systemd guards its own folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read_private(&path, None).is_ok());
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, &[0xff, 0xfe], 0o600).unwrap();
        assert!(matches!(read_private(&path, None), Err(SecretFileError::NotText { .. })));
        replace(&path, &vec![b'a'; 2 << 20], 0o600).unwrap();
        assert!(matches!(read_private(&path, None), Err(SecretFileError::NotText { .. })));
        assert!(read_private(&folder.path().join("none"), None).unwrap_err().is_missing());
    }
}
