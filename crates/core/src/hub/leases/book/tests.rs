//! The book under every order of events: steps are settled late, wishes are taken back at any moment, resources and
//! holders come and go.

use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::clock::Clock;
use crate::hub::op::{Actor, Client};
use crate::id::RequestId;

const NOW: OffsetDateTime = datetime!(2030-01-02 03:04:05 UTC);
const NAMES: [&str; 3] = ["a", "b", "c"];

type Answered = oneshot::Receiver<Result<Granted, LeaseError>>;

fn asker(seat: u64) -> (Asker, Answered) {
    let client = Client { dialect: "test", id: seat.to_string(), name: format!("<{seat}>"), may: Vec::new() };
    let op = Op {
        actor: Actor::Client(client),
        source: None,
        request: RequestId::new(),
        clock: Clock::manual(NOW),
    };
    let (answer, answered) = oneshot::channel();
    let holder = Holder::of(&op);
    (
        Asker {
            op,
            holder,
            seat: Some(Seat(seat)),
            label: String::new(),
            expires_in: None,
            waits: true,
            asked_at: NOW,
            answer,
        },
        answered,
    )
}

#[derive(Clone, Debug)]
enum Event {
    Appear(usize),
    Vanish(usize),
    Ask { seat: u64, acceptable: Vec<usize> },
    TakeBack(usize),
    Settle { step: usize, fails: bool },
    End(usize),
    Leave(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let name = 0..NAMES.len();
    prop_oneof![
        2 => name.clone().prop_map(Event::Appear),
        1 => name.clone().prop_map(Event::Vanish),
        4 => (0..5_u64, prop::collection::vec(name, 1..3))
            .prop_map(|(seat, acceptable)| Event::Ask { seat, acceptable }),
        1 => (0..8_usize).prop_map(Event::TakeBack),
        4 => (0..4_usize, prop::bool::weighted(0.2)).prop_map(|(step, fails)| Event::Settle { step, fails }),
        3 => (0..4_usize).prop_map(Event::End),
        1 => (0..5_u64).prop_map(Event::Leave),
    ]
}

/// A book with what is under way around it, and what the database would say.
struct World {
    book: Book,
    steps: Vec<Step>,
    durable: BTreeMap<String, Lease>,
    /// Wishes without an answer, in the order of asking.
    wishes: Vec<(u64, BTreeSet<String>, Answered)>,
}

impl World {
    fn new() -> Self {
        Self {
            book: Book::new(1, Vec::new(), NOW),
            steps: Vec::new(),
            durable: BTreeMap::new(),
            wishes: Vec::new(),
        }
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Appear(at) => drop(self.book.appear(NAMES[at], NOW)),
            Event::Vanish(at) => {
                let failed = self.book.vanish(NAMES[at], NOW);
                for asker in failed {
                    asker.answer.send(Err(LeaseError::AllGone)).ok();
                }
            }
            Event::Ask { seat, acceptable } => self.ask(seat, &acceptable),
            Event::TakeBack(at) if at < self.wishes.len() => drop(self.wishes.remove(at)),
            Event::Settle { step, fails } if step < self.steps.len() => self.settle(step, fails),
            Event::End(at) => {
                let held = self.book.held();
                if let Some(held) = held.get(at)
                    && let Taken::Now(step) = self.book.end(held.lease.id, EndReason::Returned, NOW)
                {
                    self.steps.push(step);
                }
            }
            Event::Leave(seat) => drop(self.book.leave(Seat(seat), NOW)),
            Event::TakeBack(_) | Event::Settle { .. } => {}
        }
        self.wishes.retain_mut(|(_, _, answered)| {
            matches!(answered.try_recv(), Err(oneshot::error::TryRecvError::Empty))
        });
    }

    fn ask(&mut self, seat: u64, acceptable: &[usize]) {
        let names: Vec<String> = acceptable.iter().map(|at| NAMES[*at].to_owned()).collect();
        let (asker, answered) = asker(seat);
        match self.book.ask(&names, asker, NOW, |_| 0) {
            Asked::Step(step) => {
                let name = &step.resource;
                let mut earlier = self.book.waiters().filter(|waiter| !waiter.asker.answer.is_closed());
                let overtaken = earlier.find(|waiter| waiter.acceptable.contains(name));
                assert!(overtaken.is_none(), "{name} was given to somebody who came later");
                self.steps.push(*step);
                self.wishes.push((seat, names.into_iter().collect(), answered));
            }
            Asked::Taken => unreachable!("everybody here waits"),
            Asked::Waits(_) => self.wishes.push((seat, names.into_iter().collect(), answered)),
            Asked::Again(..) | Asked::NoneThere => {}
        }
    }

    fn settle(&mut self, at: usize, fails: bool) {
        let Step { resource, ends, begins } = self.steps.remove(at);
        let (lease, asker) = begins.unzip();
        if !fails {
            if let Some((held, _)) = &ends {
                let was = self.durable.remove(&resource);
                assert_eq!(was.map(|lease| lease.id), Some(held.lease.id), "another's lease was ended");
            }
            if let Some(lease) = &lease {
                assert!(!self.durable.contains_key(&resource), "{resource} has two holders");
                self.durable.insert(resource.clone(), lease.clone());
            }
        }
        let seat = asker.as_ref().and_then(|asker| asker.seat);
        let found = self.durable.get(&resource).cloned();
        let gone = asker.as_ref().is_some_and(|asker| asker.answer.is_closed());
        let next = self.book.settle(&resource, found, seat, NOW).1;
        self.steps.extend(next);
        // As `Granted` does when it does not arrive.
        if let Some(lease) = lease.filter(|_| gone && !fails)
            && let Taken::Now(step) = self.book.end(lease.id, EndReason::NotTaken, NOW)
        {
            self.steps.push(step);
        }
    }

    fn check(&self) {
        let mut changing: Vec<&str> = self.steps.iter().map(|step| step.resource.as_str()).collect();
        changing.sort_unstable();
        assert!(changing.windows(2).all(|two| two[0] != two[1]), "two changes of one resource: {changing:?}");
        for (name, resource) in &self.book.resources {
            match &resource.usage {
                Usage::Free => {
                    assert!(!self.durable.contains_key(name), "{name} is held and taken for free");
                    let wanted = self
                        .book
                        .waiters()
                        .any(|waiter| waiter.acceptable.contains(name) && !waiter.asker.answer.is_closed());
                    assert!(!resource.here || !wanted, "{name} is free and somebody waits for it");
                }
                Usage::Held(held) => {
                    assert_eq!(self.durable.get(name).map(|lease| lease.id), Some(held.lease.id));
                }
                Usage::Changing(_) => assert!(changing.contains(&name.as_str()), "{name} changes for ever"),
            }
        }
        for name in self.durable.keys() {
            assert!(self.book.resources.contains_key(name), "the lease on {name} is forgotten");
        }
    }

    /// Lets everything that is under way end, and everybody go.
    fn rest(&mut self) {
        self.wishes.clear();
        loop {
            while !self.steps.is_empty() {
                self.settle(0, false);
            }
            let held = self.book.held();
            let Some(held) = held.first() else { return };
            if let Taken::Now(step) = self.book.end(held.lease.id, EndReason::Returned, NOW) {
                self.steps.push(step);
            }
        }
    }
}

proptest! {
    #[test]
    fn never_two_holders_and_nothing_leaks(events in prop::collection::vec(event(), 0..80)) {
        let mut world = World::new();
        for event in events {
            world.play(event);
            world.check();
        }
        world.rest();
        world.check();
        prop_assert!(world.durable.is_empty());
        // Whoever had gone without a word was passed over, and is gone from the queue or will never be looked at.
        prop_assert!(world.book.resources.values().all(|resource| matches!(resource.usage, Usage::Free)));
    }

    #[test]
    fn first_come_first_served(
        wishes in prop::collection::vec(prop::collection::btree_set(0..NAMES.len(), 1..3), 1..8),
        order in prop::collection::vec(0..NAMES.len(), 0..20),
    ) {
        let mut world = World::new();
        for name in NAMES {
            world.book.appear(name, NOW);
        }
        for at in 0..NAMES.len() {
            world.ask(100 + at as u64, &[at]);
        }
        while !world.steps.is_empty() {
            world.settle(0, false);
        }
        let mut queue: Vec<(u64, BTreeSet<usize>)> = Vec::new();
        for (seat, acceptable) in wishes.into_iter().enumerate() {
            world.ask(seat as u64, &acceptable.iter().copied().collect::<Vec<_>>());
            queue.push((seat as u64, acceptable));
        }
        for at in order {
            let id = world.durable[NAMES[at]].id;
            let Taken::Now(step) = world.book.end(id, EndReason::Returned, NOW) else { break };
            let got = step.begins.as_ref().and_then(|(_, asker)| asker.seat);
            let first = queue.iter().position(|(_, acceptable)| acceptable.contains(&at));
            let expected = first.map(|at| Seat(queue.remove(at).0));
            prop_assert_eq!(got, expected);
            world.steps.push(step);
            if got.is_none() {
                break;
            }
            world.settle(0, false);
        }
    }
}

#[test]
fn whoever_comes_back_gets_what_it_had() {
    let mut book = Book::new(1, Vec::new(), NOW);
    book.appear("a", NOW);
    let names = ["a".to_owned()];
    let (first, _answered) = asker(1);
    let Asked::Step(step) = book.ask(&names, first, NOW, |_| 0) else { panic!("a is free") };
    let (lease, asker_of) = step.begins.unwrap();
    book.settle("a", Some(lease.clone()), asker_of.seat, NOW);
    assert_eq!(book.leave(Seat(1), NOW), [lease.id]);
    let (mut back, _answered) = asker(1);
    back.seat = Some(Seat(9));
    let Asked::Again(again) = book.ask(&names, back, NOW, |_| 0) else { panic!("it is its own") };
    assert_eq!(again.0.id, lease.id);
    assert_eq!(book.held()[0].seat, Some(Seat(9)));
    let (stranger, _answered) = asker(2);
    assert!(matches!(book.ask(&names, stranger, NOW, |_| 0), Asked::Waits(_)));
}

#[test]
fn what_is_over_is_due() {
    let grace = Duration::from_mins(2);
    let mut book = Book::new(1, Vec::new(), NOW);
    book.appear("a", NOW);
    let (mut asker, _answered) = asker(1);
    asker.expires_in = Some(Duration::from_hours(2));
    let Asked::Step(step) = book.ask(&["a".to_owned()], asker, NOW, |_| 0) else { panic!("a is free") };
    let (lease, asker) = step.begins.unwrap();
    book.settle("a", Some(lease.clone()), asker.seat, NOW);
    let due = |book: &Book, after: u64| book.due(grace, NOW + Duration::from_secs(after));
    assert_eq!(due(&book, 7199), []);
    assert_eq!(due(&book, 7200), [(lease.id, EndReason::Expired)]);
    book.vanish("a", NOW);
    assert_eq!(due(&book, 119), []);
    assert_eq!(due(&book, 120), [(lease.id, EndReason::ResourceGone)]);
    book.appear("a", NOW);
    assert_eq!(due(&book, 120), []);
    book.leave(Seat(1), NOW);
    assert_eq!(due(&book, 120), [(lease.id, EndReason::HolderGone)]);
}

#[test]
fn what_somebody_holds_without_a_connection_is_used_from_one() {
    let mut book = Book::new(1, Vec::new(), NOW);
    let names = ["a".to_owned(), "b".to_owned()];
    for name in &names {
        book.appear(name, NOW);
    }
    let at = |octet: u8, seat: Option<Seat>| {
        let (mut asker, answered) = asker(1);
        (asker.op.source, asker.seat) = (Some([10, 0, 0, octet].into()), seat);
        (asker, answered)
    };
    let (console, _answered) = at(1, None);
    let Asked::Step(step) = book.ask(&names[..1], console, NOW, |_| 0) else { panic!("a is free") };
    let (lease, _) = step.begins.unwrap();
    book.settle("a", Some(lease.clone()), None, NOW);
    // From there it is what is meant; it stays when the connection ends.
    let (agent, _answered) = at(1, Some(Seat(5)));
    let Asked::Again(again) = book.ask(&names, agent, NOW, |_| 0) else { panic!("it is its own") };
    assert_eq!((again.0.id, again.0.bound), (lease.id, false));
    let (other, _answered) = at(1, Some(Seat(6)));
    assert!(matches!(book.ask(&names[..1], other, NOW, |_| 0), Asked::Waits(_)), "it is in use");
    assert_eq!(book.leave(Seat(5), NOW), []);
    assert!(!book.held()[0].is_left_behind());
    // From elsewhere, something free comes first; then nobody waits for oneself.
    let (elsewhere, _answered) = at(2, Some(Seat(7)));
    let Asked::Step(step) = book.ask(&names, elsewhere, NOW, |_| 0) else { panic!("b is free") };
    assert_eq!(step.resource, "b");
    let (elsewhere, _answered) = at(2, Some(Seat(8)));
    assert!(matches!(book.ask(&names, elsewhere, NOW, |_| 0), Asked::Again(_)));
}
