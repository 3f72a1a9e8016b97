//! Nave's own exporter: its places are reached by streams, which only the holder of a lease can open and which end with
//! the lease.

mod doors;
mod export;
mod leases;

pub use self::doors::{Door, Doors};
pub use self::export::{ExportHappening, Exporter};
