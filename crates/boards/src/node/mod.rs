//! The node's half: what stands where the boards are, and where they are used. No database and no web server.

pub mod agent;
pub mod commands;
pub mod dialect;
pub mod export;
pub mod exporter;
pub mod import;
pub mod lookup;
pub mod native;
pub mod usb;
