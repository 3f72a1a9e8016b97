//! not-my-board's JSON-RPC, which its programs and its hub speak with each other: messages, requests under way, and the
//! WebSocket that carries them. Which methods there are, each half knows for itself.

pub(crate) mod channel;
#[cfg(feature = "node")]
pub(crate) mod lines;
pub(crate) mod message;
pub(crate) mod python;
pub(crate) mod websocket;
mod work;
