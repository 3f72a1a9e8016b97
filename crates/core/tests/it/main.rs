//! The core's integration tests, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that fails has nothing better to do")]

mod backup;
mod bench;
mod seal;
mod store;
