//! For whom the commands of a place ran last: a small file for each place, so that an exporter that starts anew neither
//! runs a command twice nor forgets one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nave_link::secret_file::{self, SecretFileError};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Who has a place, as far as its commands are concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The lease's id, or whatever tells one from the next.
    pub id: String,
    /// What people call the holder.
    pub holder: String,
    /// What the holder calls the reservation; may be empty.
    pub name: String,
}

/// What was done for a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// For whom the command before a reservation was begun, and none after it has succeeded yet.
    pub(super) tenant: Tenant,
    /// Whether the command before the reservation has succeeded.
    pub(super) is_ready: bool,
    /// The command that runs for it. One that an exporter left behind which was killed would go on beside its successor.
    #[serde(default)]
    pub(super) running: Option<Process>,
}

/// A process, told from another one that gets its number later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pid: i32,
    /// When it was started, in the kernel's ticks since the machine was.
    started: u64,
}

impl Process {
    /// The process of that number, if there is one.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // proc_pid_stat(5): the name, which may hold anything, ends with the last parenthesis; field 22 is `starttime`.
        let started = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// Ends it, with its group, if it still runs.
    pub(super) fn end(&self) {
        if Self::of(self.pid).as_ref() == Some(self) {
            tracing::warn!(pid = self.pid, "a command is ended that an earlier exporter left behind");
            let _ = killpg(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }
}

/// The files.
#[derive(Debug)]
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// A place is called as the file is that describes it, so that its name is a file's name.
    fn path(&self, place: &str) -> PathBuf {
        self.0.join(format!("{place}.json"))
    }

    /// What was done for a place; whoever asks has its turn, so that what runs for it is left from earlier. What cannot be
    /// read counts as nothing: then a command is run once too often.
    pub(super) fn read(&self, place: &str) -> Option<Kept> {
        let path = self.path(place);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "it is not known for whom commands were run");
                return None;
            }
        };
        let mut kept: Kept = serde_json::from_slice(&text)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "a file is damaged"))
            .ok()?;
        if let Some(running) = kept.running.take() {
            running.end();
        }
        Some(kept)
    }

    /// Whether anything was done for a place.
    pub(super) fn has(&self, place: &str) -> bool {
        self.path(place).exists()
    }

    /// Notes what was done, durably.
    pub(super) fn write(&self, place: &str, kept: Option<&Kept>) -> Result<(), SecretFileError> {
        let path = self.path(place);
        let Some(kept) = kept else { return remove(&path) };
        secret_file::create_private_dir(&self.0)?;
        let text = serde_json::to_vec(kept).unwrap_or_default();
        secret_file::replace(&path, &text, 0o600)
    }
}

fn remove(path: &Path) -> Result<(), SecretFileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(SecretFileError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
