//! Who has what and who waits for what, in memory: every decision of a pool and nothing else. Deciding takes no time and
//! touches no database; each decision is a [`Step`] that somebody makes durable and then settles here.
//!
//! A resource is free, held, or changing; while it changes nobody else can have it, and whoever asks for it waits. It
//! becomes free only after everyone who waited for it was looked at: so nobody overtakes who asked earlier and could
//! have taken it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};

use super::{EndReason, Granted, Held, Holder, Lease, LeaseError, Seat, Telling, Told};
use crate::hub::op::Op;
use crate::id::LeaseId;

/// How whoever asked is answered.
pub(super) type Answer = oneshot::Sender<Result<Granted, LeaseError>>;

/// Somebody who asks.
pub(super) struct Asker {
    pub(super) op: Op,
    pub(super) holder: Holder,
    pub(super) seat: Option<Seat>,
    pub(super) label: String,
    pub(super) expires_in: Option<Duration>,
    pub(super) waits: bool,
    pub(super) asked_at: OffsetDateTime,
    pub(super) answer: Answer,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) acceptable: BTreeSet<String>,
    pub(super) asker: Asker,
    pub(super) since: OffsetDateTime,
}

/// One change of one resource, decided and not yet durable.
pub(super) struct Step {
    pub(super) resource: String,
    pub(super) ends: Option<(Held, EndReason)>,
    pub(super) begins: Option<(Lease, Asker)>,
}

/// What came of asking.
pub(super) enum Asked {
    /// A lease is granted once this is durable.
    Step(Box<Step>),
    /// The asker's own: from before it was cut off, or held without a connection so far.
    Again(Box<(Lease, u64, Asker)>),
    /// Others have it.
    Waits(Ticket),
    /// Others have them, and the asker does not wait.
    Taken,
    /// None of it is there.
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

enum Usage {
    Free,
    Changing(Option<Held>),
    Held(Held),
}

struct Resource {
    here: bool,
    gone_since: OffsetDateTime,
    usage: Usage,
    told: watch::Sender<Told>,
}

impl Resource {
    fn held(&self) -> Option<&Held> {
        match &self.usage {
            Usage::Held(held) => Some(held),
            _ => None,
        }
    }

    fn tell(&mut self) -> u64 {
        let held = self.held().cloned();
        self.told.send_modify(|told| *told = Told { number: told.number + 1, held });
        self.told.borrow().number
    }
}

pub(super) struct Book {
    epoch: i64,
    resources: BTreeMap<String, Resource>,
    /// Resources that nobody is given for now.
    closed: BTreeSet<String>,
    queue: VecDeque<Waiter>,
    tickets: u64,
}

impl Book {
    /// A book of leases that outlived the hub: everybody is away.
    pub(super) fn new(epoch: i64, held: Vec<Lease>, now: OffsetDateTime) -> Self {
        let mut book = Self {
            epoch,
            resources: BTreeMap::new(),
            closed: BTreeSet::new(),
            queue: VecDeque::new(),
            tickets: 0,
        };
        for lease in held {
            let name = lease.resource.clone();
            let resource = book.resource(&name, now);
            resource.usage = Usage::Held(Held { lease, seat: None, gone_since: now });
            resource.tell();
        }
        book
    }

    fn resource(&mut self, name: &str, now: OffsetDateTime) -> &mut Resource {
        self.resources.entry(name.to_owned()).or_insert_with(|| Resource {
            here: false,
            gone_since: now,
            usage: Usage::Free,
            told: watch::Sender::default(),
        })
    }

    /// A resource is there; what is told of it from now on.
    pub(super) fn appear(&mut self, name: &str, now: OffsetDateTime) -> Telling {
        let resource = self.resource(name, now);
        resource.here = true;
        resource.told.subscribe()
    }

    /// A resource is away. Whoever waits for it waits for the rest; those for whom nothing is left are given back.
    pub(super) fn vanish(&mut self, name: &str, now: OffsetDateTime) -> Vec<Asker> {
        let Some(resource) = self.resources.get_mut(name) else { return Vec::new() };
        (resource.here, resource.gone_since) = (false, now);
        if matches!(resource.usage, Usage::Free) {
            self.resources.remove(name);
        }
        let (mut left, mut failed) = (VecDeque::new(), Vec::new());
        for mut waiter in self.queue.drain(..) {
            waiter.acceptable.remove(name);
            if waiter.acceptable.is_empty() { failed.push(waiter.asker) } else { left.push_back(waiter) }
        }
        self.queue = left;
        failed
    }

    /// Somebody asks for one of several; `choose` picks one of those that are free, by its index.
    pub(super) fn ask(
        &mut self,
        acceptable: &[String],
        asker: Asker,
        now: OffsetDateTime,
        choose: impl FnOnce(&[&str]) -> usize,
    ) -> Asked {
        let there: BTreeSet<String> = acceptable.iter().filter(|name| self.is_here(name)).cloned().collect();
        if there.is_empty() {
            return Asked::NoneThere;
        }
        // What it holds without a connection, and from where it asks now, is what it means.
        let from = asker.op.source;
        let meant = |held: &Held| held.is_left_behind() || from.is_some() && held.lease.address == from;
        if let Some(seat) = asker.seat
            && let Some(own) = self.without_seat(&there, &asker.holder, meant)
        {
            return self.take_up(&own, seat, asker);
        }
        let free: Vec<&str> = there
            .iter()
            .filter(|name| self.resources.get(*name).is_some_and(|it| matches!(it.usage, Usage::Free)))
            .filter(|name| !self.closed.contains(*name))
            .map(String::as_str)
            .collect();
        if !free.is_empty() {
            let chosen = free[choose(&free).min(free.len() - 1)].to_owned();
            return Asked::Step(Box::new(self.begin(chosen, None, asker, now)));
        }
        // Nobody waits for oneself.
        if let Some(seat) = asker.seat
            && let Some(own) = self.without_seat(&there, &asker.holder, |_| true)
        {
            return self.take_up(&own, seat, asker);
        }
        if !asker.waits {
            return Asked::Taken;
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.queue.push_back(Waiter { ticket, acceptable: there, asker, since: now });
        Asked::Waits(ticket)
    }

    fn is_here(&self, name: &str) -> bool {
        self.resources.get(name).is_some_and(|resource| resource.here)
    }

    /// A resource among these that this holder has, and has no connection for: it was left behind, or is held without
    /// one.
    fn without_seat(
        &self,
        among: &BTreeSet<String>,
        holder: &Holder,
        which: impl Fn(&Held) -> bool,
    ) -> Option<String> {
        let is_its = |name: &&String| {
            let held = self.resources.get(*name).and_then(Resource::held);
            held.is_some_and(|held| held.seat.is_none() && held.lease.holder.is(holder) && which(held))
        };
        among.iter().find(is_its).cloned()
    }

    fn take_up(&mut self, name: &str, seat: Seat, asker: Asker) -> Asked {
        let resource = self.resources.get_mut(name).expect("it was just found");
        let Usage::Held(held) = &mut resource.usage else { unreachable!("it was found held") };
        held.seat = Some(seat);
        held.lease.holder = asker.holder.clone();
        held.lease.address = asker.op.source;
        if held.lease.bound {
            held.lease.label.clone_from(&asker.label);
        }
        let lease = held.lease.clone();
        Asked::Again(Box::new((lease, resource.tell(), asker)))
    }

    /// Gives a resource that nobody has, or that its holder gives up.
    fn begin(
        &mut self,
        name: String,
        ends: Option<(Held, EndReason)>,
        asker: Asker,
        now: OffsetDateTime,
    ) -> Step {
        let resource = self.resources.get_mut(&name).expect("only what is there is given");
        resource.usage = Usage::Changing(ends.as_ref().map(|(held, _)| held.clone()));
        let lease = Lease {
            id: LeaseId::new(),
            resource: name.clone(),
            holder: asker.holder.clone(),
            label: asker.label.clone(),
            address: asker.op.source,
            epoch: self.epoch,
            granted_at: now,
            expires_at: asker.expires_in.map(|time| now + time),
            bound: asker.seat.is_some(),
        };
        Step { resource: name, ends, begins: Some((lease, asker)) }
    }

    /// The first in the queue who takes it; those who stopped waiting are passed over.
    fn next_for(&mut self, name: &str) -> Option<Asker> {
        if !self.is_here(name) || self.closed.contains(name) {
            return None;
        }
        let first = |waiter: &Waiter| waiter.acceptable.contains(name) && !waiter.asker.answer.is_closed();
        let at = self.queue.iter().position(first)?;
        self.queue.remove(at).map(|waiter| waiter.asker)
    }

    /// Ends a lease, in favour of whoever waits first.
    pub(super) fn end(&mut self, id: LeaseId, reason: EndReason, now: OffsetDateTime) -> Taken<Step> {
        match self.take(id) {
            Taken::Now(held) => {
                let name = held.lease.resource.clone();
                Taken::Now(match self.next_for(&name) {
                    Some(asker) => self.begin(name, Some((held, reason)), asker, now),
                    None => Step { resource: name, ends: Some((held, reason)), begins: None },
                })
            }
            Taken::Busy => Taken::Busy,
            Taken::Unknown => Taken::Unknown,
        }
    }

    /// Makes a lease stand still, to be changed; [`Book::settle`] sets it free.
    pub(super) fn take(&mut self, id: LeaseId) -> Taken<Held> {
        for resource in self.resources.values_mut() {
            match &resource.usage {
                Usage::Held(held) if held.lease.id == id => {
                    let held = held.clone();
                    resource.usage = Usage::Changing(Some(held.clone()));
                    return Taken::Now(held);
                }
                Usage::Changing(Some(held)) if held.lease.id == id => return Taken::Busy,
                _ => {}
            }
        }
        Taken::Unknown
    }

    /// What the database says of a resource that changed: it stands still no more. `seat` is where a new holder is; one
    /// that had it before is where it is by now. Returns the number of what was told, and what follows if somebody
    /// asked for it meanwhile.
    pub(super) fn settle(
        &mut self,
        name: &str,
        lease: Option<Lease>,
        seat: Option<Seat>,
        now: OffsetDateTime,
    ) -> (u64, Option<Step>) {
        let resource = self.resource(name, now);
        let before = match &resource.usage {
            Usage::Changing(before) => before.as_ref(),
            Usage::Free | Usage::Held(_) => None,
        };
        let held = lease.map(|lease| {
            let same =
                before.filter(|before| before.lease.id == lease.id && before.lease.holder.is(&lease.holder));
            let (seat, gone_since) = same.map_or((seat, now), |same| (same.seat, same.gone_since));
            Held { lease, seat, gone_since }
        });
        let is_held = held.is_some();
        resource.usage = held.map_or(Usage::Free, Usage::Held);
        let number = resource.tell();
        if is_held {
            return (number, None);
        }
        if !resource.here {
            self.resources.remove(name);
            return (number, None);
        }
        let next = self.next_for(name).map(|asker| self.begin(name.to_owned(), None, asker, now));
        (number, next)
    }

    /// A connection ended: what its holder has is left behind. The leases that are.
    pub(super) fn leave(&mut self, seat: Seat, now: OffsetDateTime) -> Vec<LeaseId> {
        let mut left = Vec::new();
        for resource in self.resources.values_mut() {
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

    /// Takes somebody out of the queue.
    pub(super) fn stop_waiting(&mut self, ticket: Ticket) {
        self.queue.retain(|waiter| waiter.ticket != ticket);
    }

    /// Leases whose time is over, with the reason.
    pub(super) fn due(&self, grace: Duration, now: OffsetDateTime) -> Vec<(LeaseId, EndReason)> {
        let over = |resource: &Resource| {
            let held = resource.held()?;
            let reason = if held.lease.expires_at.is_some_and(|end| end <= now) {
                EndReason::Expired
            } else if held.is_left_behind() && held.gone_since + grace <= now {
                EndReason::HolderGone
            } else if !resource.here && resource.gone_since + grace <= now {
                EndReason::ResourceGone
            } else {
                return None;
            };
            Some((held.lease.id, reason))
        };
        self.resources.values().filter_map(over).collect()
    }

    /// Closes or opens a resource; what follows if somebody waited for it to open.
    pub(super) fn set_closed(&mut self, name: &str, closed: bool, now: OffsetDateTime) -> Option<Step> {
        if closed {
            self.closed.insert(name.to_owned());
            return None;
        }
        self.closed.remove(name);
        let is_free = self.resources.get(name).is_some_and(|it| matches!(it.usage, Usage::Free));
        let next = is_free.then(|| self.next_for(name)).flatten()?;
        Some(self.begin(name.to_owned(), None, next, now))
    }

    /// Who has a resource; while that changes, who had it.
    pub(super) fn of(&self, name: &str) -> Option<&Held> {
        match &self.resources.get(name)?.usage {
            Usage::Held(held) => Some(held),
            Usage::Changing(before) => before.as_ref(),
            Usage::Free => None,
        }
    }

    /// What is held, by resource.
    pub(super) fn held(&self) -> Vec<Held> {
        self.resources.values().filter_map(Resource::held).cloned().collect()
    }

    /// One of those that are held.
    pub(super) fn find(&self, id: LeaseId) -> Option<Held> {
        self.resources.values().filter_map(Resource::held).find(|held| held.lease.id == id).cloned()
    }

    /// Who waits, the first first.
    pub(super) fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        self.queue.iter()
    }
}

#[cfg(test)]
mod tests;
