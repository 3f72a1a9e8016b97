//! The hub's own socket in its data folder: whoever is root or owns the folder is its operator, without signing in.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use nave_link::secret_file;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::TaskTracker;

use super::{Limits, Shutdown, serve};

/// The longest path that the kernel takes for a socket, in bytes.
const MAX_PATH: usize = 107;

/// Who is at the other end of the socket; in a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct LocalPeer {
    /// The user that the kernel reported.
    pub uid: u32,
}

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Its path is too long for the kernel.
    #[error(
        "{path}: a socket's path may have at most {MAX_PATH} bytes (this one has {length}): choose a shorter data folder with NAVE_DIR"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// How long it is.
        length: usize,
    },
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The socket.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

/// Where the socket of a data folder is, if the kernel can take it.
pub fn path_in(folder: &Path) -> Result<PathBuf, LocalError> {
    let path = folder.join("hub.sock");
    let length = path.as_os_str().len();
    if length > MAX_PATH { Err(LocalError::TooLong { path, length }) } else { Ok(path) }
}

/// Opens the socket. Only the holder of the data folder does this, so that a socket found there is a leftover.
pub fn bind(folder: &Path) -> Result<LocalSocket, LocalError> {
    let path = path_in(folder)?;
    let failed = |source| LocalError::Io { path: path.clone(), source };
    let owner = fs::metadata(folder).map_err(failed)?.uid();
    // Made in a folder that nobody else can enter, so that it is never there with a wider mode.
    let making = folder.join(".s");
    let temporary = making.join("s");
    let _ = fs::remove_dir_all(&making);
    secret_file::create_private_dir(&making).map_err(|error| failed(io::Error::other(error)))?;
    let listener = UnixListener::bind(&temporary).map_err(failed)?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o600)).map_err(failed)?;
    if owner != nix::unistd::geteuid().as_raw() {
        std::os::unix::fs::chown(&temporary, Some(owner), None).map_err(failed)?;
    }
    fs::rename(&temporary, &path).map_err(failed)?;
    let _ = fs::remove_dir(&making);
    Ok(LocalSocket { listener, path, owner })
}

impl LocalSocket {
    /// Serves the operator until the hub stops.
    pub async fn serve(self, router: Router, limits: Limits, shutdown: Shutdown) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.soft.cancelled() => break,
            };
            let Ok((io, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Some(peer) = self.admit(&io) else { continue };
            let (router, shutdown) = (router.clone(), shutdown.clone());
            connections.spawn(async move {
                if let Err(error) = serve::requests(io, peer, false, router, limits, shutdown).await {
                    tracing::debug!(%error, "a connection to the hub's socket ended with an error");
                }
            });
        }
        let _ = fs::remove_file(&self.path);
        connections.close();
        tokio::select! {
            () = connections.wait() => {}
            () = shutdown.hard.cancelled() => {}
        }
    }

    fn admit(&self, io: &UnixStream) -> Option<LocalPeer> {
        let uid = io.peer_cred().ok()?.uid();
        if uid == 0 || uid == self.owner {
            return Some(LocalPeer { uid });
        }
        tracing::warn!(
            uid,
            "somebody who is neither root nor the owner of the data folder tried the hub's socket"
        );
        None
    }
}
