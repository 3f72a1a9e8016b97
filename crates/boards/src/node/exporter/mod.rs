//! An exporter's door as not-my-board's agents know it: they come over TCP and name a target of the place with HTTP's
//! `CONNECT`; then bytes pass. Who may come is decided by the address that they come from, and nothing is encrypted.

mod answer;
mod gate;
mod head;
mod listen;
mod tunnel;

pub use self::gate::{Gate, Leaving};
pub use self::listen::{Exporter, ExporterError};
