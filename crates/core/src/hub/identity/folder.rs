//! The data folder: made with a mode that keeps others out, and used by one hub at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nave_link::secret_file;
use nix::fcntl::{Flock, FlockArg};

use super::IdentityError;

/// A hub's data folder, held by this process until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: Flock<File>,
}

impl DataFolder {
    /// Takes the folder, made (mode 0700) if it is not there. A second hub on it is refused.
    pub fn open(path: &Path) -> Result<Self, IdentityError> {
        secret_file::create_private_dir(path)?;
        let io = |source| IdentityError::Io { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(io)?.mode() & 0o777;
        if mode & 0o022 != 0 {
            return Err(IdentityError::unusable(
                path,
                format!(
                    "others may write in it (mode {mode:03o}), and so replace the hub's keys: run `chmod 700 {}`",
                    path.display()
                ),
            ));
        }
        let lock = path.join("hub.lock");
        let at_lock = |source| IdentityError::Io { path: lock.clone(), source };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&lock)
            .map_err(at_lock)?;
        let mut holder = String::new();
        file.read_to_string(&mut holder).map_err(at_lock)?;
        let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
            if error == nix::errno::Errno::EWOULDBLOCK {
                IdentityError::unusable(
                    path,
                    format!(
                        "another hub runs on this data folder (process {}): stop it, or give this one a folder of its own with NAVE_DIR",
                        holder.trim()
                    ),
                )
            } else {
                at_lock(error.into())
            }
        })?;
        // Only for people: a full disk must not keep a hub from starting that could otherwise run.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of certificates, made if it is not there.
    pub fn certificates(&self) -> Result<PathBuf, IdentityError> {
        let path = self.path.join("cert");
        secret_file::create_private_dir(&path)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_belongs_to_one_hub_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let first = DataFolder::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let error = DataFolder::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("another hub runs") && error.contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(first);
        DataFolder::open(&path).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_in_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = DataFolder::open(parent.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
    }

    #[test]
    fn of_many_that_race_for_a_folder_exactly_one_wins() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let barrier = std::sync::Barrier::new(8);
        let taken: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        DataFolder::open(&path)
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
    }
}
