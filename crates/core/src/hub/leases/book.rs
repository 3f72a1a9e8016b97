//! Who has what and who waits for what, in memory: every decision of a pool and nothing else. Deciding takes no time and
//! touches no database; each decision is a [`Step`] that somebody makes durable and then settles here.
//!
//! A resource is free, held, or changing; while it changes nobody else can have it, and whoever asks for it waits. It
//! becomes free only after everyone who waited for it was looked at: so nobody overtakes who is before in the queue and
//! could have taken it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};

use self::bookings::Entry;
use self::queue::{Kept, Moment, Queue, Served};
use super::{Booking, EndReason, Granted, Held, Holder, Lease, LeaseError, ResourceId, Seat, Telling, Told};
use crate::hub::op::Op;
use crate::id::{BookingId, LeaseId};

mod ask;
mod bookings;
mod pick;
mod queue;

pub(super) use self::bookings::{Booked, Moved};
pub(super) use self::queue::{Turn, Waiter};

/// How whoever asked is answered: with a lease for each want.
pub(super) type Answer = oneshot::Sender<Result<Vec<Granted>, LeaseError>>;

/// Somebody who asks.
pub(super) struct Asker {
    pub(super) op: Op,
    pub(super) holder: Holder,
    pub(super) seat: Option<Seat>,
    pub(super) priority: i32,
    /// What the lease for each want will be called.
    pub(super) labels: Vec<String>,
    pub(super) expires_in: Option<Duration>,
    pub(super) waits: bool,
    pub(super) asked_at: OffsetDateTime,
    pub(super) answer: Answer,
}

/// One change of one resource, decided and not yet durable.
pub(super) struct Change {
    pub(super) resource: Arc<str>,
    pub(super) ends: Option<(Held, EndReason)>,
    pub(super) begins: Option<Lease>,
    /// The booking that this lease was until now.
    pub(super) fulfils: Option<BookingId>,
}

impl Change {
    /// None: what stands is looked up.
    pub(super) fn none(resource: &str) -> Self {
        Self { resource: resource.into(), ends: None, begins: None, fulfils: None }
    }
}

/// Changes that become durable together or not at all, and whoever asked for what begins by them.
pub(super) struct Step {
    pub(super) changes: Vec<Change>,
    pub(super) asker: Option<Asker>,
}

/// What came of asking.
pub(super) enum Asked {
    /// Leases are granted once this is durable.
    Step(Box<Step>),
    /// The asker's own: from before it was cut off, or held without a connection so far.
    Again(Box<(Lease, u64, Asker)>),
    /// Others have it.
    Waits(Turn),
    /// Others have them, and the asker does not wait.
    Taken,
    /// None of it is there, or not enough of it.
    NoneThere,
}

/// What came of ending, or of anything else that needs a lease to stand still.
pub(super) enum Taken<T> {
    /// It stands still now.
    Now(T),
    /// It changes at this moment: ask again.
    Busy,
    /// There is no such lease.
    Unknown,
}

/// What the database says of a resource that changed; `seat` is where a new holder is.
pub(super) struct Stands<'a> {
    pub(super) resource: &'a str,
    pub(super) lease: Option<Lease>,
    pub(super) seat: Option<Seat>,
    /// A booking that was to become this lease, and whether it has.
    pub(super) fulfils: Option<(BookingId, bool)>,
}

enum Usage {
    Free,
    Changing(Option<Held>),
    Held(Held),
}

struct Resource {
    id: ResourceId,
    name: Arc<str>,
    here: bool,
    gone_since: OffsetDateTime,
    /// Whether nobody is given it for now.
    closed: bool,
    usage: Usage,
    /// By when they begin; no two overlap.
    bookings: BTreeMap<(OffsetDateTime, BookingId), Entry>,
    told: watch::Sender<Told>,
}

impl Resource {
    fn held(&self) -> Option<&Held> {
        match &self.usage {
            Usage::Held(held) => Some(held),
            _ => None,
        }
    }

    fn is_free(&self) -> bool {
        matches!(self.usage, Usage::Free)
    }

    /// Whether it is given to somebody as soon as it is free.
    fn is_usable(&self) -> bool {
        self.here && !self.closed
    }

    /// Whether it can be given to somebody else than who has booked it.
    fn is_open(&self, now: OffsetDateTime) -> bool {
        self.is_usable() && self.first_booking().is_none_or(|booking| booking.starts_at > now)
    }

    fn tell(&mut self) -> u64 {
        let held = self.held().map(|held| self.seen(held));
        self.told.send_modify(|told| *told = Told { number: told.number + 1, held });
        self.told.borrow().number
    }
}

pub(super) struct Book {
    epoch: i64,
    patience: Duration,
    resources: Slab<Resource>,
    /// How many resources there ever were.
    births: u64,
    numbers: HashMap<Arc<str>, u32>,
    /// Which resource a lease is about.
    leases: HashMap<LeaseId, u32>,
    /// Which resource a booking is about.
    bookings: HashMap<BookingId, u32>,
    /// Resources that nobody is given for now, also those that are not known yet.
    closed: HashSet<String>,
    queue: Queue,
    /// When it was looked for what is due.
    looked_at: OffsetDateTime,
}

impl Book {
    /// A book of leases that outlived the hub: everybody is away.
    pub(super) fn new(
        epoch: i64,
        patience: Duration,
        held: Vec<Lease>,
        booked: Vec<Booking>,
        now: OffsetDateTime,
    ) -> Self {
        let mut book = Self {
            epoch,
            patience,
            resources: Slab::new(),
            births: 0,
            numbers: HashMap::new(),
            leases: HashMap::new(),
            bookings: HashMap::new(),
            closed: HashSet::new(),
            queue: Queue::default(),
            looked_at: now,
        };
        for lease in held {
            let id = book.number(&lease.resource, now);
            book.leases.insert(lease.id, id);
            let resource = book.get_mut(id);
            resource.usage = Usage::Held(Held { lease, seat: None, booked: None, gone_since: now });
            resource.tell();
        }
        for booking in booked {
            book.enter(booking, true, now);
        }
        book
    }

    fn get(&self, id: u32) -> &Resource {
        &self.resources[id as usize]
    }

    fn get_mut(&mut self, id: u32) -> &mut Resource {
        &mut self.resources[id as usize]
    }

    fn find_named(&self, name: &str) -> Option<&Resource> {
        self.numbers.get(name).map(|id| self.get(*id))
    }

    /// The number of a resource, which is known from now on.
    fn number(&mut self, name: &str, now: OffsetDateTime) -> u32 {
        if let Some(id) = self.numbers.get(name) {
            return *id;
        }
        let name: Arc<str> = name.into();
        let entry = self.resources.vacant_entry();
        let at = u32::try_from(entry.key()).expect("nobody has 2^32 resources");
        self.births += 1;
        entry.insert(Resource {
            id: ResourceId { at, birth: self.births },
            name: Arc::clone(&name),
            here: false,
            gone_since: now,
            closed: self.closed.contains(&*name),
            usage: Usage::Free,
            bookings: BTreeMap::new(),
            told: watch::Sender::default(),
        });
        self.numbers.insert(name, at);
        at
    }

    /// Forgets a resource that is away and that nobody has: nobody waits for what is away.
    fn forget_if_gone(&mut self, id: u32) {
        let resource = self.get(id);
        if !resource.here && resource.is_free() && resource.bookings.is_empty() {
            let resource = self.resources.remove(id as usize);
            self.numbers.remove(&resource.name);
        }
    }

    fn moment(&self, now: OffsetDateTime) -> Moment {
        Moment { now, patience: self.patience }
    }

    /// A resource is there; what is told of it from now on.
    pub(super) fn appear(&mut self, name: &str, now: OffsetDateTime) -> (ResourceId, Telling) {
        let id = self.number(name, now);
        let resource = self.get_mut(id);
        resource.here = true;
        (resource.id, resource.told.subscribe())
    }

    /// A resource that is known.
    pub(super) fn id_of(&self, name: &str) -> Option<ResourceId> {
        self.find_named(name).map(|resource| resource.id)
    }

    /// A resource is away. Whoever waits for it waits for the rest; those for whom nothing is left are given back. What
    /// follows for others comes with them.
    pub(super) fn vanish(&mut self, name: &str, now: OffsetDateTime) -> (Vec<Asker>, Vec<Step>) {
        let Some(&id) = self.numbers.get(name) else { return (Vec::new(), Vec::new()) };
        let had_sets = self.queue.has_sets();
        let resource = self.get_mut(id);
        (resource.here, resource.gone_since) = (false, now);
        let resources = &self.resources;
        let failed = self.queue.forget(id, |id| resources[id as usize].here);
        self.forget_if_gone(id);
        let steps = if had_sets { self.advance_all(now) } else { Vec::new() };
        (failed, steps)
    }

    /// Gives resources that nobody has, or one that its holder gives up, for each want one.
    fn begin(
        &mut self,
        ids: &[u32],
        mut ends: Option<(Held, EndReason)>,
        asker: Asker,
        now: OffsetDateTime,
    ) -> Step {
        let begin = |(at, id): (usize, &u32)| {
            let (epoch, resource) = (self.epoch, &mut self.resources[*id as usize]);
            let ends = ends.take_if(|(held, _)| held.lease.resource == *resource.name);
            resource.usage = Usage::Changing(ends.as_ref().map(|(held, _)| held.clone()));
            let lease = Lease {
                id: LeaseId::new(),
                resource: resource.name.to_string(),
                holder: asker.holder.clone(),
                label: asker.labels.get(at).cloned().unwrap_or_default(),
                address: asker.op.source,
                epoch,
                granted_at: now,
                expires_at: asker.expires_in.map(|time| now + time),
                bound: asker.seat.is_some(),
            };
            Change { resource: Arc::clone(&resource.name), ends, begins: Some(lease), fulfils: None }
        };
        let changes = ids.iter().enumerate().map(begin).collect();
        Step { changes, asker: Some(asker) }
    }

    /// What is free and would be given to whoever waits for it first.
    fn openings(&self, now: OffsetDateTime) -> BTreeSet<u32> {
        let open = self.numbers.values().copied().filter(|id| {
            let resource = self.get(*id);
            resource.is_free() && resource.is_open(now)
        });
        open.collect()
    }

    fn serve(&self, open: BTreeSet<u32>, now: OffsetDateTime) -> Served {
        self.queue.serve(open, |id| self.get(id).is_usable(), self.moment(now))
    }

    /// What is free and kept for those who wait for several.
    fn kept(&self, now: OffsetDateTime) -> Kept {
        if self.queue.has_sets() { self.serve(self.openings(now), now).kept } else { Kept::default() }
    }

    /// Takes those out of the queue who can have what they wait for, with what they are given.
    fn next(&mut self, open: BTreeSet<u32>, now: OffsetDateTime) -> Vec<(Asker, Vec<u32>)> {
        let given = self.serve(open, now).given;
        let taken = given.into_iter().filter_map(|(turn, ids)| Some((self.queue.remove(turn)?.asker, ids)));
        taken.collect()
    }

    /// What follows from it that some resources are free. Nobody waits for others that are, unless they are kept.
    fn advance(&mut self, freed: &[u32], now: OffsetDateTime) -> Vec<Step> {
        if self.queue.has_sets() {
            return self.advance_all(now);
        }
        let is_open = |id: &u32| self.resources.get(*id as usize).is_some_and(|it| it.is_open(now));
        let open = freed.iter().copied().filter(is_open).collect();
        self.give(open, now)
    }

    fn advance_all(&mut self, now: OffsetDateTime) -> Vec<Step> {
        self.give(self.openings(now), now)
    }

    fn give(&mut self, open: BTreeSet<u32>, now: OffsetDateTime) -> Vec<Step> {
        let next = self.next(open, now);
        next.into_iter().map(|(asker, ids)| self.begin(&ids, None, asker, now)).collect()
    }

    /// Ends a lease, in favour of whoever waits first. The first of the steps ends it; others may follow from it.
    pub(super) fn end(&mut self, lease: LeaseId, reason: EndReason, now: OffsetDateTime) -> Taken<Vec<Step>> {
        let held = match self.take(lease) {
            Taken::Now(held) => held,
            Taken::Busy => return Taken::Busy,
            Taken::Unknown => return Taken::Unknown,
        };
        let id = self.leases[&lease];
        let mut open = if self.queue.has_sets() { self.openings(now) } else { BTreeSet::new() };
        if self.get(id).is_open(now) {
            open.insert(id);
        }
        let mut ends = Some((held, reason));
        let mut steps = Vec::new();
        for (asker, ids) in self.next(open, now) {
            let ending = ids.contains(&id).then(|| ends.take()).flatten();
            let at = if ending.is_some() { 0 } else { steps.len() };
            steps.insert(at, self.begin(&ids, ending, asker, now));
        }
        if ends.is_some() {
            let change =
                Change { resource: Arc::clone(&self.get(id).name), ends, begins: None, fulfils: None };
            steps.insert(0, Step { changes: vec![change], asker: None });
        }
        Taken::Now(steps)
    }

    /// Makes a lease stand still, to be changed; [`Book::settle`] sets it free.
    pub(super) fn take(&mut self, lease: LeaseId) -> Taken<Held> {
        let Some(&id) = self.leases.get(&lease) else { return Taken::Unknown };
        let resource = self.get_mut(id);
        let Usage::Held(held) = &resource.usage else { return Taken::Busy };
        let held = held.clone();
        resource.usage = Usage::Changing(Some(held.clone()));
        Taken::Now(held)
    }

    /// Resources stand still again, as the database says. A holder that had one before is where it is by now. Returns
    /// the number of what was told of each, and what follows if somebody asked for them meanwhile.
    pub(super) fn settle(&mut self, stand: Vec<Stands<'_>>, now: OffsetDateTime) -> (Vec<u64>, Vec<Step>) {
        let (mut numbers, mut freed, mut retried) = (Vec::new(), Vec::new(), Vec::new());
        for Stands { resource: name, lease, seat, fulfils } in stand {
            let id = self.number(name, now);
            // What could not begin is tried again when it is looked for what is due.
            let waits = fulfils.is_some_and(|(_, done)| !done);
            if let Some((booking, done)) = fulfils {
                self.booking_settled(booking, !done);
            }
            let resource = &mut self.resources[id as usize];
            let before = match std::mem::replace(&mut resource.usage, Usage::Free) {
                Usage::Changing(before) => before,
                Usage::Free | Usage::Held(_) => None,
            };
            if let Some(before) = &before {
                self.leases.remove(&before.lease.id);
            }
            if let Some(lease) = lease {
                let same = before
                    .filter(|before| before.lease.id == lease.id && before.lease.holder.is(&lease.holder));
                let (seat, gone_since) = same.map_or((seat, now), |same| (same.seat, same.gone_since));
                self.leases.insert(lease.id, id);
                resource.usage = Usage::Held(Held { lease, seat, booked: None, gone_since });
            } else {
                freed.push(id);
                retried.extend(waits.then_some(id));
            }
            numbers.push(resource.tell());
            self.forget_if_gone(id);
        }
        let begins = freed.iter().filter(|id| !retried.contains(id));
        let begins: Vec<Step> = begins.filter_map(|id| self.start_booked(*id, now)).collect();
        (numbers, begins.into_iter().chain(self.advance(&freed, now)).collect())
    }

    /// What follows from it that some resources are free: whoever has booked one comes before all who wait.
    fn freed(&mut self, freed: &[u32], now: OffsetDateTime) -> Vec<Step> {
        let mut steps: Vec<Step> = freed.iter().filter_map(|id| self.start_booked(*id, now)).collect();
        steps.extend(self.advance(freed, now));
        steps
    }

    /// A connection ended: what its holder has is left behind. The leases that are.
    pub(super) fn leave(&mut self, seat: Seat, now: OffsetDateTime) -> Vec<LeaseId> {
        let mut left = Vec::new();
        for (_, resource) in &mut self.resources {
            match &mut resource.usage {
                Usage::Held(held) if held.seat == Some(seat) => {
                    (held.seat, held.gone_since) = (None, now);
                    if held.lease.bound {
                        left.push(held.lease.id);
                    }
                    resource.tell();
                }
                Usage::Changing(Some(held)) if held.seat == Some(seat) => {
                    (held.seat, held.gone_since) = (None, now);
                }
                _ => {}
            }
        }
        left
    }

    /// Takes somebody out of the queue; what follows for others, if something was kept.
    pub(super) fn stop_waiting(&mut self, turn: Turn, now: OffsetDateTime) -> Vec<Step> {
        match self.queue.remove(turn) {
            Some(waiter) if waiter.wants.len() > 1 => self.advance_all(now),
            _ => Vec::new(),
        }
    }

    /// Leases whose time is over, with the reason.
    pub(super) fn due(&self, grace: Duration, now: OffsetDateTime) -> Vec<(LeaseId, EndReason)> {
        let over = |resource: &Resource| {
            let held = resource.held()?;
            let booked = resource.first_booking();
            let reason = if held.lease.expires_at.is_some_and(|end| end <= now) {
                EndReason::Expired
            } else if booked.is_some_and(|booking| booking.starts_at <= now) {
                EndReason::Booked
            } else if held.is_left_behind() && held.gone_since + grace <= now {
                EndReason::HolderGone
            } else if !resource.here && resource.gone_since + grace <= now {
                EndReason::ResourceGone
            } else {
                return None;
            };
            Some((held.lease.id, reason))
        };
        self.resources.iter().filter_map(|(_, resource)| over(resource)).collect()
    }

    /// Closes or opens a resource; what follows if somebody waited for it to open, or for what was kept.
    pub(super) fn set_closed(&mut self, name: &str, closed: bool, now: OffsetDateTime) -> Vec<Step> {
        if closed {
            self.closed.insert(name.to_owned());
        } else {
            self.closed.remove(name);
        }
        let Some(&id) = self.numbers.get(name) else { return Vec::new() };
        self.get_mut(id).closed = closed;
        if !closed && self.get(id).is_free() {
            return self.freed(&[id], now);
        }
        if self.queue.has_sets() { self.advance_all(now) } else { Vec::new() }
    }

    /// Who has a resource; while that changes, who had it.
    pub(super) fn of(&self, name: &str) -> Option<Held> {
        let resource = self.find_named(name)?;
        match &resource.usage {
            Usage::Held(held) => Some(resource.seen(held)),
            Usage::Changing(before) => before.as_ref().map(|held| resource.seen(held)),
            Usage::Free => None,
        }
    }

    /// What is held, in the order of the resources' names.
    pub(super) fn held(&self) -> Vec<Held> {
        let held = |resource: &Resource| resource.held().map(|held| resource.seen(held));
        let mut held: Vec<Held> = self.resources.iter().filter_map(|(_, resource)| held(resource)).collect();
        held.sort_by(|a, b| a.lease.resource.cmp(&b.lease.resource));
        held
    }

    /// What one holder has, in no order.
    pub(super) fn held_by(&self, holder: &Holder) -> Vec<Lease> {
        let held = self.resources.iter().filter_map(|(_, resource)| resource.held());
        held.filter(|held| held.lease.holder.is(holder)).map(|held| held.lease.clone()).collect()
    }

    /// One of those that are held.
    pub(super) fn find(&self, lease: LeaseId) -> Option<Held> {
        let resource = self.get(*self.leases.get(&lease)?);
        resource.held().map(|held| resource.seen(held))
    }

    /// Who waits, the first first.
    pub(super) fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        self.queue.iter()
    }

    /// How many wait.
    pub(super) fn queue_length(&self) -> usize {
        self.queue.len()
    }

    /// The resources that nobody is given for now, by their numbers.
    pub(super) fn closed(&self) -> HashSet<u32> {
        self.numbers.values().copied().filter(|id| self.get(*id).closed).collect()
    }

    /// The names of resources, by their numbers.
    pub(super) fn names(&self) -> HashMap<u32, Arc<str>> {
        self.numbers.iter().map(|(name, id)| (*id, Arc::clone(name))).collect()
    }
}

#[cfg(test)]
mod tests;
