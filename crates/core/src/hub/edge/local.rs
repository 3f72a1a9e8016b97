//! The hub's own socket, for the operator of its own machine: root and the owner of the data folder need no
//! sign-in there, since the kernel says who they are.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, lchown};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind as bind_socket, listen, socket};
use nix::sys::stat::{Mode, fchmod};
use tokio::net::{UnixListener, UnixStream};

use super::connection::LocalPeer;
use super::http::Version;
use super::io::{Held, HubIo};
use super::quiet::Quiet;
use super::server::Server;

/// What `sockaddr_un` holds on Linux besides the final zero, see unix(7).
const LONGEST_PATH: usize = 107;
const BACKLOG: i32 = 64;
const BACKOFF: Duration = Duration::from_millis(200);

/// The hub's own socket, not yet accepting. Its file is removed when this, or what serves it, is dropped.
#[derive(Debug)]
pub struct LocalListener {
    socket: UnixListener,
    file: SocketFile,
    owner: u32,
}

/// The socket's file.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Why the hub's own socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The operating system has no room for so long a name.
    #[error("the socket's path {} has {} octets, and the system takes {LONGEST_PATH} at most; use a data folder with a shorter path (NAVE_DIR)", .0.display(), .0.as_os_str().len())]
    TooLong(PathBuf),
    /// Somebody answers there.
    #[error("{} is in use: another hub runs on this data folder; stop it first", .0.display())]
    InUse(PathBuf),
    /// There is something else, which the hub does not remove.
    #[error("{} is in the way: it is not a socket; move it away", .0.display())]
    NotASocket(PathBuf),
    /// The file system refuses.
    #[error("the socket {} cannot be opened: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens the hub's own socket, mode 0600, owned by its folder's owner. Must be called within the runtime. Whoever
/// calls holds the data folder's lock: between two hubs that start at the same moment, this alone would not decide.
///
/// # Errors
///
/// When the path is too long, in use or taken, or the file system refuses.
pub fn bind(path: &Path) -> Result<LocalListener, LocalError> {
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(LocalError::TooLong(path.to_owned()));
    }
    let failed = |source| LocalError::Io { path: path.to_owned(), source };
    clear(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = std::fs::metadata(folder).map_err(failed)?;
    let socket = open(path).map_err(failed)?;
    let made = std::fs::symlink_metadata(path).map_err(failed)?;
    let file = SocketFile { path: path.to_owned(), inode: made.ino() };
    if made.uid() != owner.uid() {
        lchown(path, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
    }
    Ok(LocalListener { socket, file, owner: owner.uid() })
}

/// On Linux a socket's file gets the mode that the socket itself has when it is bound, so there is no moment in
/// which anyone else could connect.
fn open(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind_socket(std::os::fd::AsRawFd::as_raw_fd(&socket.as_fd()), &UnixAddr::new(path)?)?;
    listen(&socket, nix::sys::socket::Backlog::new(BACKLOG)?)?;
    UnixListener::from_std(StdListener::from(socket))
}

/// Removes the socket of a hub that was killed, and nothing else.
fn clear(path: &Path) -> Result<(), LocalError> {
    let failed = |source| LocalError::Io { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(LocalError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match StdStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(failed(error)),
        Ok(_) | Err(_) => Err(LocalError::InUse(path.to_owned())),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

impl Server {
    /// Serves the hub's own socket until the soft stop; then ends as [`Server::serve`] does.
    pub async fn serve_local(&self, listener: LocalListener) {
        let LocalListener { socket, file, owner } = listener;
        let soft = self.0.shutdown.soft();
        let failed = Quiet::new(Duration::from_secs(10));
        while let Some(accepted) = soft.run_until_cancelled(socket.accept()).await {
            match accepted {
                Ok((stream, _)) => self.take_local(stream, owner),
                Err(error) => {
                    if let Some(left_out) = failed.due() {
                        tracing::error!(socket = %file.path.display(), %error, left_out, "no connection can be accepted at the moment");
                    }
                    soft.run_until_cancelled(tokio::time::sleep(BACKOFF)).await;
                }
            }
        }
        drop((socket, file));
        self.drained().await;
    }

    fn take_local(&self, stream: UnixStream, owner: u32) {
        let uid = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                tracing::warn!(%error, "a connection to the hub's own socket is closed: the system does not say whose it is");
                return;
            }
        };
        self.admit_local(stream, uid, owner);
    }

    fn admit_local(&self, stream: UnixStream, uid: u32, owner: u32) {
        if uid != 0 && uid != owner {
            tracing::warn!(
                uid,
                owner,
                "a connection to the hub's own socket is closed: it is for root and the owner of the data folder"
            );
            return;
        }
        let Some(permit) = self.0.local_gate.enter() else {
            tracing::warn!(
                uid,
                "a connection to the hub's own socket is closed: it has as many as it may have"
            );
            return;
        };
        let held = Held { _permit: permit, _tracked: self.0.tracker.token() };
        let front = self.local_front(LocalPeer { uid });
        let io = HubIo::local(stream, front.activity.clone(), held);
        let server = self.clone();
        self.spawn(async move { server.speak(io, Version::Http1, front).await });
    }
}

#[cfg(test)]
mod tests;
