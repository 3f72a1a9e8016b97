//! The store: its contract on both engines, its schema, and what becomes of it when a machine fails.

mod contract;
pub(crate) mod faults;
mod migrations;
mod together;
mod usage;
