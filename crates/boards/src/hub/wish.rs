//! Reserving for people and programs that come by the API: they name places, or say what a place must have, and hold it
//! without a connection until it is returned or its time is over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::{self, Holder, Lease};
use nave_core::hub::op::Op;
use nave_core::matching;

use super::places::Candidates;
use super::reserve::{self, ReserveError, Terms, Want};
use super::{Boards, RESERVE, bookings, farm};
use crate::api::{
    BookingState, HandOver, Reservation, ReservationChange, ReserveRequest, ReserveSetRequest, WantedPlace,
};

/// The longest that a place is reserved at a time: a year.
pub(super) const LONGEST: u64 = 31_536_000;
/// The longest that somebody waits in one request: a day.
const LONGEST_WAIT: u64 = 86_400;
/// The most places that are reserved at once.
pub const MOST: usize = 32;

/// Reserves one place, waiting for it as long as the request says, and until it is ready.
pub async fn reserve(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    request: ReserveRequest,
) -> Result<Reservation> {
    access::require(op, RESERVE)?;
    take_one(op, hub, boards, request, false).await
}

async fn take_one(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    request: ReserveRequest,
    goes_on: bool,
) -> Result<Reservation> {
    let reserved = take(op, hub, boards, set_of(request), goes_on).await?;
    reserved.into_iter().next().ok_or_else(|| Error::internal("a wish was lost"))
}

/// Reserves several places at once, or none, waiting until all of them are free as long as the request says.
pub async fn reserve_set(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    request: ReserveSetRequest,
) -> Result<Vec<Reservation>> {
    access::require(op, RESERVE)?;
    take(op, hub, boards, request, false).await
}

/// As [`reserve()`], for whoever looks at the place: it may still be made ready then, and is taken away again should that
/// fail.
pub(super) async fn reserve_and_look(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    request: ReserveRequest,
) -> Result<Reservation> {
    access::require(op, RESERVE)?;
    take_one(op, hub, boards, request, true).await
}

/// As [`reserve_set`], for whoever looks at the places.
pub(super) async fn reserve_set_and_look(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    request: ReserveSetRequest,
) -> Result<Vec<Reservation>> {
    access::require(op, RESERVE)?;
    take(op, hub, boards, request, true).await
}

/// A set of one.
fn set_of(request: ReserveRequest) -> ReserveSetRequest {
    let ReserveRequest { places, parts, name, seconds, wait } = request;
    ReserveSetRequest { wants: vec![WantedPlace { places, parts, name }], seconds, wait }
}

async fn take(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    request: ReserveSetRequest,
    goes_on: bool,
) -> Result<Vec<Reservation>> {
    let time = within("seconds", request.seconds, 1, LONGEST)?;
    let wait = within("wait", request.wait, 0, LONGEST_WAIT)?;
    if !(1..=MOST).contains(&request.wants.len()) {
        return Err(Error::invalid("wants", format!("there must be from 1 to {MOST}")));
    }
    let mut wants: Vec<Want> = Vec::new();
    for wanted in &request.wants {
        let want = want(op, hub, boards, wanted)?;
        if !want.label.is_empty() && wants.iter().any(|other| other.label == want.label) {
            let problem = format!("two of them are named {:?}: name each otherwise", want.label);
            return Err(Error::invalid("wants", problem));
        }
        wants.push(want);
    }
    enough(&wants)?;
    let wanted: Vec<Candidates> = wants.iter().map(|want| want.candidates.clone()).collect();
    let waits = !wait.is_zero();
    // Once it has a place, it waits for what is done to that, however long that takes.
    let until = waits.then(|| tokio::time::Instant::now() + wait);
    let terms = Terms { seat: None, expires_in: Some(time), waits, until, goes_on };
    match reserve::reserve(op, hub, boards, terms, wants).await {
        Ok(reserved) => {
            Ok(reserved.into_iter().map(|one| told(op, hub, one.granted.keep())).collect::<Result<_>>()?)
        }
        Err(ReserveError::Failed(error)) => Err(error),
        Err(ReserveError::Taken) => Err(Error::Conflict(taken(op, hub, boards, &wanted))),
        Err(other) => Err(Error::Conflict(other.to_string())),
    }
}

/// What would do for somebody who wants a place.
fn want(op: &Op, hub: &Hub, boards: &Boards, wanted: &WantedPlace) -> Result<Want> {
    let mut candidates = candidates(boards, wanted)?;
    let own: HashSet<String> = own(op, hub)?.into_iter().map(|lease| lease.resource).collect();
    let all = candidates.clone();
    // Nobody waits for oneself.
    candidates.retain(|place| !own.contains(&place.name));
    if candidates.is_empty() {
        let names: Vec<&str> = all.iter().map(|place| &*place.name).collect();
        return Err(Error::Conflict(format!(
            "{} is reserved for you already: to keep it for longer, extend the reservation",
            names.join(", ")
        )));
    }
    Ok(Want { candidates, label: label(op, hub, &wanted.name)? })
}

/// Whether each can have a place of its own, once all are free.
fn enough(wants: &[Want]) -> Result<()> {
    if wants.len() == 1 {
        return Ok(());
    }
    let mut columns: HashMap<&str, usize> = HashMap::new();
    let mut edges: Vec<Vec<usize>> = Vec::new();
    for want in wants {
        let mut of_want = Vec::new();
        for place in want.candidates.iter() {
            let next = columns.len();
            of_want.push(*columns.entry(&place.name).or_insert(next));
        }
        edges.push(of_want);
    }
    let found = matching::maximum(&edges, columns.len()).iter().flatten().count();
    if found == wants.len() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "{} places are wanted at once, and the farm has {found} that would do: take one of the wishes away, or name more places",
        wants.len()
    )))
}

/// Returns a place, or takes it away from whoever has it. Where nothing is reserved that is called so, a booking is
/// cancelled.
pub async fn give_back(op: &Op, hub: &Arc<Hub>, boards: &Boards, id: &str) -> Result<()> {
    access::require_somebody(op)?;
    let lease = match find(op, hub, id) {
        Ok(lease) => lease,
        Err(_) if bookings::find(op, hub, id)?.is_some() => {
            return bookings::cancel(op, hub, id).await.map(drop);
        }
        Err(error) => return Err(error),
    };
    reserve::end(op, hub, boards, &lease.resource, lease.id).await
}

/// Says anew until when a place is reserved.
pub async fn extend(op: &Op, hub: &Arc<Hub>, id: &str, change: ReservationChange) -> Result<Reservation> {
    access::require_somebody(op)?;
    let time = within("seconds", change.seconds, 1, LONGEST)?;
    let lease = find(op, hub, id)?.id;
    let until = op.clock.now() + time;
    let extended = Boards::pool(hub)?.extend(op, hub, lease, Some(until)).await?;
    told(op, hub, extended.ok_or_else(|| Error::not_found("reservation", id))?)
}

/// Hands a reservation over to somebody else, who holds it without a connection then.
pub async fn hand_over(op: &Op, hub: &Arc<Hub>, id: &str, to: HandOver) -> Result<Reservation> {
    access::require_somebody(op)?;
    let lease = find(op, hub, id)?.id;
    let heir = leases::find_heir(op, hub, &to.to).await?;
    let handed = Boards::pool(hub)?.hand_over(op, hub, lease, heir).await?;
    told(op, hub, handed.ok_or_else(|| Error::not_found("reservation", id))?)
}

pub(super) fn within(field: &'static str, seconds: u64, least: u64, most: u64) -> Result<Duration> {
    if (least..=most).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(Error::invalid(field, format!("must be from {least} to {most} seconds")))
}

/// The places that would do.
pub(super) fn candidates(boards: &Boards, request: &WantedPlace) -> Result<Candidates> {
    let candidates = boards.places().wished_for(&request.places, &request.parts);
    if !candidates.is_empty() {
        return Ok(candidates);
    }
    match request.places.as_slice() {
        [one] if boards.places().by_name(one).is_none() => Err(Error::not_found("place", one.clone())),
        [] if request.parts.is_empty() => Err(Error::Conflict(
            "there is no place in the farm: `nave board export` puts one there".to_owned(),
        )),
        [] => Err(Error::Conflict(
            "no place in the farm has these parts: `nave board search` shows what there is".to_owned(),
        )),
        _ => Err(Error::Conflict("none of these places is there and has what is wanted".to_owned())),
    }
}

/// Why nothing was free, for whoever wanted it.
fn taken(op: &Op, hub: &Hub, boards: &Boards, wanted: &[Candidates]) -> String {
    let several = wanted.len() > 1;
    let names: HashSet<&str> =
        wanted.iter().flat_map(Candidates::iter).map(|place| place.name.as_str()).collect();
    let farm = farm::list(op, hub, boards).unwrap_or_default();
    let told = farm.iter().filter(|place| names.contains(place.name.as_str())).take(3).map(|place| {
        match (&place.maintenance, &place.reservation) {
            (Some(closed), _) => format!("{} is out of service ({})", place.name, closed.reason),
            (None, Some(held)) => format!("{} has {}", held.holder, place.name),
            (None, None) if place.booking.as_ref().is_some_and(|it| it.state == BookingState::Waiting) => {
                format!("{} is booked", place.name)
            }
            (None, None) if several => format!("{} is free", place.name),
            (None, None) => format!("{} is being given to somebody", place.name),
        }
    });
    let told: Vec<String> = told.collect();
    let more = names.len().saturating_sub(told.len());
    if several {
        let more = if more == 0 { String::new() } else { format!(", and {more} more would do") };
        return format!(
            "not all of them were free at once, so none is reserved: {}{more}; to wait for all, or for longer, say for how long",
            told.join(", ")
        );
    }
    let more = if more == 0 { String::new() } else { format!(", and {more} more are taken") };
    format!(
        "no place that would do became free: {}{more}; to wait for one, or for longer, say for how long",
        told.join(", ")
    )
}

/// What a reservation is called: whoever asks has no other one of that name.
pub(super) fn label(op: &Op, hub: &Hub, text: &str) -> Result<String> {
    if text.chars().count() > 100 || text.contains(char::is_control) {
        return Err(Error::invalid(
            "name",
            "must be at most 100 characters, none of them a control character",
        ));
    }
    let is_taken = |text: &str| -> Result<bool> {
        let me = Holder::of(op);
        let booked = Boards::pool(hub)?.bookings();
        Ok(own(op, hub)?.iter().any(|lease| lease.label == text)
            || booked.iter().any(|booking| booking.label == text && booking.holder.is(&me)))
    };
    if !text.is_empty() && is_taken(text)? {
        return Err(Error::Conflict(format!(
            "a place named {text:?} is reserved or booked for you already: return it first, or name this one otherwise"
        )));
    }
    Ok(text.to_owned())
}

/// What whoever asks has.
fn own(op: &Op, hub: &Hub) -> Result<Vec<Lease>> {
    Ok(Boards::pool(hub)?.held_by(&Holder::of(op)))
}

/// The reservation that somebody means: their own by its name, else any by its id or by its place, which has one at the
/// most.
fn find(op: &Op, hub: &Hub, text: &str) -> Result<Lease> {
    if let Some(own) = own(op, hub)?.into_iter().find(|lease| lease.label == text) {
        return Ok(own);
    }
    let held = Boards::pool(hub)?.held();
    let held = held.into_iter().find(|held| held.lease.id.to_string() == text || held.lease.resource == text);
    Ok(held.ok_or_else(|| Error::not_found("reservation", text))?.lease)
}

fn told(op: &Op, hub: &Hub, lease: Lease) -> Result<Reservation> {
    // As it stands in the pool, which knows by whom the place is booked.
    let held = Boards::pool(hub)?.holder_of(&lease.resource).filter(|held| held.lease.id == lease.id);
    Ok(farm::reservation(op, &held.unwrap_or_else(|| leases::Held::standing(lease))))
}
