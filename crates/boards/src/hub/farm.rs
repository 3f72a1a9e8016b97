//! The farm as people and programs look at it: every place with who has it, why it is closed and who waits.

use std::collections::{BTreeMap, HashMap};

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::{Held, Holder, Waiting};
use nave_core::hub::op::Op;
use time::OffsetDateTime;

use super::places::Place;
use super::{Boards, READ, commands};
use crate::api::{FarmPlace, PastReservation, PlaceDetail, Reservation, Waiter};

/// How many past reservations of a place are told.
const PAST: u32 = 100;

/// Every place that is there, or that somebody has; in the order of their names.
pub fn list(op: &Op, hub: &Hub, boards: &Boards) -> Result<Vec<FarmPlace>> {
    access::require(op, READ)?;
    let pool = Boards::pool(hub)?;
    let mut held: HashMap<String, Held> =
        pool.held().into_iter().map(|held| (held.lease.resource.clone(), held)).collect();
    let mut waiting: HashMap<String, usize> = HashMap::new();
    for place in pool.waiting().into_iter().flat_map(|waiting| waiting.acceptable) {
        *waiting.entry(place).or_default() += 1;
    }
    let mut farm: Vec<FarmPlace> = boards
        .places()
        .all()
        .iter()
        .map(|place| {
            let held = held.remove(&place.name);
            let waiting = waiting.get(&place.name).copied().unwrap_or_default();
            describe(op, boards, place, held.as_ref(), waiting)
        })
        .collect();
    farm.extend(held.into_values().map(|held| away(op, boards, &held)));
    farm.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(farm)
}

/// One place, with who had it.
pub async fn show(op: &Op, hub: &Hub, boards: &Boards, name: &str) -> Result<PlaceDetail> {
    access::require(op, READ)?;
    let pool = Boards::pool(hub)?;
    let held = pool.holder_of(name);
    let waiting =
        pool.waiting().iter().filter(|waiting| waiting.acceptable.iter().any(|it| it == name)).count();
    let place = match (boards.places().by_name(name), &held) {
        (Some(place), held) => describe(op, boards, &place, held.as_ref(), waiting),
        (None, Some(held)) => away(op, boards, held),
        (None, None) => return Err(Error::not_found("place", name)),
    };
    let past = pool.past(hub, name, PAST).await?.into_iter().map(|past| PastReservation {
        holder: past.holder,
        since: past.granted_at,
        until: past.ended_at,
        reason: past.reason,
    });
    let commands = commands::of(op, hub, name).await?;
    Ok(PlaceDetail { place, past: past.collect(), commands })
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
    let mut free_at: BTreeMap<String, Option<OffsetDateTime>> =
        pool.held().into_iter().map(|held| (held.lease.resource.clone(), held.lease.expires_at)).collect();
    let waiters = pool.waiting().into_iter().enumerate().map(|(at, waiting)| {
        let expected = take_earliest(&mut free_at, &waiting);
        Waiter {
            position: at + 1,
            mine: waiting.holder.is(&Holder::of(op)),
            holder: waiting.holder.name,
            places: waiting.acceptable,
            since: waiting.since,
            expected,
        }
    });
    Ok(waiters.collect())
}

/// When the first of the wished places is free at the latest; it is taken then for as long as the waiter may have it.
fn take_earliest(
    free_at: &mut BTreeMap<String, Option<OffsetDateTime>>,
    waiting: &Waiting,
) -> Option<OffsetDateTime> {
    let limited = waiting.acceptable.iter().filter_map(|name| Some((name, (*free_at.get(name)?)?)));
    let (name, at) = limited.min_by_key(|(_, at)| *at)?;
    free_at.insert(name.clone(), waiting.expires_in.map(|time| at + time));
    Some(at)
}

fn describe(op: &Op, boards: &Boards, place: &Place, held: Option<&Held>, waiting: usize) -> FarmPlace {
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
        waiting,
        running: place.gate.running(),
        power: place.power.as_ref().map(|power| power.commands.clone()).unwrap_or_default(),
    }
}

/// A place that is away, as far as it is known.
fn away(op: &Op, boards: &Boards, held: &Held) -> FarmPlace {
    let name = held.lease.resource.clone();
    FarmPlace {
        parts: Vec::new(),
        here: false,
        node: None,
        address: None,
        uniqueness: 0.0,
        maintenance: boards.maintenance().of(&name),
        reservation: Some(reservation(op, held)),
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
        until: held.lease.expires_at,
        left_behind: held.is_left_behind(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::datetime;

    use super::*;

    #[test]
    fn each_in_the_queue_is_expected_after_those_before() {
        let at = datetime!(2030-01-01 12:00 UTC);
        let mut free_at = BTreeMap::from([("a".to_owned(), Some(at)), ("b".to_owned(), None)]);
        let mut expect = |places: &[&str]| {
            let waiting = Waiting {
                holder: Holder { kind: "node".to_owned(), id: String::new(), name: String::new() },
                acceptable: places.iter().map(|place| (*place).to_owned()).collect(),
                since: at,
                expires_in: Some(Duration::from_hours(1)),
            };
            take_earliest(&mut free_at, &waiting)
        };
        assert_eq!(expect(&["a", "b"]), Some(at));
        assert_eq!(expect(&["a"]), Some(at + Duration::from_hours(1)));
        assert_eq!(expect(&["b"]), None);
    }
}
