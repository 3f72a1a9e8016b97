//! Putting places into the farm, reserving and returning them. Every protocol ends up here, so that all stand in one
//! queue.

use std::sync::Arc;
use std::time::Duration;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::{Granted, Held, LeaseError, Seat, Wanted};
use nave_core::hub::op::Op;
use nave_core::id::LeaseId;
use tokio::time::Instant;

use super::gate::{Exporter, Gate, Unconfirmed};
use super::places::{Description, Place};
use super::{Boards, NAME, READ, REGISTER, RESERVE, uniqueness};

/// Why a place was not reserved.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReserveError {
    /// None of the places asked for is there.
    #[error("None of the candidates exist anymore")]
    NoneExist,
    /// Others have them, and whoever asks does not wait.
    #[error("others have every place that would do")]
    Taken,
    /// While somebody waited, the last of them went away.
    #[error("All candidate places are gone")]
    AllGone,
    /// The place's exporter did not confirm whom it lets in.
    #[error("{place}: {problem}")]
    Unconfirmed {
        /// The place.
        place: String,
        /// What its exporter says, if anything.
        problem: Unconfirmed,
    },
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<LeaseError> for ReserveError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::NoneThere => Self::NoneExist,
            LeaseError::Taken => Self::Taken,
            LeaseError::AllGone => Self::AllGone,
            LeaseError::Failed(error) => Self::Failed(error),
        }
    }
}

/// On what terms somebody wants a place.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The connection that the lease is bound to, if it is to end with one.
    pub(super) seat: Option<Seat>,
    /// What whoever asks will call it; may be empty.
    pub(super) label: String,
    /// For how long at the most.
    pub(super) expires_in: Option<Duration>,
    /// Whether to wait while others have it.
    pub(super) waits: bool,
    /// Until when to wait for that at the most.
    pub(super) until: Option<Instant>,
    /// Whether to go on as soon as the place is made ready, and not only when it is.
    pub(super) goes_on: bool,
}

/// A place that is reserved, and the lease on it, on its way to whoever asked.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) place: Arc<Place>,
    pub(super) granted: Granted,
}

/// Puts a place into the farm. `None` if one of that name is there.
pub(super) fn register(
    op: &Op,
    hub: &Hub,
    boards: &Boards,
    id: u64,
    description: Description,
    exporter: impl Exporter,
) -> Result<Option<Arc<Place>>> {
    access::require(op, REGISTER)?;
    let pool = Boards::pool(hub)?;
    let name = description.name.clone();
    let open = || Gate::open(pool.appear(op, &name), exporter);
    let place = boards.places().add(id, description, open);
    if place.is_some() {
        hub.bus.publish(nave_core::hub::bus::Notice { topic: NAME, key: name });
    }
    Ok(place)
}

/// Takes a place out of the farm: its exporter is gone.
pub(super) fn withdraw(op: &Op, hub: &Hub, boards: &Boards, place: &Place) -> Result<()> {
    access::require(op, REGISTER)?;
    let pool = Boards::pool(hub)?;
    boards.places().remove(place, || pool.vanish(op, &place.name));
    hub.bus.publish(nave_core::hub::bus::Notice { topic: NAME, key: place.name.clone() });
    Ok(())
}

/// Reserves one of several places, waiting for it if others have them. An exporter that does not answer is passed over:
/// it holds up only those who want nothing else.
pub(super) async fn reserve(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    terms: Terms,
    candidates: Vec<Arc<Place>>,
) -> Result<Reserved, ReserveError> {
    access::require(op, RESERVE)?;
    let pool = Boards::pool(hub)?;
    let mut left = candidates;
    if left.is_empty() {
        return Err(ReserveError::NoneExist);
    }
    loop {
        let acceptable = left.iter().map(|place| place.name.clone()).collect();
        let wanted = Wanted {
            acceptable,
            seat: terms.seat,
            label: terms.label.clone(),
            expires_in: terms.expires_in,
            waits: terms.waits,
        };
        let acquired = pool.acquire(op, hub, wanted, |free| choose(hub, boards, &left, free));
        let granted = match terms.until {
            Some(until) => {
                tokio::time::timeout_at(until, acquired).await.unwrap_or(Err(LeaseError::Taken))?
            }
            None => acquired.await?,
        };
        let at = left.iter().position(|place| place.name == granted.lease().resource);
        let place = left.remove(at.ok_or_else(|| Error::internal("a place was given that nobody wants"))?);
        let confirmed = async {
            tokio::select! {
                biased;
                confirmed = place.gate.confirmed(granted.number()) => confirmed,
                () = place.gate.runs(), if terms.goes_on => Ok(()),
            }
        };
        match confirmed.await {
            Ok(()) => return Ok(Reserved { place, granted }),
            Err(problem @ (Unconfirmed::Silent | Unconfirmed::Gone | Unconfirmed::NotReady(_)))
                if !left.is_empty() =>
            {
                tracing::info!(place = place.name, %problem, "a place is passed over");
            }
            Err(Unconfirmed::Gone) => return Err(ReserveError::AllGone),
            Err(problem) => {
                return Err(ReserveError::Unconfirmed { place: place.name.clone(), problem });
            }
        }
    }
}

/// One of the free places: among those whose exporters answer, and do nothing else to them first, one of the most common,
/// by chance.
fn choose(hub: &Hub, boards: &Boards, places: &[Arc<Place>], free: &[&str]) -> usize {
    let known = |name: &str| places.iter().find(|place| place.name == name);
    let answers = |at: &usize| known(free[*at]).is_some_and(|place| !place.gate.is_silent());
    let idle = |at: &usize| known(free[*at]).is_some_and(|place| place.gate.running().is_none());
    let mut eligible: Vec<usize> = (0..free.len()).filter(answers).collect();
    if eligible.iter().any(idle) {
        eligible.retain(idle);
    }
    if eligible.is_empty() {
        eligible = (0..free.len()).collect();
    }
    let values: Vec<f64> =
        eligible.iter().map(|at| known(free[*at]).map_or(0.0, |place| place.uniqueness())).collect();
    let common = uniqueness::most_common(&values, boards.config().uniqueness_tolerance);
    let dice = u64::from_le_bytes(hub.random.bytes());
    let at = usize::try_from(dice % common.len().max(1) as u64).unwrap_or_default();
    common.get(at).map_or(0, |at| eligible[*at])
}

/// Returns a place; done when its exporter lets nobody in any more, or whoever waited has it.
pub(super) async fn give_back(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    place: &str,
    lease: LeaseId,
) -> Result<()> {
    access::require(op, RESERVE)?;
    end(op, hub, boards, place, lease).await
}

/// Ends a reservation, whosever it is: the pool asks whether whoever asks may.
pub(super) async fn end(op: &Op, hub: &Arc<Hub>, boards: &Boards, place: &str, lease: LeaseId) -> Result<()> {
    access::require_somebody(op)?;
    let Some((number, passed_on)) = Boards::pool(hub)?.end(op, hub, lease).await? else { return Ok(()) };
    if !passed_on
        && let Some(place) = boards.places().by_name(place)
        && let Err(problem) = place.gate.confirmed(number).await
    {
        tracing::warn!(place = place.name, %problem, "it is not certain that a place was closed");
    }
    Ok(())
}

/// Who has which place, of those that are there.
pub(super) fn reservations(op: &Op, hub: &Hub, boards: &Boards) -> Result<Vec<(Arc<Place>, Held)>> {
    access::require(op, READ)?;
    let held = Boards::pool(hub)?.held();
    let there =
        held.into_iter().filter_map(|held| Some((boards.places().by_name(&held.lease.resource)?, held)));
    Ok(there.collect())
}
