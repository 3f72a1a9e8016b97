//! Foreign protocols, translated into the fleet's words.

pub mod naisys;
pub mod socket_io;
