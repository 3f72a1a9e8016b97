//! The first words on a control connection, before `rpc` takes over. The hub proves its key first, since what
//! the node shows next may be secret; then the node proves its own (spec: "Joining, and every connection after it").
//!
//! ```text
//! node: hello {versions, node_key}
//! hub:  welcome {version, hub_key, signature}          or refused
//! node: proof {signature, credential, name, report}
//! hub:  pending {message}, later                       or at once
//!       ready {node, hub_keys, heartbeat_ms, lost_after_ms}    or refused
//! ```

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::access_key::AccessKey;
use crate::key::{KeyDigest, PublicKey, SecretKey, Signature};
use crate::proof::{Connection, Exporter, Role};
use crate::protocol::{NodeChanged, NodeReport, VERSIONS};
use crate::token::JoinSecret;

/// How long either side waits for the other's next word.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What a node says during the handshake.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromNode {
    /// First: which versions it speaks and which key is its own.
    Hello {
        /// Protocol versions, the preferred one first.
        versions: Vec<u16>,
        /// The node's key; not yet proved.
        node_key: PublicKey,
    },
    /// Then, once the hub proved itself.
    Proof(Box<Proof>),
}

/// How a node proves itself and describes itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Proof {
    /// Its signature over this connection.
    pub signature: Signature,
    /// What lets it in the first time.
    #[serde(default)]
    pub credential: Option<Credential>,
    /// The name it would like.
    #[serde(default)]
    pub name: Option<String>,
    /// What it offers.
    #[serde(default)]
    pub report: NodeReport,
}

/// What lets a node in the first time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// The secret of a join token.
    Token(JoinSecret),
    /// An access key, as its holder has it.
    AccessKey(AccessKey),
}

/// What a hub says during the handshake.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromHub {
    /// Proves the hub's key.
    Welcome {
        /// The version both speak from now on.
        version: u16,
        /// The hub's key.
        hub_key: PublicKey,
        /// Its signature over this connection.
        signature: Signature,
    },
    /// The node has to wait for an operator; more follows on this connection.
    Pending {
        /// For people.
        message: String,
    },
    /// The node is in.
    Ready(Ready),
    /// The node is not let in.
    Refused(Refused),
}

/// What a node learns when it is let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// What the hub calls it.
    pub node: NodeChanged,
    /// The keys by which the hub may prove itself from now on.
    pub hub_keys: Vec<PublicKey>,
    /// How often the node pings, in milliseconds.
    pub heartbeat_ms: u64,
    /// After how much silence either side takes the other for lost, in milliseconds.
    pub lost_after_ms: u64,
}

/// Why a node is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// For programs.
    pub code: RefusedCode,
    /// For people: what happened, to what, what to do next.
    pub message: String,
}

/// Why a node is not let in, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedCode {
    /// No common protocol version.
    Version,
    /// The hub does not know the key, and no credential came with it.
    Unknown,
    /// The node was revoked.
    Revoked,
    /// The token was used up, has expired or never was.
    Token,
    /// The access key is wrong, or may not be used for this.
    AccessKey,
    /// The name is taken or cannot be one.
    Name,
    /// The key is connected from another machine that is alive.
    InUse,
    /// Too many attempts.
    Throttled,
    /// The connection does not end at the hub, so that nothing can be proved on it.
    Proof,
    /// The hub is stopping or cannot reach its database.
    Unavailable,
    /// A reason that this version does not know.
    #[serde(other)]
    Other,
}

impl RefusedCode {
    /// Whether the same attempt may succeed later without a person doing anything.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::InUse | Self::Throttled | Self::Unavailable)
    }
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The other side said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The hub proved a key that is not the expected one.
    #[error(
        "this is not the hub that was expected.\n  expected: {expected}\n  seen:     {seen}\nEither the address leads to another hub, or the hub's data folder was made anew (then ask for a new invitation), or someone is in between. Nothing was sent to it."
    )]
    WrongHub {
        /// The digest of the expected key or keys.
        expected: String,
        /// The digest of the key that was shown.
        seen: KeyDigest,
    },
    /// The hub's signature does not fit this connection.
    #[error(
        "the hub's key is right, but its signature does not belong to this connection: something between here and the hub ends TLS (a proxy, a CDN, or someone listening). Nodes need a path that ends at the hub itself. Nothing secret was sent."
    )]
    Intercepted,
    /// The connection cannot prove anything.
    #[error(
        "this connection does not speak TLS 1.3, which proving a key needs: something between here and the hub ends TLS"
    )]
    NoExporter,
    /// The other side does not keep to the protocol.
    #[error("the other side does not speak nave's protocol: {0}")]
    Protocol(String),
    /// The other side was silent for too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Timeout,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Connection(Box<tokio_tungstenite::tungstenite::Error>),
}

/// Which hub a node expects.
#[derive(Clone, Debug)]
pub enum ExpectedHub {
    /// The one that a join token names.
    Digest(KeyDigest),
    /// One that it met before, by any of these keys.
    Keys(Vec<PublicKey>),
    /// Whichever answers: the TLS layer already checked it against an access key.
    Verified,
}

impl ExpectedHub {
    /// Checks the hub's key.
    pub fn check(&self, seen: &PublicKey) -> Result<(), HandshakeError> {
        let wrong = |expected: String| Err(HandshakeError::WrongHub { expected, seen: seen.digest() });
        match self {
            Self::Digest(digest) if *digest != seen.digest() => wrong(digest.to_string()),
            Self::Keys(keys) if !keys.contains(seen) => {
                wrong(keys.iter().map(|key| key.digest().to_string()).collect::<Vec<_>>().join(" or "))
            }
            _ => Ok(()),
        }
    }
}

/// Says one thing.
pub async fn say<S, T>(socket: &mut WebSocketStream<S>, word: &T) -> Result<(), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Serialize,
{
    let text = serde_json::to_string(word).map_err(|error| HandshakeError::Protocol(error.to_string()))?;
    let sent = tokio::time::timeout(PATIENCE, socket.send(Frame::text(text))).await;
    sent.map_err(|_| HandshakeError::Timeout)?.map_err(|error| HandshakeError::Connection(Box::new(error)))
}

/// Hears one thing.
pub async fn hear<S, T>(socket: &mut WebSocketStream<S>, patience: Duration) -> Result<T, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: DeserializeOwned,
{
    let wait = async {
        loop {
            match socket.next().await {
                Some(Ok(Frame::Text(text))) => {
                    return serde_json::from_str(&text)
                        .map_err(|error| HandshakeError::Protocol(error.to_string()));
                }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                Some(Ok(Frame::Close(frame))) => {
                    let reason = frame.map_or_else(String::new, |frame| frame.reason.to_string());
                    return Err(HandshakeError::Protocol(format!("it closed the connection {reason}")));
                }
                Some(Ok(_)) => return Err(HandshakeError::Protocol("a frame that is not text".to_owned())),
                Some(Err(error)) => return Err(HandshakeError::Connection(Box::new(error))),
                None => return Err(HandshakeError::Protocol("it closed the connection".to_owned())),
            }
        }
    };
    tokio::time::timeout(patience, wait).await.map_err(|_| HandshakeError::Timeout)?
}

/// What a node brings to the handshake.
pub struct NodeSide<'a> {
    /// Its key.
    pub key: &'a SecretKey,
    /// Which hub it expects.
    pub hub: &'a ExpectedHub,
    /// What lets it in, if it is new.
    pub credential: Option<Credential>,
    /// The name it would like.
    pub name: Option<String>,
    /// What it offers.
    pub report: NodeReport,
}

impl NodeSide<'_> {
    /// Goes through the handshake; `pending` hears when an operator has to approve first. Returns the hub's key.
    pub async fn run<S>(
        self,
        socket: &mut WebSocketStream<S>,
        exporter: Exporter,
        mut pending: impl FnMut(&str) + Send,
    ) -> Result<(PublicKey, Ready), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let node = self.key.public();
        say(socket, &FromNode::Hello { versions: VERSIONS.to_vec(), node_key: node }).await?;
        let hub = match hear(socket, PATIENCE).await? {
            FromHub::Welcome { version, hub_key, signature } => {
                self.hub.check(&hub_key)?;
                let connection = Connection { hub: hub_key, node, exporter };
                if !connection.verify(Role::Hub, &signature) {
                    return Err(HandshakeError::Intercepted);
                }
                if !VERSIONS.contains(&version) {
                    return Err(HandshakeError::Protocol(format!("it chose version {version}")));
                }
                hub_key
            }
            FromHub::Refused(refused) => return Err(refused.into()),
            _ => return Err(HandshakeError::Protocol("it did not begin with a welcome".to_owned())),
        };
        let proof = Proof {
            signature: Connection { hub, node, exporter }.sign(Role::Link, self.key),
            credential: self.credential,
            name: self.name,
            report: self.report,
        };
        say(socket, &FromNode::Proof(Box::new(proof))).await?;
        let mut patience = PATIENCE;
        loop {
            match hear(socket, patience).await? {
                FromHub::Ready(ready) => return Ok((hub, ready)),
                FromHub::Refused(refused) => return Err(refused.into()),
                FromHub::Pending { message } => {
                    pending(&message);
                    // The hub repeats itself well within this time while an operator thinks.
                    patience = PATIENCE * 4;
                }
                FromHub::Welcome { .. } => {
                    return Err(HandshakeError::Protocol("it said welcome twice".to_owned()));
                }
            }
        }
    }
}

/// The hub's part up to the node's proof: greets, and returns the node's proved key with what it said.
pub async fn greet<S>(
    socket: &mut WebSocketStream<S>,
    hub: &SecretKey,
    exporter: Exporter,
) -> Result<(PublicKey, Proof), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let FromNode::Hello { versions, node_key } = hear(socket, PATIENCE).await? else {
        return Err(HandshakeError::Protocol("it did not begin with a hello".to_owned()));
    };
    let Some(version) = VERSIONS.into_iter().find(|version| versions.contains(version)) else {
        let refused = Refused {
            code: RefusedCode::Version,
            message: format!(
                "the node speaks protocol versions {versions:?}, this hub {VERSIONS:?}: upgrade the older of the two"
            ),
        };
        say(socket, &FromHub::Refused(refused.clone())).await?;
        return Err(refused.into());
    };
    let connection = Connection { hub: hub.public(), node: node_key, exporter };
    let signature = connection.sign(Role::Hub, hub);
    say(socket, &FromHub::Welcome { version, hub_key: hub.public(), signature }).await?;
    let FromNode::Proof(proof) = hear(socket, PATIENCE).await? else {
        return Err(HandshakeError::Protocol("it did not prove itself".to_owned()));
    };
    if !connection.verify(Role::Link, &proof.signature) {
        let refused = Refused {
            code: RefusedCode::Proof,
            message: "the node's signature does not belong to this connection: something between it and the hub ends TLS, or it does not hold the key it named".to_owned(),
        };
        say(socket, &FromHub::Refused(refused.clone())).await?;
        return Err(refused.into());
    }
    Ok((node_key, *proof))
}
