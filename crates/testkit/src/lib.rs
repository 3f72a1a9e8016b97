//! What Nave's own tests stand on: hosts in networks of their own, the machine's tools, and whether they
//! are there. Nothing here is part of the product; a test that needs one tool asks [`need()`] for it first.

pub mod need;
pub mod net;
pub mod nspawn;

pub use need::need;
