//! Keeps a node's link to its hub: connects, proves itself, answers, and comes back after every loss.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_link::certificate;
use nave_link::dial::{self, DialError, Known};
use nave_link::handshake::{ExpectedHub, HandshakeError, NodeSide, Ready, RefusedCode};
use nave_link::key::PublicKey;
use nave_link::protocol::{HubKeys, NodeChanged, NodeReport, ToNode};
use nave_link::rpc::{Handler, Limits, Peer, RpcError, code};
use rustls::ClientConfig;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::folder::{FolderError, Membership, NodeFolder};
use super::offers::{Asker, Offers};
use super::peers::Peers;
use super::socket::{self, LocalCommands};

/// What happens to a running node, for whoever shows it to a person.
#[derive(Debug, Clone)]
pub enum Happening {
    /// The link stands.
    Connected {
        /// What the hub calls this node.
        name: String,
    },
    /// An operator has to approve first.
    Pending {
        /// The hub's words.
        message: String,
    },
    /// The link is gone, or did not come about; another attempt follows.
    Lost {
        /// Why.
        reason: String,
        /// When the next attempt begins.
        retry_in: Duration,
    },
    /// The hub renamed this node or changed its roles.
    Changed(NodeChanged),
}

/// Why a node stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Another process keeps this node's link.
    #[error("another process runs this node already ({0})")]
    Running(String),
    /// Its commands' socket or direct port cannot be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address or path.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The process that runs the node does not let others open what a command says.
    #[error(
        "the process that runs this node does not take over what this command lets others open: {0}; if it is older than this command, start it anew"
    )]
    Lend(String),
    /// The hub does not want it, or is another one: trying again would not help.
    #[error(transparent)]
    Handshake(HandshakeError),
    /// The way to the hub is wrong in a way that trying again would not help.
    #[error(transparent)]
    Dial(DialError),
}

/// A node that has joined a hub, ready to run.
pub struct NodeRuntime {
    folder: NodeFolder,
    membership: Mutex<Membership>,
    known: Known,
    offers: Arc<Offers>,
    peer: watch::Sender<Option<Peer>>,
    commands: LocalCommands,
    happen: Box<dyn Fn(Happening) + Send + Sync>,
    stop: CancellationToken,
    /// Held as long as this process keeps the node's link.
    _lock: nix::fcntl::Flock<std::fs::File>,
}

impl NodeRuntime {
    /// Prepares to run the node in `folder`; `happen` is told what happens, `stop` ends it.
    pub fn new(
        folder: NodeFolder,
        membership: Membership,
        random: &nave_link::random::Random,
        happen: impl Fn(Happening) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, RunError> {
        let lock = socket::lock(&folder)?;
        let key = folder.key(random)?;
        let hub = membership.hub_keys.first().copied().ok_or_else(|| FolderError::Damaged {
            path: folder.path().join("node.json"),
            problem: "it names no key of the hub".to_owned(),
        })?;
        let known = Known { url: membership.url.clone(), hub, key: Arc::clone(&key), tls: tls() };
        let offers = Offers::new(key, membership.allow.clone(), Peers::open(&folder)?);
        Ok(Arc::new(Self {
            folder,
            membership: Mutex::new(membership),
            known,
            offers,
            peer: watch::Sender::new(None),
            commands: LocalCommands::default(),
            happen: Box::new(happen),
            stop,
            _lock: lock,
        }))
    }

    /// Runs until `stop` is cancelled, or until the hub refuses the node for good.
    pub async fn run(self: &Arc<Self>) -> Result<(), RunError> {
        let children = CancellationToken::new();
        let _stop_children = children.clone().drop_guard();
        let mut direct = None;
        if let Some((listener, address)) = self.listen_directly().await? {
            direct = Some(address);
            tokio::spawn(Arc::clone(&self.offers).listen(listener, children.clone()));
        }
        let local = socket::bind(&self.folder)?;
        tokio::spawn(socket::serve(Arc::clone(self), local, children.clone()));
        let report = self.report(direct);
        let outcome = tokio::select! {
            outcome = self.keep_connected(&report) => outcome,
            () = self.stop.cancelled() => Ok(()),
        };
        let peer = self.peer.send_replace(None);
        if let Some(peer) = peer {
            peer.close("the node was stopped");
            peer.closed().await;
        }
        self.offers.cut_all();
        // Whoever starts next makes it anew; a leftover only costs that one a failed connection.
        let _ = std::fs::remove_file(self.folder.socket());
        outcome
    }

    /// The link, whenever there is one.
    pub fn peer(&self) -> watch::Receiver<Option<Peer>> {
        self.peer.subscribe()
    }

    /// The hub and the key to prove to it.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Streams that end on this node.
    pub(super) fn offers(&self) -> &Arc<Offers> {
        &self.offers
    }

    /// Lets whoever opened streams here know when the hub cuts one.
    pub(super) fn commands(&self) -> &LocalCommands {
        &self.commands
    }

    async fn keep_connected(self: &Arc<Self>, report: &NodeReport) -> Result<(), RunError> {
        let schedule = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(10))
            .with_factor(2.0)
            .with_jitter()
            .without_max_times();
        let mut delays = schedule.build();
        loop {
            let reason = match self.connect(report).await {
                Ok((peer, ready)) => {
                    delays = schedule.build();
                    (self.happen)(Happening::Connected { name: ready.node.name });
                    self.peer.send_replace(Some(peer.clone()));
                    let why = peer.closed().await;
                    self.peer.send_replace(None);
                    why.to_string()
                }
                Err(Failure::Passing(reason)) => reason,
                Err(Failure::Final(error)) => {
                    self.offers.cut_all();
                    return Err(error);
                }
            };
            let retry_in = delays.next().unwrap_or(Duration::from_secs(10));
            (self.happen)(Happening::Lost { reason, retry_in });
            tokio::time::sleep(retry_in).await;
        }
    }

    async fn connect(self: &Arc<Self>, report: &NodeReport) -> Result<(Peer, Ready), Failure> {
        let membership = self.membership();
        let expected = ExpectedHub::Keys(membership.hub_keys.clone());
        let (mut socket, exporter) = dial::link(&self.known.url, Arc::clone(&self.known.tls)).await?;
        let side = NodeSide {
            key: &self.known.key,
            hub: &expected,
            credential: None,
            name: None,
            report: report.clone(),
        };
        let pending = |message: &str| (self.happen)(Happening::Pending { message: message.to_owned() });
        let (_, ready) = side.run(&mut socket, exporter, pending).await?;
        self.learn(&ready.node, &ready.hub_keys);
        let limits = Limits {
            heartbeat: Some(Duration::from_millis(ready.heartbeat_ms)),
            lost_after: Duration::from_millis(ready.lost_after_ms),
        };
        Ok((Peer::start(socket, Arc::new(Answers(Arc::clone(self))), limits), ready))
    }

    /// Remembers what the hub says about this node and about its own keys.
    fn learn(&self, node: &NodeChanged, hub_keys: &[PublicKey]) {
        let mut membership = self.membership.lock().unwrap_or_else(PoisonError::into_inner);
        if membership.name == node.name && (hub_keys.is_empty() || membership.hub_keys == hub_keys) {
            return;
        }
        membership.name.clone_from(&node.name);
        if !hub_keys.is_empty() {
            membership.hub_keys = hub_keys.to_vec();
        }
        if let Err(error) = self.folder.save(&membership) {
            tracing::warn!(%error, "what the hub says about this node cannot be remembered");
        }
    }

    fn membership(&self) -> Membership {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn report(&self, direct: Option<SocketAddr>) -> NodeReport {
        let membership = self.membership();
        let addresses = crate::machine::own_addresses();
        let direct = direct.map_or_else(Vec::new, |listening| {
            if listening.ip().is_unspecified() {
                addresses.iter().map(|ip| SocketAddr::new(*ip, listening.port())).collect()
            } else {
                vec![listening]
            }
        });
        NodeReport {
            software: format!("nave {}", env!("CARGO_PKG_VERSION")),
            allow: membership.allow.iter().map(ToString::to_string).collect(),
            direct,
            addresses,
            labels: membership.labels,
        }
    }

    async fn listen_directly(&self) -> Result<Option<(TcpListener, SocketAddr)>, RunError> {
        let Some(address) = self.membership().direct else { return Ok(None) };
        let listen = |source| RunError::Listen { address: address.to_string(), source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Some((listener, address)))
    }
}

/// How a node speaks TLS with its hub: any certificate will do, since the hub proves its key inside.
pub(super) fn tls() -> Arc<ClientConfig> {
    certificate::by_key()
}

enum Failure {
    Passing(String),
    Final(RunError),
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        if error.is_passing() { Self::Passing(error.to_string()) } else { Self::Final(RunError::Dial(error)) }
    }
}

impl From<HandshakeError> for Failure {
    fn from(error: HandshakeError) -> Self {
        let passing = match &error {
            HandshakeError::Refused(refused) => {
                refused.code.is_passing() || refused.code == RefusedCode::Other
            }
            HandshakeError::WrongHub { .. } | HandshakeError::Intercepted | HandshakeError::NoExporter => {
                false
            }
            HandshakeError::Protocol(_) | HandshakeError::Timeout | HandshakeError::Connection(_) => true,
        };
        if passing { Self::Passing(error.to_string()) } else { Self::Final(RunError::Handshake(error)) }
    }
}

/// Answers what the hub asks.
struct Answers(Arc<NodeRuntime>);

impl Handler for Answers {
    fn call(
        &self,
        method: String,
        params: Box<RawValue>,
    ) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
        let runtime = Arc::clone(&self.0);
        async move {
            match ToNode::parse(&method, &params)? {
                ToNode::Alive(_) => answer(&()),
                ToNode::TargetCheck(check) => answer(&runtime.offers.check(&check.target, Asker::Node)?),
                ToNode::StreamOffer(offer) => {
                    let offers = Arc::clone(&runtime.offers);
                    let hub_keys = runtime.membership().hub_keys;
                    answer(&offers.take(offer, runtime.known.clone(), &hub_keys).await?)
                }
                ToNode::StreamCut(_) | ToNode::NodeChanged(_) | ToNode::HubKeys(_) => {
                    Err(RpcError::new(code::INVALID_REQUEST, format!("{method} is a notice")))
                }
            }
        }
        .boxed()
    }

    fn notice(&self, method: &str, params: &RawValue) {
        match ToNode::parse(method, params) {
            Ok(ToNode::StreamCut(cut)) => {
                self.0.offers.cut(&cut.stream);
                self.0.commands.cut(&cut);
            }
            Ok(ToNode::NodeChanged(node)) => {
                self.0.learn(&node, &[]);
                (self.0.happen)(Happening::Changed(node));
            }
            Ok(ToNode::HubKeys(HubKeys { keys })) => {
                let membership = self.0.membership();
                let node = NodeChanged { id: String::new(), name: membership.name, roles: Vec::new() };
                self.0.learn(&node, &keys);
            }
            Ok(_) => tracing::debug!(method, "the hub sent a request as a notice"),
            Err(error) => tracing::debug!(method, %error, "the hub sent a notice that is not understood"),
        }
    }
}

fn answer<T: serde::Serialize>(value: &T) -> Result<Box<RawValue>, RpcError> {
    serde_json::value::to_raw_value(value).map_err(|error| RpcError::new(code::INTERNAL, error.to_string()))
}
