//! Nave's nouns and what is done with them, for both halves: `api` is what hub, node and command line
//! agree on, `hub` is the hub's half (feature `hub`), `node` the node's (feature `node`). Nothing here
//! knows a fleet or the command line.

pub mod api;
pub mod clock;
#[cfg(feature = "hub")]
pub mod hub;
pub mod id;
pub mod machine;
pub mod matching;
#[cfg(feature = "node")]
pub mod node;
