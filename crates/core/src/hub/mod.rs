//! The hub's half: its doors, its services and its memory.

pub mod bus;
pub mod error;
pub mod event;
pub mod op;
pub mod seal;
pub mod store;
