//! The core as a whole: hubs and nodes in one process, on real sockets.

mod authorization;
mod between;
mod identity;
mod nodes;
mod streams;
