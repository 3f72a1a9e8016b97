//! The reservations that an agent has.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::task::AbortOnDropHandle;

use super::AgentError;
use super::farm::{Place, PlaceId};
use super::plan::Attachment;
use super::tunnel::{Seat, Tunnel};

/// A reservation.
pub(super) struct Reservation {
    pub(super) name: String,
    /// Its import description, as it was given.
    pub(super) toml: String,
    pub(super) seat: Seat,
    /// What is wanted, and what of it is open.
    pub(super) tunnels: Vec<(Attachment, Option<Tunnel>)>,
    pub(super) attached: bool,
    /// Gives it back when its time is over.
    pub(super) auto_return: Option<AbortOnDropHandle<()>>,
}

impl Reservation {
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Attachment> {
        self.tunnels.iter().map(|(attachment, _)| attachment)
    }

    pub(super) fn take_open(&mut self) -> Vec<Tunnel> {
        self.tunnels.iter_mut().filter_map(|(_, tunnel)| tunnel.take()).collect()
    }
}

/// The reservations, the oldest first. Whoever changes one has locked its name.
#[derive(Default)]
pub(super) struct Table(Mutex<Vec<Reservation>>);

impl Table {
    fn all(&self) -> MutexGuard<'_, Vec<Reservation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.all().iter().any(|reservation| reservation.name == name)
    }

    pub(super) fn add(&self, reservation: Reservation) {
        self.all().push(reservation);
    }

    pub(super) fn with<T>(
        &self,
        name: &str,
        act: impl FnOnce(&mut Reservation) -> T,
    ) -> Result<T, AgentError> {
        let mut all = self.all();
        let found = all.iter_mut().find(|reservation| reservation.name == name);
        found.map(act).ok_or_else(|| AgentError::NotReserved(name.to_owned()))
    }

    pub(super) fn map<T>(&self, of_one: impl Fn(&Reservation) -> T) -> Vec<T> {
        self.all().iter().map(of_one).collect()
    }

    pub(super) fn name_of(&self, place: PlaceId) -> Option<String> {
        let all = self.all();
        let found = all.iter().find(|reservation| reservation.seat.place().id == place);
        found.map(|reservation| reservation.name.clone())
    }

    pub(super) fn moved(&self, was: PlaceId, now: Place) {
        if let Some(reservation) = self.all().iter().find(|known| known.seat.place().id == was) {
            tracing::info!(
                reservation.name,
                place = now.name,
                "a reserved place is reached in another way now"
            );
            reservation.seat.move_to(now);
        }
    }

    /// Dropped outside the lock: that ends the reservation's timer, which may be what removes it.
    pub(super) fn remove(&self, name: &str) -> Option<Reservation> {
        let mut all = self.all();
        let at = all.iter().position(|reservation| reservation.name == name)?;
        Some(all.remove(at))
    }

    pub(super) fn take_all(&self) -> Vec<Reservation> {
        std::mem::take(&mut self.all())
    }
}
