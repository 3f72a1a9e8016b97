//! What Nave's own tests stand on: hubs and nodes in this process, hosts in networks of their own, a machine with
//! systemd or a kernel of its own, a browser, PostgreSQL and mail servers, a tester of APIs, a provider of sign-in, a test fleet, and whether the machine has what
//! they need. Nothing here is part of the product; a test that needs one tool asks [`need()`] for it first.

pub mod browser;
pub mod echo;
pub mod fleet;
pub mod gallery;
pub mod hub;
pub mod need;
pub mod net;
pub mod node;
pub mod not_my_board;
pub mod nspawn;
pub mod oidc;
pub mod person;
pub mod postgres;
pub mod schemathesis;
pub mod smtp;
pub mod visit;
pub mod vm;
pub mod wait;

pub use need::need;
