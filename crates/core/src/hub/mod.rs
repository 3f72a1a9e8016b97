//! The hub's half: its doors, its services and its memory.

pub mod edge;
pub mod error;
pub mod op;
pub mod paths;
