//! The book under every order of events: steps are settled late, wishes are taken back at any moment, resources and
//! holders come and go, some are worth more than others and some want several at once.

use proptest::prelude::*;
use time::macros::datetime;

use self::world::World;
use super::*;
use crate::clock::Clock;
use crate::hub::leases::Want;
use crate::hub::op::{Actor, Client};
use crate::id::RequestId;

const NOW: OffsetDateTime = datetime!(2030-01-02 03:04:05 UTC);
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const PATIENCE: Duration = Duration::from_hours(1);

mod world;

type Answered = oneshot::Receiver<Result<Vec<Granted>, LeaseError>>;

fn book() -> Book {
    Book::new(1, PATIENCE, Vec::new(), Vec::new(), NOW)
}

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
            priority: 0,
            labels: Vec::new(),
            expires_in: None,
            waits: true,
            asked_at: NOW,
            answer,
        },
        answered,
    )
}

fn want(book: &Book, names: &[&str]) -> Want {
    Want { acceptable: names.iter().filter_map(|name| book.id_of(name)).collect(), label: String::new() }
}

/// The only lease that begins by a step, and who asked for it.
fn only(step: Step) -> (Lease, Asker) {
    let [change] = <[Change; 1]>::try_from(step.changes).ok().expect("it is one change");
    (change.begins.unwrap(), step.asker.unwrap())
}

fn stands(lease: &Lease, seat: Option<Seat>) -> Vec<Stands<'_>> {
    vec![Stands { resource: &lease.resource, lease: Some(lease.clone()), seat, fulfils: None }]
}

#[derive(Clone, Debug)]
enum Event {
    Appear(usize),
    Vanish(usize),
    Close(usize, bool),
    Ask {
        seat: u64,
        priority: i32,
        wants: Vec<Vec<usize>>,
    },
    TakeBack(usize),
    Settle {
        step: usize,
        fails: bool,
    },
    End(usize),
    Leave(u64),
    /// Time goes on, or the clock is set back; then it is looked for what is due.
    Pass(i64),
    Book {
        acceptable: Vec<usize>,
        start: i64,
        length: i64,
    },
    Booked {
        at: usize,
        fails: bool,
    },
    Cancel(usize),
    Move {
        at: usize,
        start: i64,
        length: i64,
    },
    Extend(usize, i64),
}

fn event() -> impl Strategy<Value = Event> {
    let name = 0..NAMES.len();
    let one = prop::collection::vec(name.clone(), 1..4);
    let wants = prop_oneof![
        3 => one.clone().prop_map(|one| vec![one]),
        1 => prop::collection::vec(one, 2..4),
    ];
    prop_oneof![
        3 => name.clone().prop_map(Event::Appear),
        1 => name.clone().prop_map(Event::Vanish),
        1 => (name, any::<bool>()).prop_map(|(at, closed)| Event::Close(at, closed)),
        6 => (0..5_u64, -1..2, wants)
            .prop_map(|(seat, priority, wants)| Event::Ask { seat, priority, wants }),
        1 => (0..8_usize).prop_map(Event::TakeBack),
        5 => (0..4_usize, prop::bool::weighted(0.2)).prop_map(|(step, fails)| Event::Settle { step, fails }),
        4 => (0..4_usize).prop_map(Event::End),
        1 => (0..5_u64).prop_map(Event::Leave),
        2 => (-30..90_i64).prop_map(Event::Pass),
        2 => (prop::collection::vec(0..NAMES.len(), 1..3), 1..120_i64, 1..90_i64)
            .prop_map(|(acceptable, start, length)| Event::Book { acceptable, start, length }),
        2 => (0..3_usize, prop::bool::weighted(0.2)).prop_map(|(at, fails)| Event::Booked { at, fails }),
        1 => (0..3_usize).prop_map(Event::Cancel),
        2 => (0..3_usize, 1..120_i64, 1..90_i64)
            .prop_map(|(at, start, length)| Event::Move { at, start, length }),
        1 => (0..4_usize, 1..200_i64).prop_map(|(at, minutes)| Event::Extend(at, minutes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

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
        prop_assert_eq!(world.book.queue_length(), 0);
        prop_assert!(world.book.leases.is_empty());
        prop_assert!(world.booked.is_empty() && world.book.bookings.is_empty());
        prop_assert!(world.book.resources.iter().all(|(_, resource)| resource.is_free()));
    }

    #[test]
    fn first_come_first_served_among_equals(
        wishes in prop::collection::vec((-1..2, prop::collection::btree_set(0..NAMES.len(), 1..3)), 1..8),
        order in prop::collection::vec(0..NAMES.len(), 0..20),
    ) {
        let mut world = World::taken();
        let mut queue: Vec<(i32, u64, BTreeSet<usize>)> = Vec::new();
        for (seat, (priority, acceptable)) in wishes.into_iter().enumerate() {
            world.ask(seat as u64, priority, &[acceptable.iter().copied().collect()]);
            queue.push((-priority, seat as u64, acceptable));
        }
        queue.sort();
        for at in order {
            let id = world.durable[NAMES[at]].id;
            let Taken::Now(steps) = world.book.end(id, EndReason::Returned, NOW) else { break };
            prop_assert_eq!(steps.len(), 1);
            let got = steps[0].asker.as_ref().and_then(|asker| asker.seat);
            let first = queue.iter().position(|(_, _, acceptable)| acceptable.contains(&at));
            let expected = first.map(|at| Seat(queue.remove(at).1));
            prop_assert_eq!(got, expected);
            world.steps.extend(steps);
            if got.is_none() {
                break;
            }
            world.settle(0, false);
        }
    }

    /// However many come behind: when each lease that stood in the way has ended once, all of it is there.
    #[test]
    fn who_waits_for_several_is_served_in_the_end(
        wants in prop::collection::vec(prop::collection::vec(0..NAMES.len(), 1..4), 2..4),
        later in prop::collection::vec((0..NAMES.len(), 0..NAMES.len()), 0..30),
    ) {
        let mut world = World::taken();
        let set = world.made.len();
        world.ask(1, 0, &wants);
        prop_assume!(world.wishes.last().is_some_and(|(number, _)| *number == set));
        world.now += PATIENCE;
        let mut first: std::collections::BTreeMap<String, LeaseId> =
            world.durable.iter().map(|(name, lease)| (name.clone(), lease.id)).collect();
        let rest: Vec<(usize, usize)> = (0..NAMES.len()).map(|at| (at, at)).collect();
        for (asked, ended) in later.into_iter().chain(rest) {
            world.ask(2, 0, &[vec![asked]]);
            if let Some(id) = first.remove(NAMES[ended]) {
                world.end(id, EndReason::Returned);
            }
            while !world.steps.is_empty() {
                world.settle(0, false);
            }
            world.check();
        }
        let has = world.durable.values().filter(|lease| lease.label == set.to_string()).count();
        prop_assert_eq!(has, wants.len());
    }
}

#[test]
fn who_waits_for_several_lets_others_go_ahead_for_a_while() {
    let mut world = World::taken();
    world.ask(1, 0, &[vec![0], vec![1]]);
    world.ask(2, 0, &[vec![0]]);
    let end = |world: &mut World, name: &str| {
        world.end(world.durable[name].id, EndReason::Returned);
        while !world.steps.is_empty() {
            world.settle(0, false);
        }
        world.check();
        world.durable.get(name).map(|lease| lease.holder.name.clone())
    };
    assert_eq!(end(&mut world, "a").as_deref(), Some("<2>"), "the other one is taken");
    world.ask(3, -1, &[vec![0]]);
    assert_eq!(end(&mut world, "a"), None, "it is kept from those of lower priority");
    world.ask(4, 0, &[vec![0]]);
    world.settle(0, false);
    assert_eq!(world.durable["a"].holder.name, "<4>", "and not from equals");
    world.now += PATIENCE;
    world.ask(5, 0, &[vec![0]]);
    world.ask(6, 1, &[vec![0]]);
    assert_eq!(end(&mut world, "a").as_deref(), Some("<6>"), "higher priority goes ahead");
    assert_eq!(end(&mut world, "a"), None, "it has waited for long: now it is kept");
    // Whoever does not wait any longer sets free what was kept.
    let mut other = World::taken();
    other.ask(1, 1, &[vec![0], vec![1]]);
    other.ask(2, 0, &[vec![0]]);
    assert_eq!(end(&mut other, "a"), None);
    let at = other.wishes.len() - 2;
    other.take_back(at);
    other.settle(0, false);
    assert_eq!(other.durable["a"].holder.name, "<2>");
    // What cannot be served is kept from nobody.
    let steps = world.book.set_closed("b", true, world.now);
    world.begin(steps);
    world.settle(0, false);
    assert_eq!(world.durable["a"].holder.name, "<5>");
}

#[test]
fn what_is_booked_is_had_by_others_until_then() {
    let mut world = World::new();
    world.book.appear("a", NOW);
    world.book.appear("b", NOW);
    world.book(&[0], 60, 60);
    world.settle_booking(0, false);
    // Whoever wants more time than is left gets the other one, as long as that is free.
    let minutes = |minutes| NOW + time::Duration::minutes(minutes);
    world.ask(1, 0, &[vec![0, 1]]);
    world.ask(3, 0, &[vec![0, 1]]);
    world.come_to_rest();
    assert_eq!((&*world.durable["b"].holder.name, &*world.durable["a"].holder.name), ("<1>", "<3>"));
    let held = world.book.of("a").unwrap();
    assert_eq!(held.lease.expires_at, None);
    assert_eq!((held.until(), held.booked), (Some(minutes(60)), Some((minutes(60), "<50>".to_owned()))));
    let id = world.durable["a"].id;
    assert!(matches!(world.book.take_until(id, Some(minutes(61))), Taken::Now(Err(_))));
    assert!(matches!(world.book.take_until(id, None), Taken::Now(Err(_))));
    // What is cancelled limits nobody.
    let booking = world.book.bookings()[0].clone();
    world.end_booking(booking.id);
    assert_eq!(world.book.of("a").unwrap().until(), Some(minutes(60)), "not before it is certain");
    world.settle_booking(0, false);
    assert_eq!(world.book.of("a").unwrap().until(), None);
    // Nobody books what somebody has without an end.
    world.book(&[0, 1], 60, 60);
    assert!(world.changing.is_empty());
    world.end(id, EndReason::Returned);
    world.come_to_rest();
    world.book(&[0, 1], 60, 60);
    world.book(&[0, 1], 119, 60);
    assert_eq!(world.changing.len(), 1);
    world.settle_booking(0, false);
    world.ask(5, 0, &[vec![0]]);
    world.ask(7, 0, &[vec![0]]);
    world.come_to_rest();
    world.now = minutes(60);
    world.come_to_rest();
    assert_eq!(world.durable["a"].holder.name, "<50>", "it begins, before whoever waits");
    assert_eq!(world.durable["a"].expires_at, Some(minutes(120)));
    world.now = minutes(30);
    world.come_to_rest();
    world.now = minutes(120);
    world.come_to_rest();
    assert_eq!(world.durable["a"].holder.name, "<7>", "and nothing begins twice");
}

#[test]
fn a_booking_waits_for_what_is_away() {
    let mut world = World::new();
    world.book.appear("a", NOW);
    world.book(&[0], 60, 60);
    world.settle_booking(0, false);
    world.book.vanish("a", NOW);
    world.now = NOW + time::Duration::minutes(70);
    world.come_to_rest();
    assert_eq!(world.book.bookings().len(), 1);
    world.book.set_closed("a", true, world.now);
    world.book.appear("a", world.now);
    world.ask(1, 0, &[vec![0]]);
    world.come_to_rest();
    assert!(world.durable.is_empty());
    let steps = world.book.set_closed("a", false, world.now);
    world.begin(steps);
    world.settle(0, true);
    assert_eq!(world.book.bookings().len(), 1, "what could not be written is tried again");
    world.come_to_rest();
    assert_eq!(world.durable["a"].holder.name, "<50>");
    let mut late = World::new();
    late.book.appear("a", NOW);
    late.book(&[0], 60, 60);
    late.settle_booking(0, false);
    late.now = NOW + time::Duration::days(3);
    late.ask(1, 0, &[vec![0]]);
    late.come_to_rest();
    assert!(late.book.bookings().is_empty(), "its time has passed");
    assert_eq!(late.durable["a"].holder.name, "<1>");
}

#[test]
fn whoever_comes_back_gets_what_it_had() {
    let mut book = book();
    book.appear("a", NOW);
    let wants = [want(&book, &["a"])];
    let (first, _answered) = asker(1);
    let Asked::Step(step) = book.ask(&wants, first, NOW, |_| 0) else { panic!("a is free") };
    let (lease, asker_of) = only(*step);
    book.settle(stands(&lease, asker_of.seat), NOW);
    assert_eq!(book.leave(Seat(1), NOW), [lease.id]);
    let (mut back, _answered) = asker(1);
    back.seat = Some(Seat(9));
    let Asked::Again(again) = book.ask(&wants, back, NOW, |_| 0) else { panic!("it is its own") };
    assert_eq!(again.0.id, lease.id);
    assert_eq!(book.held()[0].seat, Some(Seat(9)));
    let (stranger, _answered) = asker(2);
    assert!(matches!(book.ask(&wants, stranger, NOW, |_| 0), Asked::Waits(_)));
}

#[test]
fn what_is_over_is_due() {
    let grace = Duration::from_mins(2);
    let mut book = book();
    book.appear("a", NOW);
    let (mut asker, _answered) = asker(1);
    asker.expires_in = Some(Duration::from_hours(2));
    let wants = [want(&book, &["a"])];
    let Asked::Step(step) = book.ask(&wants, asker, NOW, |_| 0) else { panic!("a is free") };
    let (lease, asker) = only(*step);
    book.settle(stands(&lease, asker.seat), NOW);
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
    let mut book = book();
    for name in ["a", "b"] {
        book.appear(name, NOW);
    }
    let (only_a, either) = ([want(&book, &["a"])], [want(&book, &["a", "b"])]);
    let at = |octet: u8, seat: Option<Seat>| {
        let (mut asker, answered) = asker(1);
        (asker.op.source, asker.seat) = (Some([10, 0, 0, octet].into()), seat);
        (asker, answered)
    };
    let (console, _answered) = at(1, None);
    let Asked::Step(step) = book.ask(&only_a, console, NOW, |_| 0) else { panic!("a is free") };
    let (lease, _) = only(*step);
    book.settle(stands(&lease, None), NOW);
    // From there it is what is meant; it stays when the connection ends.
    let (agent, _answered) = at(1, Some(Seat(5)));
    let Asked::Again(again) = book.ask(&either, agent, NOW, |_| 0) else { panic!("it is its own") };
    assert_eq!((again.0.id, again.0.bound), (lease.id, false));
    let (other, _answered) = at(1, Some(Seat(6)));
    assert!(matches!(book.ask(&only_a, other, NOW, |_| 0), Asked::Waits(_)), "it is in use");
    assert_eq!(book.leave(Seat(5), NOW), []);
    assert!(!book.held()[0].is_left_behind());
    // From elsewhere, something free comes first; then nobody waits for oneself.
    let (elsewhere, _answered) = at(2, Some(Seat(7)));
    let Asked::Step(step) = book.ask(&either, elsewhere, NOW, |_| 0) else { panic!("b is free") };
    assert_eq!(&*step.changes[0].resource, "b");
    let (elsewhere, _answered) = at(2, Some(Seat(8)));
    assert!(matches!(book.ask(&either, elsewhere, NOW, |_| 0), Asked::Again(_)));
}

#[test]
fn what_has_gone_is_not_taken_for_what_came_after_it() {
    let mut book = book();
    book.appear("a", NOW);
    let wants = [want(&book, &["a"])];
    book.vanish("a", NOW);
    book.appear("b", NOW);
    assert_eq!(book.id_of("b").unwrap().at, wants[0].acceptable[0].at, "its number is used again");
    let (late, _answered) = asker(1);
    assert!(matches!(book.ask(&wants, late, NOW, |_| 0), Asked::NoneThere));
}

#[test]
fn who_want_the_same_share_a_list() {
    let mut book = book();
    for name in ["a", "b"] {
        book.appear(name, NOW);
    }
    let wants = [want(&book, &["a", "b"])];
    let mut answers = Vec::new();
    for seat in 0..4 {
        let (asker, answered) = asker(seat);
        book.ask(&wants, asker, NOW, |_| 0);
        answers.push(answered);
    }
    let lists = |book: &Book| -> Vec<Arc<Vec<u32>>> {
        book.waiters().flat_map(|waiter| waiter.wants.iter().cloned()).collect()
    };
    let shared = |lists: &[Arc<Vec<u32>>]| lists.iter().all(|list| Arc::ptr_eq(list, &lists[0]));
    let before = lists(&book);
    assert!(before.len() == 2 && before[0].len() == 2 && shared(&before));
    book.vanish("a", NOW);
    let after = lists(&book);
    assert!(after.len() == 2 && *after[0] == [book.id_of("b").unwrap().at] && shared(&after));
}
