//! The doors from outside: real sockets on the loopback, real TLS clients, short limits.

pub(super) mod bench;
mod bind;
mod http;
mod inherited;
mod limits;
mod log;
mod plain;
mod proxy;
mod reload;
mod stop;
mod upgrade;
