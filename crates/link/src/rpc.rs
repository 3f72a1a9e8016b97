//! Requests, answers and notices in both directions over one WebSocket, in the shape of JSON-RPC 2.0. What the
//! methods mean is not known here: see `protocol`.

mod message;
mod peer;
#[cfg(test)]
mod tests;

pub use message::{Message, RpcError, code};
pub use peer::{CallError, Handler, Limits, Peer, PeerClosed, WEBSOCKET_LIMITS, websocket_config};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A method: its parameters, its name on the wire and its answer.
pub trait Method: Serialize + DeserializeOwned + Send {
    /// The name on the wire.
    const NAME: &'static str;
    /// What the other side answers; `()` for a notice.
    type Answer: Serialize + DeserializeOwned + Send;
}
