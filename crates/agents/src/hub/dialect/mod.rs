//! Foreign protocols, translated into the fleet's words.

pub mod naisys;
