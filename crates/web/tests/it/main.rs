//! The console as browsers and people meet it.

mod gallery;
mod journey;
mod provider;
mod real;
