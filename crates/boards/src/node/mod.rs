//! The node's half: what stands where the boards are, and where they are used.

pub mod dialect;
