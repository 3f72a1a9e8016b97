//! Nave's own exporter, and its hub for agents: places are reached by streams, which only the holder of a lease can open and
//! which end with the lease.

mod api;
mod doors;
mod export;
mod farm;
mod leases;
mod reports;
mod turns;

pub use self::doors::{Door, Doors};
pub use self::export::{ExportHappening, Exporter};
pub use self::farm::NaveFarm;
