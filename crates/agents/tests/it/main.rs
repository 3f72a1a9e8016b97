//! The agent fleet from outside: at a running hub, with the programs that people have.

#![expect(clippy::unwrap_used, reason = "a test that fails has nothing better to do")]

mod clients;
mod farm;
mod import;
mod link;
mod naisys;
mod pages;
mod pages_gallery;
mod pages_samples;
mod raw;
mod socket_io;
