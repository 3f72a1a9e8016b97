//! The doors from outside: real sockets on the loopback, real TLS clients, short limits.

pub(super) mod bench;
mod http;

use bench::Bench;
