//! The hub's half: its doors, its services and its memory.

pub mod access;
pub mod backup;
pub mod bus;
pub mod config;
pub mod context;
pub mod edge;
pub mod error;
pub mod event;
pub mod fleet;
pub mod grants;
pub mod http;
pub mod identity;
pub mod job;
pub mod mail;
pub mod metrics;
pub mod nodes;
pub mod op;
pub mod paths;
pub mod people;
pub mod running;
pub mod seal;
pub mod source;
pub mod status;
pub mod store;
pub mod streams;
pub mod throttle;
