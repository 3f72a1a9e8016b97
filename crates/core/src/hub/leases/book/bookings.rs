//! Leases that begin later: which resource is booked from when to when, and what follows for who has it until then.
//!
//! What is booked is kept free from the moment that the booking is decided, also while it is not durable yet. A lease is
//! held until the next booking of its resource at the most: that is not written anywhere, but looked up, so it holds no
//! longer when the booking is cancelled.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::super::booking::exact;
use super::super::{Booking, BookingTimes, Held, Holder, Lease, ResourceId, WantedBooking};
use super::{Book, Change, Resource, Step, Taken, Usage};
use crate::id::{BookingId, LeaseId};

/// Whoever waits now is served or gone after so long: a booking that begins earlier would overtake.
const AHEAD: Duration = Duration::DAY;

/// What came of asking for a booking.
pub(in crate::hub::leases) enum Booked {
    /// This is one once it is durable; [`Book::booking_settled`] says so.
    Now(Box<Booking>),
    /// One of the resources changes at this moment: ask again.
    Busy,
    /// None of it is there, or all of it is closed.
    NoneThere,
    /// Nothing is free for that time; why one of them is not.
    Taken(Obstacle),
}

/// Why a resource cannot be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hub::leases) enum Obstacle {
    /// Somebody has it for too long.
    Held(Box<Held>),
    /// Somebody has booked it.
    Booked(Box<Booking>),
    /// Somebody waits for it, and the booking would overtake.
    Waited(String),
}

impl Obstacle {
    /// In words, for whoever wanted to book it.
    pub(in crate::hub::leases) fn words(&self, noun: &str) -> String {
        match self {
            Self::Held(held) => {
                let Lease { resource, holder, .. } = &held.lease;
                let until =
                    held.until().map_or("without an end".to_owned(), |end| format!("until {}", exact(end)));
                format!("{} has {resource} {until}", holder.name)
            }
            Self::Booked(booking) => format!(
                "{} has booked {} from {} to {}",
                booking.holder.name,
                booking.resource,
                exact(booking.starts_at),
                exact(booking.ends_at)
            ),
            Self::Waited(who) => format!(
                "{who} waits for it, and would be overtaken: a {noun} that somebody waits for can be booked from tomorrow on"
            ),
        }
    }
}

/// A booking that is moved to other times.
pub(in crate::hub::leases) struct Moved {
    pub(in crate::hub::leases) was: Booking,
    pub(in crate::hub::leases) becomes: Booking,
}

/// A booking in the book.
pub(super) struct Entry {
    pub(super) booking: Booking,
    /// Whether it is durable and nothing about it changes at this moment.
    still: bool,
}

impl Resource {
    /// The one that begins next, or has begun and waits for the resource.
    pub(super) fn first_booking(&self) -> Option<&Booking> {
        self.bookings.first_key_value().map(|(_, entry)| &entry.booking)
    }

    /// What is held, with what limits it.
    pub(super) fn seen(&self, held: &Held) -> Held {
        let limits = |booking: &&Booking| held.lease.expires_at.is_none_or(|end| end > booking.starts_at);
        let booked = self.first_booking().filter(limits);
        let booked = booked.map(|booking| (booking.starts_at, booking.holder.name.clone()));
        Held { booked, ..held.clone() }
    }

    /// Why it cannot be had from one time to another; `None` where it can. What is `moved` there is in nobody's way, and
    /// until it begins nobody has the resource for longer.
    fn obstacle(
        &self,
        from: OffsetDateTime,
        until: OffsetDateTime,
        moved: Option<&Booking>,
    ) -> Option<Obstacle> {
        let overlaps = |booking: &&Booking| {
            moved.is_none_or(|moved| moved.id != booking.id)
                && booking.starts_at < until
                && from < booking.ends_at
        };
        if let Some(other) = self.bookings.values().map(|entry| &entry.booking).find(overlaps) {
            return Some(Obstacle::Booked(Box::new(other.clone())));
        }
        if moved.is_some_and(|moved| moved.starts_at <= from) {
            return None;
        }
        let held = self.seen(self.held()?);
        let stays = held.until().is_none_or(|end| end > from);
        stays.then(|| Obstacle::Held(Box::new(held)))
    }
}

impl Book {
    /// Of those that are free, the ones that are so until a time, or else for the longest time.
    pub(super) fn for_longest(&self, free: &[u32], until: Option<OffsetDateTime>) -> Vec<u32> {
        let booked = |id: &u32| self.get(*id).first_booking().map(|booking| booking.starts_at);
        if free.iter().all(|id| booked(id).is_none()) {
            return free.to_vec();
        }
        let end = |id: &u32| match (booked(id), until) {
            (None, until) => until,
            (Some(from), until) => Some(until.map_or(from, |until| from.min(until))),
        };
        let rank = |id: &u32| end(id).map_or((1, None), |end| (0, Some(end)));
        let best = free.iter().map(rank).max();
        free.iter().copied().filter(|id| Some(rank(id)) == best).collect()
    }

    /// Keeps a resource free for somebody from one time to another. `choose` picks one of those that would do.
    pub(in crate::hub::leases) fn book(
        &mut self,
        wanted: &WantedBooking,
        holder: &Holder,
        now: OffsetDateTime,
        mut choose: impl FnMut(&[ResourceId]) -> usize,
    ) -> Booked {
        let mut there = self.there(&wanted.acceptable);
        there.retain(|id| self.get(*id).is_usable());
        let (mut free, mut busy, mut obstacle) = (Vec::new(), false, None);
        for id in there {
            let resource = self.get(id);
            let found = match resource.obstacle(wanted.starts_at, wanted.ends_at, None) {
                None if matches!(resource.usage, Usage::Changing(_)) => {
                    busy = true;
                    continue;
                }
                None => self.overtaken(id, wanted.starts_at, wanted.priority, now),
                some => some,
            };
            match found {
                None => free.push(id),
                Some(found) => obstacle = obstacle.or(Some(found)),
            }
        }
        if free.is_empty() {
            return match obstacle {
                _ if busy => Booked::Busy,
                Some(obstacle) => Booked::Taken(obstacle),
                None => Booked::NoneThere,
            };
        }
        let ids: Vec<ResourceId> = free.iter().map(|id| self.get(*id).id).collect();
        let id = free[choose(&ids).min(free.len() - 1)];
        let booking = Booking {
            id: BookingId::new(),
            resource: self.get(id).name.to_string(),
            holder: holder.clone(),
            label: wanted.label.clone(),
            made_at: now,
            starts_at: wanted.starts_at,
            ends_at: wanted.ends_at,
        };
        self.enter(booking.clone(), false, now);
        Booked::Now(Box::new(booking))
    }

    /// Whoever waits for a resource, with at least as much right to it, is served before it is booked.
    fn overtaken(
        &self,
        id: u32,
        starts_at: OffsetDateTime,
        priority: i32,
        now: OffsetDateTime,
    ) -> Option<Obstacle> {
        if starts_at >= now + AHEAD {
            return None;
        }
        let waits = self.queue.iter().find(|waiter| {
            waiter.asker.priority >= priority
                && waiter.wants.iter().any(|want| want.binary_search(&id).is_ok())
        })?;
        Some(Obstacle::Waited(waits.asker.holder.name.clone()))
    }

    pub(super) fn enter(&mut self, booking: Booking, still: bool, now: OffsetDateTime) {
        let id = self.number(&booking.resource, now);
        self.bookings.insert(booking.id, id);
        let resource = self.get_mut(id);
        resource.bookings.insert((booking.starts_at, booking.id), Entry { booking, still });
    }

    fn entry(&mut self, booking: BookingId) -> Option<&mut Entry> {
        let id = *self.bookings.get(&booking)?;
        self.get_mut(id).bookings.values_mut().find(|entry| entry.booking.id == booking)
    }

    /// What the database says of a booking that changed: whether it stands.
    pub(in crate::hub::leases) fn booking_settled(&mut self, booking: BookingId, stands: bool) {
        if let Some(entry) = self.entry(booking) {
            entry.still = true;
            if stands {
                return;
            }
            let key = (entry.booking.starts_at, booking);
            if let Some(id) = self.bookings.remove(&booking) {
                self.get_mut(id).bookings.remove(&key);
            }
        }
    }

    /// A booking is gone; what follows for those who wait for what it kept.
    pub(in crate::hub::leases) fn booking_gone(
        &mut self,
        booking: &Booking,
        now: OffsetDateTime,
    ) -> Vec<Step> {
        self.booking_settled(booking.id, false);
        let Some(&id) = self.numbers.get(booking.resource.as_str()) else { return Vec::new() };
        self.get_mut(id).tell();
        let is_free = self.get(id).is_free();
        let steps = if is_free { self.freed(&[id], now) } else { Vec::new() };
        self.forget_if_gone(id);
        steps
    }

    /// Makes a booking stand still, to be ended.
    pub(in crate::hub::leases) fn take_booking(&mut self, booking: BookingId) -> Taken<Booking> {
        match self.entry(booking) {
            None => Taken::Unknown,
            Some(Entry { still: false, .. }) => Taken::Busy,
            Some(entry) => {
                entry.still = false;
                Taken::Now(entry.booking.clone())
            }
        }
    }

    /// Makes a booking stand still, to be moved to other times; it keeps both until [`Book::booking_moved`]. What it is and
    /// what it will be, or what stands in the way of that.
    pub(in crate::hub::leases) fn take_times(
        &mut self,
        booking: BookingId,
        times: &BookingTimes,
        now: OffsetDateTime,
    ) -> Taken<Result<Moved, Obstacle>> {
        let Some(&id) = self.bookings.get(&booking) else { return Taken::Unknown };
        let was = match self.entry(booking) {
            None => return Taken::Unknown,
            Some(Entry { still: false, .. }) => return Taken::Busy,
            Some(entry) => entry.booking.clone(),
        };
        let BookingTimes { starts_at, ends_at, priority } = *times;
        let (resource, is_sooner) = (self.get(id), starts_at < was.starts_at);
        let mut obstacle = resource.obstacle(starts_at, ends_at, Some(&was));
        if obstacle.is_none() && is_sooner {
            if matches!(resource.usage, Usage::Changing(_)) {
                return Taken::Busy;
            }
            obstacle = self.overtaken(id, starts_at, priority, now);
        }
        if let Some(obstacle) = obstacle {
            return Taken::Now(Err(obstacle));
        }
        let both = Booking {
            starts_at: starts_at.min(was.starts_at),
            ends_at: ends_at.max(was.ends_at),
            ..was.clone()
        };
        self.booking_settled(booking, false);
        self.enter(both, false, now);
        let becomes = Booking { starts_at, ends_at, ..was.clone() };
        Taken::Now(Ok(Moved { was, becomes }))
    }

    /// A booking was moved, or not; what follows for those who wait for what it kept.
    pub(in crate::hub::leases) fn booking_moved(
        &mut self,
        booking: Booking,
        now: OffsetDateTime,
    ) -> Vec<Step> {
        self.booking_settled(booking.id, false);
        let id = self.number(&booking.resource, now);
        self.enter(booking, true, now);
        self.get_mut(id).tell();
        if self.get(id).is_free() { self.freed(&[id], now) } else { Vec::new() }
    }

    /// Makes a lease stand still, to be held until a time; what stands in the way of that.
    pub(in crate::hub::leases) fn take_until(
        &mut self,
        lease: LeaseId,
        until: Option<OffsetDateTime>,
    ) -> Taken<Result<Held, Box<Booking>>> {
        let Some(id) = self.leases.get(&lease) else { return Taken::Unknown };
        let limits = |booking: &&Booking| until.is_none_or(|until| until > booking.starts_at);
        if let Some(booking) = self.get(*id).first_booking().filter(limits) {
            return Taken::Now(Err(Box::new(booking.clone())));
        }
        match self.take(lease) {
            Taken::Now(held) => Taken::Now(Ok(held)),
            Taken::Busy => Taken::Busy,
            Taken::Unknown => Taken::Unknown,
        }
    }

    /// Gives a resource to whoever has booked it, if it is time and nobody has it.
    pub(super) fn start_booked(&mut self, id: u32, now: OffsetDateTime) -> Option<Step> {
        let epoch = self.epoch;
        let resource = self.resources.get_mut(id as usize)?;
        if !resource.is_free() || !resource.is_usable() {
            return None;
        }
        let mut first = resource.bookings.first_entry()?;
        let Entry { booking, still } = first.get_mut();
        if !*still || booking.starts_at > now || booking.ends_at <= now {
            return None;
        }
        *still = false;
        let lease = Lease {
            id: LeaseId::new(),
            resource: booking.resource.clone(),
            holder: booking.holder.clone(),
            label: booking.label.clone(),
            address: None,
            epoch,
            granted_at: now,
            expires_at: Some(booking.ends_at),
            bound: false,
        };
        let fulfils = Some(booking.id);
        resource.usage = Usage::Changing(None);
        let change =
            Change { resource: Arc::clone(&resource.name), ends: None, begins: Some(lease), fulfils };
        Some(Step { changes: vec![change], asker: None })
    }

    /// What begins now, and those whose time has passed without their resource.
    pub(in crate::hub::leases) fn due_bookings(
        &mut self,
        now: OffsetDateTime,
    ) -> (Vec<Step>, Vec<BookingId>) {
        let ids: Vec<u32> = self.bookings.values().copied().collect();
        let mut begins: Vec<Step> = ids.into_iter().filter_map(|id| self.start_booked(id, now)).collect();
        // Time only takes things away from those who wait, unless the clock was set back.
        if now < self.looked_at {
            begins.extend(self.advance_all(now));
        }
        self.looked_at = now;
        let missed = self.bookings().into_iter().filter(|booking| booking.ends_at <= now);
        (begins, missed.map(|booking| booking.id).collect())
    }

    /// All of them, by when they begin.
    pub(in crate::hub::leases) fn bookings(&self) -> Vec<Booking> {
        let all = self.resources.iter().flat_map(|(_, resource)| resource.bookings.values());
        let mut all: Vec<Booking> = all.map(|entry| entry.booking.clone()).collect();
        all.sort_by(|a, b| (a.starts_at, &a.resource).cmp(&(b.starts_at, &b.resource)));
        all
    }
}
