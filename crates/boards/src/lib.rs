//! The board fleet: hardware that hangs on one machine and is used from another. A place is reserved by one at a time,
//! used and given back.

pub mod api;
#[cfg(feature = "hub")]
pub mod hub;
pub mod link;
#[cfg(feature = "node")]
pub mod node;
#[cfg(any(feature = "hub", feature = "node"))]
mod not_my_board;
