//! The test kit's own tests: what other tests stand on must hold first.

mod net;
mod nspawn;
mod package;
