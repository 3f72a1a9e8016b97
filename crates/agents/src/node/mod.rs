//! The node's half: a machine that runs any command-line agent as a child process. No database and no web server.

mod child;
pub mod config;
mod delivery;
mod host;
pub mod keeper;
mod lines;
mod run;
mod spool;

pub use self::host::{Host, HostHappening, HostSetup};
