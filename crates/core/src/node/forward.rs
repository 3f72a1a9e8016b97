//! A TCP port of another node, here: every connection to a local listener becomes a stream of its own.

use std::sync::Arc;
use std::time::Duration;

use nave_link::address::NodeTarget;
use nave_link::key::PublicKey;
use nave_link::pipe::{self, Counts, Pipe as _};
use nave_link::random::Random;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dialer::{Dialer, ForwardError, OpenStream};
use super::folder::NodeFolder;
use super::runtime::Happening;

/// Carries connections to one target on another node.
pub struct Forward {
    dialer: Dialer,
    target: NodeTarget,
    peer_key: Option<PublicKey>,
}

impl Forward {
    /// Asks the hub and the other node whether they allow it. `peer_key` is the key that the other node must have;
    /// without it, the key known from an earlier meeting.
    pub async fn prepare(
        folder: NodeFolder,
        target: NodeTarget,
        peer_key: Option<PublicKey>,
        random: Random,
        happen: impl Fn(Happening) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Result<Self, ForwardError> {
        let dialer = Dialer::new(folder, random, happen, stop)?;
        dialer.check(&target, peer_key).await?;
        Ok(Self { dialer, target, peer_key })
    }

    /// Carries every connection to `listener` until `stop` is cancelled; `failed` hears why one was not carried.
    pub async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        stop: CancellationToken,
        failed: impl Fn(&ForwardError) + Send + Sync + 'static,
    ) {
        let failed = Arc::new(failed);
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let Ok((mut io, _)) = accepted else {
                // Out of descriptors, most likely: let some connections end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (forward, failed, stop) = (Arc::clone(&self), Arc::clone(&failed), stop.clone());
            tasks.spawn(async move {
                let opened = tokio::select! {
                    opened = forward.dialer.open(&forward.target, forward.peer_key) => opened,
                    () = stop.cancelled() => return,
                };
                match opened {
                    Ok(stream) => carry(io, stream, &stop).await,
                    Err(error) => {
                        io.abort();
                        failed(&error);
                    }
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}

async fn carry(io: TcpStream, stream: OpenStream, stop: &CancellationToken) {
    // As in `connect_target`: a socket that cannot be told so still works.
    let _ = io.set_nodelay(true);
    // The stream counts for itself.
    let end = pipe::join(io, stream, Arc::new(Counts::default()), stop).await;
    tracing::debug!(?end, "the stream ended");
}
