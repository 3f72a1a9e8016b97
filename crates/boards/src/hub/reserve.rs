//! Putting places into the farm, reserving and returning them. Every protocol ends up here, so that all stand in one
//! queue.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::{self, Granted, Held, LeaseError, Pool, ResourceId, Seat, Wanted};
use nave_core::hub::op::Op;
use nave_core::id::LeaseId;
use tokio::time::Instant;

use super::gate::{Exporter, Gate, Unconfirmed};
use super::places::{Candidates, Description, Place};
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

/// A place that somebody wants.
#[derive(Clone, Debug)]
pub(super) struct Want {
    /// Those that would do.
    pub(super) candidates: Candidates,
    /// What whoever asks will call the lease; may be empty.
    pub(super) label: String,
}

/// On what terms somebody wants places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The connection that the leases are bound to, if they are to end with one.
    pub(super) seat: Option<Seat>,
    /// For how long at the most.
    pub(super) expires_in: Option<Duration>,
    /// Whether to wait while others have them.
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
    let open = || {
        let (resource, telling) = pool.appear(op, &name);
        (resource, Gate::open(telling, exporter))
    };
    let place = boards.places().add(id, description, open);
    if place.is_some() {
        hub.bus.publish(nave_core::hub::bus::Notice { topic: NAME, key: name });
    }
    Ok(place)
}

/// Takes a place out of the farm: its exporter is gone.
pub(super) fn withdraw(op: &Op, hub: &Arc<Hub>, boards: &Boards, place: &Place) -> Result<()> {
    access::require(op, REGISTER)?;
    let pool = Boards::pool(hub)?;
    boards.places().remove(place, || pool.vanish(op, hub, &place.name));
    hub.bus.publish(nave_core::hub::bus::Notice { topic: NAME, key: place.name.clone() });
    Ok(())
}

/// Reserves a place for each want, waiting for them if others have them: all at once, or none. An exporter that does not
/// answer is passed over: it holds up only those who want nothing else.
pub(super) async fn reserve(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    terms: Terms,
    wants: Vec<Want>,
) -> Result<Vec<Reserved>, ReserveError> {
    access::require(op, RESERVE)?;
    let pool = Boards::pool(hub)?;
    let mut left = wants;
    loop {
        if left.iter().any(|want| want.candidates.is_empty()) {
            return Err(ReserveError::NoneExist);
        }
        let wanted = Wanted {
            wants: left.iter().map(Want::named).collect(),
            seat: terms.seat,
            priority: boards.config().priority.of(op),
            expires_in: terms.expires_in,
            waits: terms.waits,
        };
        let known = Candidates::of_all(left.iter().map(|want| &want.candidates));
        let acquired = pool.acquire(op, hub, wanted, |free| choose(hub, boards, &known, free));
        let granted = match terms.until {
            Some(until) => {
                tokio::time::timeout_at(until, acquired).await.unwrap_or(Err(LeaseError::Taken))?
            }
            None => acquired.await?,
        };
        let reserved = granted.into_iter().map(|granted| {
            let place = given(pool, &known, &granted.lease().resource).cloned();
            let place = place.ok_or_else(|| Error::internal("a place was given that nobody wants"))?;
            Ok(Reserved { place, granted })
        });
        let reserved: Vec<Reserved> = reserved.collect::<Result<_>>()?;
        let confirming = reserved.iter().map(|one| one.confirmed(terms.goes_on));
        let mut failed = Vec::new();
        for (one, confirmed) in reserved.iter().zip(join_all(confirming).await) {
            failed.extend(confirmed.err().map(|problem| (Arc::clone(&one.place), problem)));
        }
        if failed.is_empty() {
            return Ok(reserved);
        }
        // None instead of some; and nobody waits for what was theirs a moment ago.
        join_all(reserved.into_iter().map(|one| one.granted.give_up())).await;
        for (place, problem) in failed {
            for want in &mut left {
                want.candidates.retain(|candidate| candidate.name != place.name);
            }
            let is_last = left.iter().any(|want| want.candidates.is_empty());
            match problem {
                Unconfirmed::Silent | Unconfirmed::Gone | Unconfirmed::NotReady(_) if !is_last => {
                    tracing::info!(place = place.name, %problem, "a place is passed over");
                }
                Unconfirmed::Gone => return Err(ReserveError::AllGone),
                problem => return Err(ReserveError::Unconfirmed { place: place.name.clone(), problem }),
            }
        }
    }
}

impl Want {
    fn named(&self) -> leases::Want {
        leases::Want { acceptable: self.candidates.choice().clone(), label: self.label.clone() }
    }
}

/// Which of the places that are wanted was given.
fn given<'a>(pool: &Pool, known: &'a Candidates, name: &str) -> Option<&'a Arc<Place>> {
    let found = pool.id_of(name).and_then(|id| known.find(id));
    // One that went away meanwhile is looked for by its name.
    found.or_else(|| known.iter().find(|place| place.name == name))
}

impl Reserved {
    /// Waits until its holder is let in; where it `goes_on`, until the place is made ready for that.
    async fn confirmed(&self, goes_on: bool) -> Result<(), Unconfirmed> {
        let gate = &self.place.gate;
        tokio::select! {
            biased;
            confirmed = gate.confirmed(self.granted.number()) => confirmed,
            () = gate.runs(), if goes_on => Ok(()),
        }
    }
}

/// One of the free places: among those whose exporters answer, and do nothing else to them first, one of the most common,
/// by chance.
pub(super) fn choose(hub: &Hub, boards: &Boards, known: &Candidates, free: &[ResourceId]) -> usize {
    let free = known.find_all(free);
    let mut eligible: Vec<usize> = (0..free.len()).filter(|at| !free[*at].gate.is_silent()).collect();
    if eligible.iter().any(|at| free[*at].gate.is_idle()) {
        eligible.retain(|at| free[*at].gate.is_idle());
    }
    if eligible.is_empty() {
        eligible = (0..free.len()).collect();
    }
    let values: Vec<f64> = eligible.iter().map(|at| free[*at].uniqueness()).collect();
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
