//! How a command on the node's machine gets hold of the link: through the process that keeps it, or by becoming
//! that process as long as none is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_link::dial::Known;
use nave_link::protocol::{StreamCut, ToNode};
use nave_link::random::Random;
use nave_link::rpc::{Handler, Peer, RpcError};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::folder::{FolderError, NodeFolder};
use super::offers::Lent;
use super::runtime::{Happening, NodeRuntime, RunError, tls};
use super::socket::{self, CutHook, Lend};

/// How long the process that runs the node may take to take over what a command lends.
const LEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to look whether the process that keeps the link has come or gone.
const RETRY: Duration = Duration::from_millis(100);

/// A way to the hub for one command.
pub struct Attached {
    folder: NodeFolder,
    known: Known,
    random: Random,
    stop: CancellationToken,
    on_cut: CutHook,
    happen: Arc<dyn Fn(Happening) + Send + Sync>,
    via: Mutex<Option<Via>>,
}

#[derive(Clone)]
enum Via {
    /// Through the process that runs the node.
    Socket(Peer),
    /// This process runs the node; the token says that it stopped.
    Own(Arc<NodeRuntime>, CancellationToken),
}

/// Attaches to the node in `folder`. `on_cut` hears of streams that the hub cut, `happen` of the link if this process
/// has to keep it itself.
pub fn attach(
    folder: NodeFolder,
    random: Random,
    stop: CancellationToken,
    on_cut: impl Fn(&StreamCut) + Send + Sync + 'static,
    happen: impl Fn(Happening) + Send + Sync + 'static,
) -> Result<Attached, RunError> {
    let membership = folder.membership()?.ok_or_else(|| FolderError::NotJoined(folder.path().to_owned()))?;
    let hub = *membership.hub_keys.first().ok_or_else(|| FolderError::NotJoined(folder.path().to_owned()))?;
    let known = Known { url: membership.url, hub, key: folder.key(&random)?, tls: tls() };
    Ok(Attached {
        folder,
        known,
        random,
        stop,
        on_cut: Arc::new(on_cut),
        happen: Arc::new(happen),
        via: Mutex::new(None),
    })
}

impl Attached {
    /// The hub and the key to prove to it.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The node's folder.
    pub fn folder(&self) -> &NodeFolder {
        &self.folder
    }

    /// Lets others open these targets on this machine for as long as this command runs, and nothing else that it let them
    /// open before. To be said anew when
    /// the link was another meanwhile: another process may run the node.
    ///
    /// # Errors
    ///
    /// When the node cannot be run here, or whoever runs it does not take it.
    pub async fn lend(&self, targets: &[Lent]) -> Result<(), RunError> {
        match self.via().await? {
            Via::Own(runtime, _) => {
                runtime.offers().lend(socket::OWN, targets.to_vec());
                Ok(())
            }
            Via::Socket(peer) => {
                let lent = peer.call(&Lend { targets: targets.to_vec() }, LEND_TIMEOUT).await;
                lent.map_err(|error| RunError::Lend(error.to_string()))
            }
        }
    }

    /// A peer on which requests reach the hub as this node's.
    pub async fn link(&self) -> Result<Peer, RunError> {
        loop {
            match self.via().await? {
                Via::Socket(peer) => return Ok(peer),
                Via::Own(runtime, ended) => {
                    let mut link = runtime.peer();
                    let stands = tokio::select! {
                        stands = link.wait_for(Option::is_some) => stands.ok().and_then(|peer| peer.clone()),
                        () = ended.cancelled() => None,
                    };
                    if let Some(peer) = stands {
                        return Ok(peer);
                    }
                }
            }
        }
    }

    /// The way that is in use, or another one if that ended.
    async fn via(&self) -> Result<Via, RunError> {
        let known = self.via.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(Via::Socket(peer)) if !peer.is_closed() => Ok(Via::Socket(peer)),
            Some(Via::Own(runtime, ended)) if !ended.is_cancelled() => Ok(Via::Own(runtime, ended)),
            _ => {
                let via = self.find_a_way().await?;
                *self.via.lock().unwrap_or_else(PoisonError::into_inner) = Some(via.clone());
                Ok(via)
            }
        }
    }

    async fn find_a_way(&self) -> Result<Via, RunError> {
        loop {
            let handler = Arc::new(Hears { on_cut: Arc::clone(&self.on_cut) });
            if let Some(peer) = socket::connect(&self.folder, handler).await {
                return Ok(Via::Socket(peer));
            }
            match self.run_it_here().await {
                // Somebody holds the lock but does not listen yet, or any more.
                Err(RunError::Running(_)) => tokio::time::sleep(RETRY).await,
                other => return other,
            }
        }
    }

    async fn run_it_here(&self) -> Result<Via, RunError> {
        let membership =
            self.folder.membership()?.ok_or_else(|| FolderError::NotJoined(self.folder.path().to_owned()))?;
        let happen = Arc::clone(&self.happen);
        let runtime = NodeRuntime::new(
            self.folder.clone(),
            membership,
            &self.random,
            move |happening| happen(happening),
            self.stop.clone(),
        )?;
        runtime.commands().hear_all(Arc::clone(&self.on_cut));
        let ended = CancellationToken::new();
        let (failed, failure) = tokio::sync::oneshot::channel();
        let (running, guard) = (Arc::clone(&runtime), ended.clone().drop_guard());
        tokio::spawn(async move {
            let outcome = running.run().await;
            let _ = failed.send(outcome);
            drop(guard);
        });
        let mut link = runtime.peer();
        tokio::select! {
            _ = link.wait_for(Option::is_some) => {}
            outcome = failure => if let Ok(Err(error)) = outcome {
                return Err(error);
            },
        }
        drop(link);
        Ok(Via::Own(runtime, ended))
    }
}

/// Hears what the process that runs the node passes on.
struct Hears {
    on_cut: CutHook,
}

impl Handler for Hears {
    fn call(&self, method: String, _: Box<RawValue>) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
        async move { Err(RpcError::unknown_method(&method)) }.boxed()
    }

    fn notice(&self, method: &str, params: &RawValue) {
        if let Ok(ToNode::StreamCut(cut)) = ToNode::parse(method, params) {
            (self.on_cut)(&cut);
        }
    }
}
