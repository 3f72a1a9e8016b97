//! The node's half: what stands where the boards are, and where they are used.

pub mod agent;
pub mod dialect;
pub mod import;
pub mod lookup;
