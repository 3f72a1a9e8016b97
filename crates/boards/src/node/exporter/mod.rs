//! An exporter's door as not-my-board's agents know it: they come over TCP and name a target of the place with HTTP's
//! `CONNECT`; then bytes pass. Who may come is decided by the address that they come from, and nothing is encrypted.

mod answer;
mod gate;
mod head;
mod listen;
mod tunnel;

pub use self::gate::{Gate, Leaving};
pub use self::listen::{Exporter, ExporterError};

/// Reads the head of a request as a door does: how many bytes it has, or `None` while its end is missing.
///
/// # Errors
///
/// When no such request is taken: the answer that whoever sent it gets.
pub fn read_head(bytes: &[u8], clock: &nave_core::clock::Clock) -> Result<Option<usize>, Vec<u8>> {
    match head::Head::parse(bytes) {
        Ok(head) => Ok(head.map(|head| head.length)),
        Err(refusal) => Err(refusal.bytes(clock)),
    }
}
