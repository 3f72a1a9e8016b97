//! A book with everything around it: steps that are settled late, wishes that are taken back, what the database would
//! say; and what must be true at every moment.

use std::collections::BTreeMap;

use super::super::*;
use super::{Answered, Event, NAMES, NOW, PATIENCE, asker, book, stands};
use crate::hub::leases::{BookingTimes, Want, WantedBooking};

/// A wish as it was made: the order in which it is served, and what would do.
#[derive(Clone)]
pub(super) struct Wish {
    pub(super) priority: i32,
    pub(super) number: usize,
    pub(super) wants: Vec<BTreeSet<String>>,
    pub(super) since: OffsetDateTime,
}

impl Wish {
    pub(super) fn is_before(&self, other: &Self) -> bool {
        (-self.priority, self.number) < (-other.priority, other.number)
    }

    pub(super) fn takes(&self, name: &str) -> bool {
        self.wants.iter().any(|want| want.contains(name))
    }

    /// How many of its wants can have one of their own among these, tried out one by one.
    pub(super) fn most(&self, among: &BTreeSet<String>) -> usize {
        fn most(wants: &[BTreeSet<String>], among: &BTreeSet<String>) -> usize {
            let Some((first, rest)) = wants.split_first() else { return 0 };
            let with = first.intersection(among).map(|name| {
                let mut left = among.clone();
                left.remove(name);
                1 + most(rest, &left)
            });
            with.max().unwrap_or_default().max(most(rest, among))
        }
        most(&self.wants, among)
    }

    /// Whether what it needs is kept for it from somebody behind it.
    pub(super) fn keeps_from(&self, other: &Self, now: OffsetDateTime) -> bool {
        self.wants.len() > 1 && (self.priority > other.priority || self.since + PATIENCE <= now)
    }
}

/// What is being written of a booking.
pub(super) enum Pending {
    Begins(Booking),
    Ends(Booking),
    Moves { was: Booking, becomes: Booking },
}

/// A book with what is under way around it, and what the database would say.
pub(super) struct World {
    pub(super) book: Book,
    pub(super) now: OffsetDateTime,
    pub(super) steps: Vec<Step>,
    pub(super) durable: BTreeMap<String, Lease>,
    /// Bookings that the database has.
    pub(super) booked: BTreeMap<BookingId, Booking>,
    /// Bookings that are being made, ended or moved.
    pub(super) changing: Vec<Pending>,
    /// Every wish that was ever made.
    pub(super) made: Vec<Wish>,
    /// Wishes without an answer, by their number, in the order of asking.
    pub(super) wishes: Vec<(usize, Answered)>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            book: book(),
            now: NOW,
            steps: Vec::new(),
            durable: BTreeMap::new(),
            booked: BTreeMap::new(),
            changing: Vec::new(),
            made: Vec::new(),
            wishes: Vec::new(),
        }
    }

    pub(super) fn play(&mut self, event: Event) {
        match event {
            Event::Appear(at) => drop(self.book.appear(NAMES[at], self.now)),
            Event::Vanish(at) => {
                let (failed, steps) = self.book.vanish(NAMES[at], self.now);
                for asker in failed {
                    asker.answer.send(Err(LeaseError::AllGone)).ok();
                }
                self.begin(steps);
            }
            Event::Close(at, closed) => {
                let steps = self.book.set_closed(NAMES[at], closed, self.now);
                self.begin(steps);
            }
            Event::Ask { seat, priority, wants } => self.ask(seat, priority, &wants),
            Event::TakeBack(at) if at < self.wishes.len() => self.take_back(at),
            Event::Settle { step, fails } if step < self.steps.len() => self.settle(step, fails),
            Event::End(at) => {
                if let Some(held) = self.book.held().get(at) {
                    self.end(held.lease.id, EndReason::Returned);
                }
            }
            Event::Leave(seat) => drop(self.book.leave(Seat(seat), self.now)),
            Event::Pass(minutes) => {
                self.now += time::Duration::minutes(minutes);
                self.look();
            }
            Event::Book { acceptable, start, length } => self.book(&acceptable, start, length),
            Event::Booked { at, fails } if at < self.changing.len() => self.settle_booking(at, fails),
            Event::Cancel(at) => {
                if let Some(booking) = self.book.bookings().get(at) {
                    self.end_booking(booking.id);
                }
            }
            Event::Move { at, start, length } => self.move_booking(at, start, length),
            Event::Extend(at, minutes) => {
                if let Some(held) = self.book.held().get(at) {
                    self.extend(held, self.now + time::Duration::minutes(minutes));
                }
            }
            Event::TakeBack(_) | Event::Settle { .. } | Event::Booked { .. } => {}
        }
        self.wishes.retain_mut(|(_, answered)| {
            matches!(answered.try_recv(), Err(oneshot::error::TryRecvError::Empty))
        });
    }

    /// As the hub does every second.
    pub(super) fn look(&mut self) {
        for (lease, reason) in self.book.due(PATIENCE, self.now) {
            self.end(lease, reason);
        }
        let (steps, missed) = self.book.due_bookings(self.now);
        self.begin(steps);
        for booking in missed {
            self.end_booking(booking);
        }
    }

    pub(super) fn book(&mut self, acceptable: &[usize], start: i64, length: i64) {
        let starts_at = self.now + time::Duration::minutes(start);
        let wanted = WantedBooking {
            acceptable: acceptable.iter().filter_map(|at| self.book.id_of(NAMES[*at])).collect(),
            label: "booked".to_owned(),
            priority: 0,
            starts_at,
            ends_at: starts_at + time::Duration::minutes(length),
        };
        let holder = asker(50).0.holder;
        let held = self.book.held();
        if let Booked::Now(booking) = self.book.book(&wanted, &holder, self.now, |_| 0) {
            let on = |held: &&Held| held.lease.resource == booking.resource;
            let stays =
                held.iter().find(on).is_some_and(|held| held.until().is_none_or(|end| end > starts_at));
            assert!(!stays, "somebody has {} for longer", booking.resource);
            let overtaken = self
                .waiting()
                .into_iter()
                .find(|wish| wish.priority >= 0 && wish.takes(&booking.resource) && start < 24 * 60);
            assert!(overtaken.is_none(), "somebody waits for {}", booking.resource);
            self.changing.push(Pending::Begins(*booking));
        }
    }

    pub(super) fn end_booking(&mut self, booking: BookingId) {
        if let Taken::Now(booking) = self.book.take_booking(booking) {
            assert!(self.booked.contains_key(&booking.id), "nothing ends before it stands");
            self.changing.push(Pending::Ends(booking));
        }
    }

    pub(super) fn move_booking(&mut self, at: usize, start: i64, length: i64) {
        let Some(booking) = self.book.bookings().get(at).cloned() else { return };
        let starts_at = self.now + time::Duration::minutes(start);
        let times =
            BookingTimes { starts_at, ends_at: starts_at + time::Duration::minutes(length), priority: 0 };
        if let Taken::Now(Ok(Moved { was, becomes })) = self.book.take_times(booking.id, &times, self.now) {
            assert_eq!(Some(&was), self.booked.get(&booking.id), "nothing is moved before it stands");
            assert_eq!((becomes.starts_at, becomes.ends_at), (times.starts_at, times.ends_at));
            self.changing.push(Pending::Moves { was, becomes });
        }
    }

    pub(super) fn settle_booking(&mut self, at: usize, fails: bool) {
        // One that is being made stands if that was written; one that is being ended, if it was not.
        let (booking, stands) = match self.changing.remove(at) {
            Pending::Begins(booking) => (booking, !fails),
            Pending::Ends(booking) => (booking, fails),
            Pending::Moves { was, becomes } => {
                let stands = if fails { was } else { becomes };
                self.booked.insert(stands.id, stands.clone());
                let steps = self.book.booking_moved(stands, self.now);
                self.begin(steps);
                return;
            }
        };
        if stands {
            self.booked.insert(booking.id, booking.clone());
            self.book.booking_settled(booking.id, true);
        } else {
            self.booked.remove(&booking.id);
            let steps = self.book.booking_gone(&booking, self.now);
            self.begin(steps);
        }
    }

    pub(super) fn extend(&mut self, held: &Held, until: OffsetDateTime) {
        let Taken::Now(taken) = self.book.take_until(held.lease.id, Some(until)) else { return };
        let on = |booking: &&Booking| booking.resource == held.lease.resource && booking.starts_at < until;
        assert_eq!(taken.is_err(), self.book.bookings().iter().any(|booking| on(&booking)));
        let Ok(held) = taken else { return };
        let lease = Lease { expires_at: Some(until), ..held.lease };
        let steps = self.book.settle(stands(&lease, held.seat), self.now).1;
        self.durable.insert(lease.resource.clone(), lease);
        self.begin(steps);
    }

    /// Everything under way comes to its end, and what is due is looked for until nothing is left to do.
    pub(super) fn come_to_rest(&mut self) {
        for _ in 0..10 {
            while !(self.steps.is_empty() && self.changing.is_empty()) {
                if !self.steps.is_empty() {
                    self.settle(0, false);
                }
                if !self.changing.is_empty() {
                    self.settle_booking(0, false);
                }
            }
            self.look();
        }
        for booking in self.booked.values().filter(|booking| booking.starts_at <= self.now) {
            assert!(booking.ends_at > self.now, "a booking outlives its time");
            let name = &booking.resource;
            assert!(!self.durable.contains_key(name), "somebody has {name} though another has booked it");
            assert!(!self.is_usable(name), "{name} is there and whoever has booked it is not given it");
        }
    }

    /// As whoever drops the future does: the answer is not wanted any more, and then the queue is left.
    pub(super) fn take_back(&mut self, at: usize) {
        let (number, answered) = self.wishes.remove(at);
        drop(answered);
        let turn = self.book.queue.turn_of(&number.to_string());
        let steps = turn.map(|turn| self.book.stop_waiting(turn, self.now)).unwrap_or_default();
        self.begin(steps);
    }

    pub(super) fn end(&mut self, lease: LeaseId, reason: EndReason) {
        if let Taken::Now(steps) = self.book.end(lease, reason, self.now) {
            let ends = |change: &Change| change.ends.as_ref().is_some_and(|(held, _)| held.lease.id == lease);
            assert!(steps[0].changes.iter().any(ends), "the first step does not end the lease");
            self.begin(steps);
        }
    }

    /// Free, there and open, as the book has it.
    pub(super) fn free(&self) -> BTreeSet<String> {
        let free = self.book.openings(self.now);
        free.into_iter().map(|id| self.book.get(id).name.to_string()).collect()
    }

    /// The wishes that wait, in the order in which they are served.
    pub(super) fn waiting(&self) -> Vec<Wish> {
        let live = self.book.waiters().filter(|waiter| !waiter.asker.answer.is_closed());
        let mut before: Option<Wish> = None;
        let wish = |waiter: &Waiter| {
            let made = &self.made[waiter.asker.labels[0].parse::<usize>().unwrap()];
            let names =
                |want: &Arc<Vec<u32>>| want.iter().map(|id| self.book.get(*id).name.to_string()).collect();
            let wish = Wish { wants: waiter.wants.iter().map(names).collect(), ..made.clone() };
            assert!(
                before.as_ref().is_none_or(|before| before.is_before(&wish)),
                "the queue is out of order"
            );
            before = Some(wish.clone());
            wish
        };
        live.map(wish).collect()
    }

    /// What follows was given to those who are first.
    pub(super) fn begin(&mut self, steps: Vec<Step>) {
        let from = self.steps.len();
        self.steps.extend(steps);
        self.steps[from..].iter().for_each(|step| self.check_step(step));
    }

    /// Whoever is given something overtakes nobody, and has all that it wants.
    pub(super) fn check_step(&self, step: &Step) {
        for change in &step.changes {
            let Some(lease) = &change.begins else { continue };
            let due = |booking: &&Booking| {
                booking.resource == lease.resource
                    && booking.starts_at <= lease.granted_at
                    && Some(booking.id) != change.fulfils
            };
            assert!(!self.booked.values().any(|booking| due(&booking)), "{} is booked", lease.resource);
            assert_eq!(step.asker.is_none(), change.fulfils.is_some());
        }
        let Some(asker) = &step.asker else { return };
        let wish = &self.made[asker.labels[0].parse::<usize>().unwrap()];
        let given: Vec<&str> = step.changes.iter().map(|change| &*change.resource).collect();
        assert_eq!(given.len(), wish.wants.len(), "all or none");
        for (at, change) in step.changes.iter().enumerate() {
            assert!(wish.wants[at].contains(&*change.resource), "{} was not wanted", change.resource);
            assert!(change.begins.is_some());
            assert!(!given[..at].contains(&&*change.resource), "{} was given twice", change.resource);
        }
        for other in self.waiting().iter().filter(|other| other.is_before(wish)) {
            let overtaken = other.wants.len() == 1 && given.iter().any(|name| other.takes(name));
            assert!(!overtaken, "{given:?} was given to somebody behind one who waits for it");
        }
        // What the first who waits for several needs and could have is kept for it.
        if let Some(first) = self.waiting().iter().find(|other| other.wants.len() > 1)
            && first.is_before(wish)
            && first.keeps_from(wish, self.now)
        {
            let usable: BTreeSet<String> =
                NAMES.map(ToOwned::to_owned).into_iter().filter(|name| self.is_usable(name)).collect();
            // What ends by a step that gives it to nobody is as good as free.
            let changes = self.steps.iter().flat_map(|step| &step.changes);
            let ending =
                changes.filter(|change| change.begins.is_none()).map(|change| change.resource.to_string());
            let mut after: BTreeSet<String> = ending.filter(|name| self.is_usable(name)).collect();
            after.extend(self.free());
            let mut before = after.clone();
            before.extend(given.iter().map(ToString::to_string));
            let kept = first.most(&usable) == first.wants.len();
            let lost = first.most(&after) < first.most(&before);
            assert!(!(kept && lost), "{given:?} was given away though it was kept");
        }
    }

    pub(super) fn is_usable(&self, name: &str) -> bool {
        self.book.find_named(name).is_some_and(Resource::is_usable)
    }

    pub(super) fn ask(&mut self, seat: u64, priority: i32, wants: &[Vec<usize>]) {
        let number = self.made.len();
        let names = |want: &Vec<usize>| want.iter().map(|at| NAMES[*at].to_owned()).collect();
        let wants: Vec<BTreeSet<String>> = wants.iter().map(names).collect();
        self.made.push(Wish { priority, number, wants: wants.clone(), since: self.now });
        let (asker, answered) = asker(seat);
        let expires_in = seat.is_multiple_of(2).then_some(Duration::from_mins(45));
        let labels = vec![number.to_string(); wants.len()];
        let asker = Asker { priority, labels, expires_in, ..asker };
        let label = String::new();
        let wants: Vec<Want> = wants
            .into_iter()
            .map(|want| Want {
                acceptable: want.iter().filter_map(|name| self.book.id_of(name)).collect(),
                label: label.clone(),
            })
            .collect();
        match self.book.ask(&wants, asker, self.now, |_| 0) {
            Asked::Step(step) => {
                self.begin(vec![*step]);
                self.wishes.push((number, answered));
            }
            Asked::Taken => unreachable!("everybody here waits"),
            Asked::Waits(_) => self.wishes.push((number, answered)),
            Asked::Again(..) | Asked::NoneThere => {}
        }
    }

    pub(super) fn settle(&mut self, at: usize, fails: bool) {
        let Step { changes, asker } = self.steps.remove(at);
        let seat = asker.as_ref().and_then(|asker| asker.seat);
        let gone = asker.as_ref().is_some_and(|asker| asker.answer.is_closed());
        if !fails {
            for change in &changes {
                if let Some((held, _)) = &change.ends {
                    let was = self.durable.remove(&*change.resource);
                    assert_eq!(was.map(|lease| lease.id), Some(held.lease.id), "another's lease was ended");
                }
                if let Some(booking) = change.fulfils {
                    assert!(self.booked.remove(&booking).is_some(), "a booking begins twice");
                }
                if let Some(lease) = &change.begins {
                    let name = change.resource.to_string();
                    assert!(
                        self.durable.insert(name, lease.clone()).is_none(),
                        "two have {}",
                        lease.resource
                    );
                }
            }
        }
        let stand = changes.iter().map(|change| {
            let lease = self.durable.get(&*change.resource).cloned();
            let fulfils = change.fulfils.map(|booking| (booking, !self.booked.contains_key(&booking)));
            Stands { resource: &change.resource, lease, seat, fulfils }
        });
        let next = self.book.settle(stand.collect(), self.now).1;
        self.begin(next);
        // As `Granted` does when it does not arrive.
        for lease in changes.into_iter().filter_map(|change| change.begins).filter(|_| gone && !fails) {
            self.end(lease.id, EndReason::NotTaken);
        }
    }

    pub(super) fn check(&self) {
        let changes = self.steps.iter().flat_map(|step| &step.changes);
        let mut changing: Vec<&str> = changes.map(|change| &*change.resource).collect();
        changing.sort_unstable();
        assert!(changing.windows(2).all(|two| two[0] != two[1]), "two changes of one resource: {changing:?}");
        for (name, id) in &self.book.numbers {
            let resource = self.book.get(*id);
            assert_eq!(resource.name, *name);
            match &resource.usage {
                Usage::Free => {
                    assert!(!self.durable.contains_key(&**name), "{name} is held and taken for free");
                }
                Usage::Held(held) => {
                    assert_eq!(self.durable.get(&**name).map(|lease| lease.id), Some(held.lease.id));
                    assert_eq!(self.book.leases.get(&held.lease.id), Some(id));
                }
                Usage::Changing(_) => assert!(changing.contains(&&**name), "{name} changes for ever"),
            }
        }
        for name in self.durable.keys() {
            assert!(self.book.numbers.contains_key(name.as_str()), "the lease on {name} is forgotten");
        }
        let bookings = self.book.bookings();
        // One that is moved keeps both times, and whatever lies between them is not its own.
        let times = |booking: &Booking| {
            let moves = |pending: &Pending| match pending {
                Pending::Moves { was, becomes } if was.id == booking.id => {
                    Some(vec![was.clone(), becomes.clone()])
                }
                _ => None,
            };
            self.changing.iter().find_map(moves).unwrap_or_else(|| vec![booking.clone()])
        };
        let kept: Vec<Booking> = bookings.iter().flat_map(times).collect();
        for (at, booking) in kept.iter().enumerate() {
            let overlaps = |other: &&Booking| {
                other.id != booking.id
                    && other.resource == booking.resource
                    && other.starts_at < booking.ends_at
                    && booking.starts_at < other.ends_at
            };
            assert!(!kept[..at].iter().any(|other| overlaps(&other)), "two have booked one at a time");
        }
        for booking in self.booked.keys() {
            assert!(bookings.iter().any(|known| known.id == *booking), "a booking is forgotten");
        }
        let waiting = self.waiting();
        let free = self.free();
        for (at, wish) in waiting.iter().enumerate() {
            // Who waits has nothing of it meanwhile.
            let number = wish.number.to_string();
            assert!(
                self.durable.values().all(|lease| lease.label != number),
                "somebody waits with half of it"
            );
            // Nothing is idle that somebody waits for, unless it is kept for those before.
            let before: Vec<&Wish> =
                waiting[..at].iter().filter(|other| other.keeps_from(wish, self.now)).collect();
            let mut left = free.clone();
            left.retain(|name| !before.iter().any(|other| other.takes(name)));
            assert!(wish.most(&left) < wish.wants.len(), "{left:?} is free and somebody waits for it");
        }
        assert_eq!(self.book.queue_length(), self.book.waiters().count());
        assert_eq!(self.book.queue.has_sets(), self.book.waiters().any(|waiter| waiter.wants.len() > 1));
    }

    /// Lets everything that is under way end, and everybody go.
    pub(super) fn rest(&mut self) {
        while !self.wishes.is_empty() {
            self.take_back(0);
        }
        loop {
            self.come_to_rest();
            for booking in self.book.bookings() {
                self.end_booking(booking.id);
            }
            self.come_to_rest();
            let held = self.book.held();
            let Some(held) = held.first() else { return };
            self.end(held.lease.id, EndReason::Returned);
        }
    }

    /// A world in which everything is there and taken.
    pub(super) fn taken() -> Self {
        let mut world = Self::new();
        for (at, name) in NAMES.into_iter().enumerate() {
            world.book.appear(name, NOW);
            world.ask(100 + at as u64, 0, &[vec![at]]);
        }
        while !world.steps.is_empty() {
            world.settle(0, false);
        }
        world
    }
}
