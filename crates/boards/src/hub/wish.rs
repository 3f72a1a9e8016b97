//! Reserving for people and programs that come by the API: they name places, or say what a place must have, and hold it
//! without a connection until it is returned or its time is over.

use std::sync::Arc;
use std::time::Duration;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::{self, Holder, Lease};
use nave_core::hub::op::Op;

use super::places::Place;
use super::reserve::{self, ReserveError, Terms};
use super::{Boards, RESERVE, farm};
use crate::api::{HandOver, Reservation, ReservationChange, ReserveRequest, assign};

/// The longest that a place is reserved at a time: a year.
const LONGEST: u64 = 31_536_000;
/// The longest that somebody waits in one request: a day.
const LONGEST_WAIT: u64 = 86_400;

/// Reserves one place, waiting for it as long as the request says, and until it is ready.
pub async fn reserve(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    request: ReserveRequest,
) -> Result<Reservation> {
    access::require(op, RESERVE)?;
    take(op, hub, boards, request, false).await
}

/// As [`reserve`], for whoever looks at the place: it may still be made ready then, and is taken away again should that
/// fail.
pub(super) async fn reserve_and_look(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    request: ReserveRequest,
) -> Result<Reservation> {
    access::require(op, RESERVE)?;
    take(op, hub, boards, request, true).await
}

async fn take(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    request: ReserveRequest,
    goes_on: bool,
) -> Result<Reservation> {
    let time = within("seconds", request.seconds, 1, LONGEST)?;
    let wait = within("wait", request.wait, 0, LONGEST_WAIT)?;
    let mut candidates = candidates(boards, &request)?;
    let own: Vec<String> = own(op, hub)?.map(|lease| lease.resource).collect();
    let all: Vec<String> = candidates.iter().map(|place| place.name.clone()).collect();
    // Nobody waits for oneself.
    candidates.retain(|place| !own.contains(&place.name));
    if candidates.is_empty() {
        return Err(Error::Conflict(format!(
            "{} is reserved for you already: to keep it for longer, extend the reservation",
            all.join(", ")
        )));
    }
    let names: Vec<String> = candidates.iter().map(|place| place.name.clone()).collect();
    let label = label(op, hub, &request.name)?;
    let waits = !wait.is_zero();
    // Once it has a place, it waits for what is done to that, however long that takes.
    let until = waits.then(|| tokio::time::Instant::now() + wait);
    let terms = Terms { seat: None, label, expires_in: Some(time), waits, until, goes_on };
    match reserve::reserve(op, hub, boards, terms, candidates).await {
        Ok(reserved) => Ok(told(op, reserved.granted.keep())),
        Err(ReserveError::Failed(error)) => Err(error),
        Err(ReserveError::Taken) => Err(Error::Conflict(taken(op, hub, boards, &names))),
        Err(other) => Err(Error::Conflict(other.to_string())),
    }
}

/// Returns a place, or takes it away from whoever has it.
pub async fn give_back(op: &Op, hub: &Arc<Hub>, boards: &Boards, id: &str) -> Result<()> {
    access::require_somebody(op)?;
    let lease = find(op, hub, id)?;
    reserve::end(op, hub, boards, &lease.resource, lease.id).await
}

/// Says anew until when a place is reserved.
pub async fn extend(op: &Op, hub: &Arc<Hub>, id: &str, change: ReservationChange) -> Result<Reservation> {
    access::require_somebody(op)?;
    let time = within("seconds", change.seconds, 1, LONGEST)?;
    let lease = find(op, hub, id)?.id;
    let until = op.clock.now() + time;
    let extended = Boards::pool(hub)?.extend(op, hub, lease, Some(until)).await?;
    extended.map(|lease| told(op, lease)).ok_or_else(|| Error::not_found("reservation", id))
}

/// Hands a reservation over to somebody else, who holds it without a connection then.
pub async fn hand_over(op: &Op, hub: &Arc<Hub>, id: &str, to: HandOver) -> Result<Reservation> {
    access::require_somebody(op)?;
    let lease = find(op, hub, id)?.id;
    let heir = leases::find_heir(op, hub, &to.to).await?;
    let handed = Boards::pool(hub)?.hand_over(op, hub, lease, heir).await?;
    handed.map(|lease| told(op, lease)).ok_or_else(|| Error::not_found("reservation", id))
}

fn within(field: &'static str, seconds: u64, least: u64, most: u64) -> Result<Duration> {
    if (least..=most).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(Error::invalid(field, format!("must be from {least} to {most} seconds")))
}

/// The places that would do.
fn candidates(boards: &Boards, request: &ReserveRequest) -> Result<Vec<Arc<Place>>> {
    let named = |place: &Place| request.places.is_empty() || request.places.contains(&place.name);
    let fits = |place: &Place| request.parts.is_empty() || assign(&request.parts, &place.parts).is_some();
    let candidates = boards.places().wished_for(|place| named(place) && fits(place));
    if !candidates.is_empty() {
        return Ok(candidates);
    }
    match request.places.as_slice() {
        [one] if boards.places().by_name(one).is_none() => Err(Error::not_found("place", one.clone())),
        [] if request.parts.is_empty() => Err(Error::Conflict(
            "there is no place in the farm: `nave board export` puts one there".to_owned(),
        )),
        [] => Err(Error::Conflict(
            "no place in the farm has these parts: `nave board list` shows what there is".to_owned(),
        )),
        _ => Err(Error::Conflict("none of these places is there and has what is wanted".to_owned())),
    }
}

/// Why nothing was free, for whoever wanted it.
fn taken(op: &Op, hub: &Hub, boards: &Boards, names: &[String]) -> String {
    let farm = farm::list(op, hub, boards).unwrap_or_default();
    let told = farm.iter().filter(|place| names.contains(&place.name)).take(3).map(|place| {
        match (&place.maintenance, &place.reservation) {
            (Some(closed), _) => format!("{} is out of service ({})", place.name, closed.reason),
            (None, Some(held)) => format!("{} has {}", held.holder, place.name),
            (None, None) => format!("{} is being given to somebody", place.name),
        }
    });
    let told: Vec<String> = told.collect();
    let more = names.len().saturating_sub(told.len());
    let more = if more == 0 { String::new() } else { format!(", and {more} more are taken") };
    format!(
        "no place that would do became free: {}{more}; to wait for one, or for longer, say for how long",
        told.join(", ")
    )
}

/// What a reservation is called: whoever asks has no other one of that name.
fn label(op: &Op, hub: &Hub, text: &str) -> Result<String> {
    if text.chars().count() > 100 || text.contains(char::is_control) {
        return Err(Error::invalid(
            "name",
            "must be at most 100 characters, none of them a control character",
        ));
    }
    if !text.is_empty() && own(op, hub)?.any(|lease| lease.label == text) {
        return Err(Error::Conflict(format!(
            "a place named {text:?} is reserved for you already: return it first, or name this one otherwise"
        )));
    }
    Ok(text.to_owned())
}

/// What whoever asks has.
fn own(op: &Op, hub: &Hub) -> Result<impl Iterator<Item = Lease>> {
    let me = Holder::of(op);
    let held = Boards::pool(hub)?.held().into_iter().map(|held| held.lease);
    Ok(held.filter(move |lease| lease.holder.is(&me)))
}

/// The reservation that somebody means: their own by its name, else any by its id or by its place, which has one at the
/// most.
fn find(op: &Op, hub: &Hub, text: &str) -> Result<Lease> {
    if let Some(own) = own(op, hub)?.find(|lease| lease.label == text) {
        return Ok(own);
    }
    let held = Boards::pool(hub)?.held();
    let held = held.into_iter().find(|held| held.lease.id.to_string() == text || held.lease.resource == text);
    Ok(held.ok_or_else(|| Error::not_found("reservation", text))?.lease)
}

fn told(op: &Op, lease: Lease) -> Reservation {
    farm::reservation(op, &leases::Held::standing(lease))
}
