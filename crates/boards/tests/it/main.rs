//! The board fleet on a whole hub, on real sockets: not-my-board's recorded conversations, and what nobody recorded.

#![expect(clippy::unwrap_used, reason = "a test that fails has nothing better to do")]

mod agent;
mod auth;
mod client;
mod commands;
mod crowds;
mod door;
mod exporter;
mod exporter_farm;
mod exporter_login;
mod native;
mod pages;
mod pages_bookings;
mod pages_gallery;
mod people;
mod people_steps;
mod probes;
mod python;
mod queue;
mod schemathesis;
mod terminal;
mod transcript;
mod transcript_auth;
mod turns;
