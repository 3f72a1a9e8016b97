//! The agent's socket on this machine: who may open it may use the agent.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Group;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Agent;
use crate::not_my_board::channel::Channel;
use crate::not_my_board::lines;

/// Where not-my-board's command line looks for its agent.
pub const SOCKET: &str = "/run/not-my-board-agent.sock";
/// The group whose members may use not-my-board's agent.
pub const GROUP: &str = "not-my-board";
/// How long to wait when connections cannot be accepted, such as when too many files are open.
const BREATH: Duration = Duration::from_millis(100);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody is there already.
    #[error("another agent listens at {}: end it first", .0.display())]
    InUse(PathBuf),
    /// The system does not let it.
    #[error("cannot listen at {}: {source}", .path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens at a path, in the place of an agent that is gone. Its owner may connect, and the members of a group, where there
/// is such a group.
pub fn bind(path: &Path, group: Option<&str>) -> Result<UnixListener, SocketError> {
    let system = |source| SocketError::System { path: path.to_owned(), source };
    if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(SocketError::InUse(path.to_owned()));
        }
        std::fs::remove_file(path).map_err(system)?;
    }
    let listener = UnixListener::bind(path).map_err(system)?;
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(system)?;
    if let Some(name) = group
        && let Err(error) = give_to(path, name)
    {
        tracing::warn!(socket = %path.display(), group = name, %error, "the agent is for its owner alone: the socket cannot be given to the group");
    }
    Ok(listener)
}

fn give_to(path: &Path, group: &str) -> io::Result<()> {
    match Group::from_name(group)? {
        Some(group) => std::os::unix::fs::chown(path, None, Some(group.gid.as_raw())),
        None => Err(io::Error::other("there is no such group")),
    }
}

/// Answers on a socket until told to stop; by then every request has ended.
pub async fn serve(agent: &Agent, listener: UnixListener, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    connections.spawn(answer(agent.clone(), stream, stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection is not accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accept).await;
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn answer(agent: Agent, stream: UnixStream, stop: CancellationToken) {
    lines::serve(stream, Channel::new(), Arc::new(agent), stop).await;
}
