//! What hub and node say to each other on a link once both have proved themselves: one enum per direction.
//! Unknown fields are tolerated and unknown methods answered with an error, so that both ends may be upgraded
//! at different times; `tests/frames` keeps recorded messages of every released version readable.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::address::Target;
use crate::key::PublicKey;
use crate::rpc::{Method, RpcError, code};

/// The protocol versions that this program speaks, the preferred one first.
pub const VERSIONS: [u16; 1] = [1];

macro_rules! direction {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $method:literal -> $answer:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {
            $($(#[$variant_doc])* $variant($variant)),*
        }

        impl $name {
            /// Every method of this direction.
            pub const METHODS: &[&str] = &[$($method),*];

            /// Reads a message of this direction.
            pub fn parse(method: &str, params: &RawValue) -> Result<Self, RpcError> {
                match method {
                    $($method => serde_json::from_str(params.get()).map(Self::$variant).map_err(|error| {
                        RpcError::new(code::INVALID_PARAMS, format!(concat!("the parameters of ", $method, " do not fit: {}"), error))
                    }),)*
                    _ => Err(RpcError::unknown_method(method)),
                }
            }
        }

        $(impl Method for $variant {
            const NAME: &'static str = $method;
            type Answer = $answer;
        })*
    };
}

direction! {
    /// What a node says to its hub.
    ToHub {
        /// Asks for a stream to a target on another node.
        StreamOpen => "stream.open" -> StreamOpened,
        /// Asks whether a stream to a target would be allowed, without opening one.
        StreamCheck => "stream.check" -> StreamChecked,
        /// Tells how far a stream that does not pass the hub has come.
        StreamReport => "stream.report" -> (),
        /// Tells what the node offers, whenever that changes.
        NodeReport => "node.report" -> (),
    }
}

direction! {
    /// What a hub says to a node.
    ToNode {
        /// Offers a stream from another node; answered once the target is connected.
        StreamOffer => "stream.offer" -> StreamAccepted,
        /// Asks whether the node's own operator allows a target.
        TargetCheck => "target.check" -> TargetAllowed,
        /// Ends a stream: its right is gone, or an operator cut it.
        StreamCut => "stream.cut" -> (),
        /// Asks whether this connection is alive, before another one with the same key takes its place.
        Alive => "alive" -> (),
        /// Tells the node what the hub now calls it.
        NodeChanged => "node.changed" -> (),
        /// Tells the keys by which the hub may prove itself from now on.
        HubKeys => "hub.keys" -> (),
    }
}

/// Parameters of `stream.open`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamOpen {
    /// The other node's name.
    pub node: String,
    /// The service as that node sees it.
    pub target: Target,
}

/// Answer to `stream.open`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamOpened {
    /// The stream's id, shown in lists and sent first inside the stream.
    pub stream: String,
    /// Admits this node, once, to the stream's connection through the hub.
    pub ticket: String,
    /// The other node's key.
    pub peer_key: PublicKey,
    /// Where the other node can be reached without the hub, if it offers that.
    #[serde(default)]
    pub direct: Vec<SocketAddr>,
}

/// Parameters of `stream.check`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamCheck {
    /// The other node's name.
    pub node: String,
    /// The service as that node sees it.
    pub target: Target,
}

/// Answer to `stream.check`: it would be allowed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamChecked {
    /// The other node's key.
    pub peer_key: PublicKey,
}

/// Parameters of `target.check`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetCheck {
    /// The service in question.
    pub target: Target,
}

/// Answer to `target.check`: it is on the allow list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TargetAllowed {}

/// Parameters of `stream.report`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamReport {
    /// Which stream.
    pub stream: String,
    /// Bytes sent to the other node so far.
    pub sent: u64,
    /// Bytes received from it so far.
    pub received: u64,
    /// Whether it has ended.
    pub ended: bool,
}

/// Parameters of `node.report`; also part of the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The program and its version.
    #[serde(default)]
    pub software: String,
    /// What the node's operator allows others to open.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Where the node offers to be reached directly; empty unless its operator opened a port.
    #[serde(default)]
    pub direct: Vec<SocketAddr>,
    /// The machine's own addresses, for people to recognise it.
    #[serde(default)]
    pub addresses: Vec<std::net::IpAddr>,
    /// Labels that the node's operator gave it.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Parameters of `stream.offer`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamOffer {
    /// The stream's id.
    pub stream: String,
    /// Admits this node, once, to the stream's connection through the hub.
    pub ticket: String,
    /// The name of the node that asks.
    pub peer: String,
    /// Its key.
    pub peer_key: PublicKey,
    /// The service it asks for.
    pub target: Target,
}

/// Answer to `stream.offer`: the target is connected and waits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StreamAccepted {}

/// Parameters of `stream.cut`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamCut {
    /// Which stream.
    pub stream: String,
    /// Why, for people.
    pub reason: String,
}

/// Parameters of `alive`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alive {}

/// Parameters of `node.changed`; also part of the handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChanged {
    /// The node's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
}

/// Parameters of `hub.keys`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HubKeys {
    /// All keys that the hub may use, the present one first.
    pub keys: Vec<PublicKey>,
}
