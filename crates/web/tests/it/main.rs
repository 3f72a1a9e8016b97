//! The console as browsers and people meet it.

mod gallery;
mod journey;
mod plain;
mod provider;
mod real;
