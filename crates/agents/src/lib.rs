//! The agent fleet: AI agents that run on many machines, write to each other, and stop when their budget is spent.

pub mod api;
#[cfg(feature = "hub")]
pub mod hub;
pub mod link;
#[cfg(feature = "node")]
pub mod node;
