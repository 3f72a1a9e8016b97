//! The core as a whole: hubs and nodes in one process, on real sockets; the store on both engines.

#![expect(clippy::unwrap_used, reason = "a test that fails has nothing better to do")]

mod authorization;
mod backup;
mod bench;
mod between;
mod bulk;
mod identity;
mod keyed;
mod leases;
mod mail;
mod nodes;
mod oidc;
mod openapi;
mod operations;
mod people;
mod schemathesis;
mod seal;
mod store;
mod streams;
mod tasks;
