//! The farm as people and programs look at it: every place with who has it, why it is closed and who waits.

use std::collections::HashMap;
use std::sync::Arc;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::{self, Held, Holder, Waiters};
use nave_core::hub::op::Op;

use super::outlook::Outlook;
use super::places::Place;
use super::{Boards, READ, bookings, commands};
use crate::api::{FarmPlace, PastReservation, PlaceDetail, QueueTurn, Reservation, Turn, WaitedFor, Waiter};

/// How many past reservations of a place are told.
const PAST: u32 = 100;

/// Every place that is there, or that somebody has or has booked; in the order of their names.
pub fn list(op: &Op, hub: &Hub, boards: &Boards) -> Result<Vec<FarmPlace>> {
    access::require(op, READ)?;
    let pool = Boards::pool(hub)?;
    let mut held: HashMap<String, Held> =
        pool.held().into_iter().map(|held| (held.lease.resource.clone(), held)).collect();
    let waiters = pool.waiting();
    let waiting = waiters.counts();
    let mut booked: HashMap<String, leases::Booking> = HashMap::new();
    for booking in pool.bookings() {
        booked.entry(booking.resource.clone()).or_insert(booking);
    }
    let mut farm: Vec<FarmPlace> = boards
        .places()
        .all()
        .iter()
        .map(|place| {
            let held = held.remove(&place.name);
            let waiting = waiting.get(place.name.as_str()).copied().unwrap_or_default();
            describe(op, boards, place, held.as_ref(), waiting, booked.remove(&place.name).as_ref())
        })
        .collect();
    let away_and_held = held.into_iter().map(|(name, held)| {
        let booking = booked.remove(&name);
        away(op, boards, name, Some(&held), booking.as_ref())
    });
    farm.extend(away_and_held.collect::<Vec<_>>());
    farm.extend(booked.into_iter().map(|(name, booking)| away(op, boards, name, None, Some(&booking))));
    farm.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(farm)
}

/// One place, with who had it.
pub async fn show(op: &Op, hub: &Hub, boards: &Boards, name: &str) -> Result<PlaceDetail> {
    access::require(op, READ)?;
    let pool = Boards::pool(hub)?;
    let held = pool.holder_of(name);
    let waiting = pool.waiting().counts().get(name).copied().unwrap_or_default();
    let bookings: Vec<leases::Booking> =
        pool.bookings().into_iter().filter(|booking| booking.resource == name).collect();
    let place = match boards.places().by_name(name) {
        Some(place) => describe(op, boards, &place, held.as_ref(), waiting, bookings.first()),
        None if held.is_none() && bookings.is_empty() => return Err(Error::not_found("place", name)),
        None => away(op, boards, name.to_owned(), held.as_ref(), bookings.first()),
    };
    let bookings = bookings.iter().map(|booking| bookings::told(op, booking)).collect();
    let past = pool.past(hub, name, PAST).await?.into_iter().map(|past| PastReservation {
        holder: past.holder,
        since: past.granted_at,
        until: past.ended_at,
        reason: past.reason,
    });
    let commands = commands::of(op, hub, name).await?;
    Ok(PlaceDetail { place, past: past.collect(), bookings, commands })
}

/// Who has which place, in the order of the places' names.
pub fn reservations(op: &Op, hub: &Hub) -> Result<Vec<Reservation>> {
    access::require(op, READ)?;
    Ok(Boards::pool(hub)?.held().iter().map(|held| reservation(op, held)).collect())
}

/// Who waits, in the order in which they are served.
pub fn queue(op: &Op, hub: &Hub) -> Result<Vec<Waiter>> {
    access::require(op, READ)?;
    let pool = Boards::pool(hub)?;
    let waiters = pool.waiting();
    let mut outlook = Outlook::new(op.clock.now(), &pool.held(), &pool.bookings(), &waiters);
    let Waiters { waiting, names, .. } = waiters;
    let names_of = |want: &Arc<Vec<u32>>| -> Vec<String> {
        want.iter().filter_map(|id| names.get(id)).map(ToString::to_string).collect()
    };
    let waiters = waiting.into_iter().enumerate().map(|(at, waiting)| {
        let expected = outlook.serve(&waiting);
        let mut together: Vec<Vec<String>> = waiting.wants.iter().map(names_of).collect();
        let mut places = together.concat();
        if together.len() == 1 {
            together.clear();
        } else {
            places.sort_unstable();
            places.dedup();
        }
        Waiter {
            position: at + 1,
            mine: waiting.holder.is(&Holder::of(op)),
            holder: waiting.holder.name,
            priority: waiting.priority,
            places,
            together,
            since: waiting.since,
            expected,
        }
    });
    Ok(waiters.collect())
}

/// How many places are named to whoever waits for one of them.
const NAMED: usize = 5;
/// The most places that are looked at to tell somebody when its turn comes.
const MOST_LOOKED_AT: usize = 100_000;

/// Where in the queue whoever asks is.
pub fn turn(op: &Op, hub: &Hub) -> Result<QueueTurn> {
    access::require(op, READ)?;
    let pool = Boards::pool(hub)?;
    let waiters = pool.waiting();
    let (me, all) = (Holder::of(op), waiters.waiting.as_slice());
    let mine = all.iter().enumerate().filter(|(_, waiting)| waiting.holder.is(&me));
    let Some((at, own)) = mine.max_by_key(|(_, waiting)| waiting.since) else {
        return Ok(QueueTurn { waiting: all.len(), own: None });
    };
    let until_own = &all[..=at];
    let looked_at: usize = until_own.iter().flat_map(|waiting| &waiting.wants).map(|want| want.len()).sum();
    let expected = if looked_at <= MOST_LOOKED_AT {
        let mut outlook = Outlook::new(op.clock.now(), &pool.held(), &pool.bookings(), &waiters);
        until_own.iter().fold(None, |_, waiting| outlook.serve(waiting))
    } else {
        None
    };
    let waited_for = |want: &Arc<Vec<u32>>| WaitedFor {
        places: want
            .iter()
            .take(NAMED)
            .filter_map(|id| waiters.names.get(id))
            .map(ToString::to_string)
            .collect(),
        more: want.len().saturating_sub(NAMED),
    };
    let wants = own.wants.iter().map(waited_for).collect();
    Ok(QueueTurn { waiting: all.len(), own: Some(Turn { position: at + 1, wants, expected }) })
}

fn describe(
    op: &Op,
    boards: &Boards,
    place: &Place,
    held: Option<&Held>,
    waiting: usize,
    booking: Option<&leases::Booking>,
) -> FarmPlace {
    FarmPlace {
        name: place.name.clone(),
        parts: place.parts.clone(),
        here: true,
        node: place.reach.node.as_ref().map(|(_, name)| name.clone()),
        address: place.reach.legacy.map(|(host, port)| match host {
            std::net::IpAddr::V4(host) => format!("{host}:{port}"),
            std::net::IpAddr::V6(host) => format!("[{host}]:{port}"),
        }),
        uniqueness: place.uniqueness(),
        maintenance: boards.maintenance().of(&place.name),
        reservation: held.map(|held| reservation(op, held)),
        booking: booking.map(|booking| bookings::told(op, booking)),
        waiting,
        running: place.gate.running(),
        power: place.power.as_ref().map(|power| power.commands.clone()).unwrap_or_default(),
    }
}

/// A place that is away, as far as it is known.
fn away(
    op: &Op,
    boards: &Boards,
    name: String,
    held: Option<&Held>,
    booking: Option<&leases::Booking>,
) -> FarmPlace {
    FarmPlace {
        parts: Vec::new(),
        here: false,
        node: None,
        address: None,
        uniqueness: 0.0,
        maintenance: boards.maintenance().of(&name),
        reservation: held.map(|held| reservation(op, held)),
        booking: booking.map(|booking| bookings::told(op, booking)),
        waiting: 0,
        running: None,
        power: Vec::new(),
        name,
    }
}

/// A reservation, as whoever asks sees it.
pub(super) fn reservation(op: &Op, held: &Held) -> Reservation {
    Reservation {
        id: held.lease.id.to_string(),
        place: held.lease.resource.clone(),
        name: held.lease.label.clone(),
        holder: held.lease.holder.name.clone(),
        mine: held.lease.holder.is(&Holder::of(op)),
        since: held.lease.granted_at,
        until: held.until(),
        booked_by: held.booked.as_ref().map(|(_, who)| who.clone()),
        left_behind: held.is_left_behind(),
    }
}
