//! Leases on a whole hub, on both engines: what is durable, what survives a restart, and what nobody can leak.

use std::sync::Arc;
use std::time::Duration;

use nave_core::api::EventFilter;
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_core::hub::error::Error;
use nave_core::hub::event;
use nave_core::hub::leases::{
    BookError, Booking, BookingTimes, Choice, Granted, Heir, Holder, LeaseError, Leases, Pool, Seat, Spans,
    Want, Wanted, WantedBooking,
};
use nave_core::hub::op::{Actor, Client, Op};
use nave_core::id::RequestId;
use nave_testkit::fleet::{TAKE, TestFleet};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::wait::until;
use tempfile::TempDir;

use crate::bench::{Bench, on_both_engines};

on_both_engines!(
    one_has_it_and_the_other_waits,
    who_goes_away_leaves_nothing_behind,
    leases_survive_a_restart_for_a_while,
    time_ends_leases,
    only_holders_and_who_manages_may_touch_a_lease,
    a_hub_that_was_replaced_gives_nothing_out,
    how_long_somebody_waited_is_kept,
    who_matters_more_is_served_first,
    several_at_once_or_none,
    who_wants_several_and_goes_away_leaves_nothing_behind,
    a_booking_survives_and_begins_once,
    a_booking_is_cancelled_or_missed,
);

const GRACE: Duration = Duration::from_mins(2);

struct Farm {
    hub: TestHub,
    clock: Clock,
}

async fn start(bench: &Bench, folder: Arc<TempDir>, grace: Duration) -> Farm {
    let clock = bench.clock.clone();
    let setup = TestHubSetup {
        config: HubConfig { database: bench.database.clone(), ..HubConfig::default() },
        fleets: vec![Arc::new(TestFleet { grace, ..TestFleet::default() })],
        clock: Some(clock.clone()),
        ..TestHubSetup::default()
    };
    Farm { hub: TestHub::on(folder, setup).await.unwrap(), clock }
}

async fn farm(bench: &Bench, things: &[&str]) -> Farm {
    let farm = start(bench, Arc::new(tempfile::tempdir().unwrap()), GRACE).await;
    for thing in things {
        farm.pool().appear(&farm.hub.operator(), thing);
    }
    farm
}

fn only(granted: Vec<Granted>) -> Granted {
    let [only] = <[Granted; 1]>::try_from(granted).unwrap();
    only
}

fn heir(op: &Op, seat: Option<Seat>) -> Heir {
    Heir { holder: Holder::of(op), seat, address: None }
}

impl Farm {
    fn pool(&self) -> &Arc<Pool> {
        self.hub.hub().leases.pool("testfleet").unwrap()
    }

    fn ids(&self, things: &[&str]) -> Choice {
        things.iter().filter_map(|thing| self.pool().id_of(thing)).collect()
    }

    /// One of each, for as long as it lasts.
    fn wanted(&self, wants: &[&[&str]]) -> Wanted {
        let want = |things: &&[&str]| Want { acceptable: self.ids(things), label: String::new() };
        let wants = wants.iter().map(want).collect();
        Wanted { wants, seat: None, priority: 0, expires_in: None, waits: true }
    }

    fn client(&self, name: &str) -> Op {
        let client = Client { dialect: "test", id: name.to_owned(), name: name.to_owned(), may: vec![TAKE] };
        let actor = Actor::Client(client);
        Op { actor, source: None, request: RequestId::new(), clock: self.clock.clone() }
    }

    async fn ask(&self, name: &str, seat: u64, things: &[&str]) -> Result<Granted, LeaseError> {
        let wanted = Wanted { seat: Some(Seat(seat)), ..self.wanted(&[things]) };
        let granted = self.pool().acquire(&self.client(name), self.hub.hub(), wanted, |_| 0).await?;
        Ok(only(granted))
    }

    /// Books for an hour, so many minutes from now.
    async fn book(&self, name: &str, things: &[&str], minutes: u64) -> Result<Booking, BookError> {
        let starts_at = self.clock.now() + Duration::from_mins(minutes);
        let wanted = WantedBooking {
            acceptable: self.ids(things),
            label: "later".to_owned(),
            priority: 0,
            starts_at,
            ends_at: starts_at + Duration::from_hours(1),
        };
        self.pool().book(&self.client(name), self.hub.hub(), wanted, |_| 0).await
    }

    async fn told(&self, action: &str) -> Vec<String> {
        let filter =
            EventFilter { after: Some(-1), action: Some(action.to_owned()), ..EventFilter::default() };
        let events = event::list(&self.hub.operator(), &self.hub.hub().store, &filter).await.unwrap();
        events.iter().map(|event| format!("{} {} {}", event.actor, event.action, event.object)).collect()
    }

    fn has(&self) -> Vec<(String, String)> {
        let held = self.pool().held();
        held.into_iter().map(|held| (held.lease.resource, held.lease.holder.name)).collect()
    }

    async fn has_soon(&self, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(thing, who)| ((*thing).to_owned(), (*who).to_owned())).collect();
        let reached =
            until("the leases are as expected", || async { (self.has() == expected).then_some(()) });
        reached.await.unwrap_or_else(|_| panic!("{:?} and not {expected:?}", self.has()));
    }

    async fn waiting(&self, number: usize) {
        until("so many wait", || async { (self.pool().queue_length() == number).then_some(()) })
            .await
            .unwrap();
    }
}

async fn one_has_it_and_the_other_waits(bench: Bench) {
    let farm = farm(&bench, &["a"]).await;
    assert!(matches!(farm.ask("ann", 1, &["nowhere"]).await, Err(LeaseError::NoneThere)));
    let lease = farm.ask("ann", 1, &["a"]).await.unwrap().keep();
    let second = farm.ask("bob", 2, &["a"]);
    let returned = async {
        farm.waiting(1).await;
        farm.pool().end(&farm.client("ann"), farm.hub.hub(), lease.id).await.unwrap().unwrap()
    };
    let (second, (_, passed_on)) = tokio::join!(second, returned);
    assert!(passed_on);
    let second = second.unwrap().keep();
    assert_eq!(farm.has(), [("a".to_owned(), "bob".to_owned())]);
    let (_, passed_on) =
        farm.pool().end(&farm.client("bob"), farm.hub.hub(), second.id).await.unwrap().unwrap();
    assert!(!passed_on);
    assert!(farm.pool().end(&farm.client("bob"), farm.hub.hub(), second.id).await.unwrap().is_none());

    let filter = EventFilter { after: Some(-1), action: Some("lease".to_owned()), ..EventFilter::default() };
    let events = event::list(&farm.hub.operator(), &farm.hub.hub().store, &filter).await.unwrap();
    let told: Vec<String> =
        events.iter().map(|event| format!("{} {} {}", event.actor, event.action, event.object)).collect();
    assert_eq!(
        told,
        ["ann lease.granted a", "ann lease.ended a", "bob lease.granted a", "bob lease.ended a"]
    );
}

async fn how_long_somebody_waited_is_kept(bench: Bench) {
    let farm = farm(&bench, &["a"]).await;
    let from = farm.clock.now();
    let lease = farm.ask("ann", 1, &["a"]).await.unwrap().keep();
    let second = farm.ask("bob", 2, &["a"]);
    let returned = async {
        farm.waiting(1).await;
        farm.clock.advance(Duration::from_secs(90));
        farm.pool().end(&farm.client("ann"), farm.hub.hub(), lease.id).await.unwrap().unwrap();
    };
    let (second, ()) = tokio::join!(second, returned);
    second.unwrap().keep();
    farm.clock.advance(Duration::from_secs(30));
    let spans = Spans { from, length: Duration::from_hours(1), count: 1 };
    let usage = farm.pool().usage(farm.hub.hub(), spans, farm.clock.now()).await.unwrap();
    let used = &usage.resources["a"][0];
    assert_eq!((used.held, used.granted, used.known, used.waited.as_slice()), (120_000, 2, 2, &[90_000][..]));
}

async fn who_goes_away_leaves_nothing_behind(bench: Bench) {
    let farm = farm(&bench, &["a"]).await;
    // A wish that is taken back after every possible number of steps, while the lease before it is returned.
    for polls in 0..40 {
        let lease = farm.ask("ann", 1, &["a"]).await.unwrap().keep();
        let mut wish = Box::pin(farm.ask("bob", 2, &["a"]));
        assert!(futures::poll!(wish.as_mut()).is_pending());
        let (op, hub) = (farm.client("ann"), Arc::clone(farm.hub.hub()));
        let pool = Arc::clone(farm.pool());
        let returned = tokio::spawn(async move { pool.end(&op, &hub, lease.id).await });
        for _ in 0..polls {
            if futures::poll!(wish.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(wish);
        returned.await.unwrap().unwrap();
        farm.has_soon(&[]).await;
        assert_eq!(farm.pool().queue_length(), 0);
    }
    // What waits for a resource that goes away is told so.
    let lease = farm.ask("ann", 1, &["a"]).await.unwrap().keep();
    let gone = async {
        farm.waiting(1).await;
        farm.pool().vanish(&farm.hub.operator(), farm.hub.hub(), "a");
    };
    let (wish, ()) = tokio::join!(farm.ask("bob", 2, &["a"]), gone);
    assert!(matches!(wish, Err(LeaseError::AllGone)));
    assert_eq!(farm.pool().held()[0].lease.id, lease.id, "the holder keeps it for a while");
}

async fn leases_survive_a_restart_for_a_while(bench: Bench) {
    let farm = farm(&bench, &["a", "b"]).await;
    let lease = farm.ask("ann", 1, &["a"]).await.unwrap().keep();
    farm.ask("bob", 2, &["b"]).await.unwrap().keep();
    let folder = farm.hub.folder();
    farm.hub.stop().await;

    let farm = start(&bench, folder, GRACE).await;
    assert_eq!(farm.has().len(), 2);
    assert_eq!(farm.pool().epoch(), 2);
    farm.pool().appear(&farm.hub.operator(), "a");
    farm.pool().appear(&farm.hub.operator(), "b");
    let again = farm.ask("ann", 7, &["a", "b"]).await.unwrap().keep();
    assert_eq!((again.id, again.epoch), (lease.id, 1), "the same lease, under the new connection");
    farm.clock.advance(GRACE + Duration::from_secs(1));
    farm.has_soon(&[("a", "ann")]).await;
}

async fn time_ends_leases(bench: Bench) {
    let farm = farm(&bench, &["a"]).await;
    let wanted = Wanted { seat: Some(Seat(1)), expires_in: Some(GRACE), ..farm.wanted(&[&["a"]]) };
    let ann = farm.client("ann");
    let lease = only(farm.pool().acquire(&ann, farm.hub.hub(), wanted, |_| 0).await.unwrap()).keep();
    let until = lease.granted_at + 3 * GRACE;
    let longer = farm.pool().extend(&ann, farm.hub.hub(), lease.id, Some(until)).await.unwrap().unwrap();
    assert_eq!(longer.expires_at, Some(until));
    let past = farm.pool().extend(&ann, farm.hub.hub(), lease.id, Some(lease.granted_at)).await;
    assert_eq!(past.unwrap_err().code(), "invalid");
    farm.clock.advance(2 * GRACE);
    farm.pool().end_due(&farm.hub.operator(), farm.hub.hub()).await.unwrap();
    assert_eq!(farm.has().len(), 1);
    let wish = farm.ask("bob", 2, &["a"]);
    let expires = async {
        farm.waiting(1).await;
        farm.clock.advance(2 * GRACE);
    };
    let (wish, ()) = tokio::join!(wish, expires);
    wish.unwrap().keep();
    assert_eq!(farm.has(), [("a".to_owned(), "bob".to_owned())]);
}

async fn only_holders_and_who_manages_may_touch_a_lease(bench: Bench) {
    let farm = farm(&bench, &["a"]).await;
    let hub = farm.hub.hub();
    let lease = farm.ask("ann", 1, &["a"]).await.unwrap().keep();
    let bob = farm.client("bob");
    for refused in [
        farm.pool().end(&bob, hub, lease.id).await.unwrap_err(),
        farm.pool().extend(&bob, hub, lease.id, None).await.unwrap_err(),
        farm.pool().hand_over(&bob, hub, lease.id, heir(&bob, None)).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), "forbidden");
    }
    let ann = farm.client("ann");
    let handed = farm.pool().hand_over(&ann, hub, lease.id, heir(&bob, Some(Seat(2)))).await.unwrap();
    assert_eq!(handed.unwrap().holder.name, "bob");
    assert_eq!(farm.pool().end(&ann, hub, lease.id).await.unwrap_err().code(), "forbidden");
    farm.pool().end(&farm.hub.operator(), hub, lease.id).await.unwrap().unwrap();
    assert_eq!(farm.has(), []);
    let nobody = Op { actor: Actor::Anonymous, ..farm.client("nobody") };
    let refused = farm.pool().acquire(&nobody, hub, farm.wanted(&[&["a"]]), |_| 0).await.unwrap_err();
    assert!(matches!(refused, LeaseError::Failed(Error::Unauthenticated(_))), "{refused}");
}

async fn a_hub_that_was_replaced_gives_nothing_out(bench: Bench) {
    let farm = farm(&bench, &["a", "b"]).await;
    let lease = farm.ask("ann", 1, &["a"]).await.unwrap().keep();
    let kind = *farm.pool().kind();
    Leases::open(&farm.hub.hub().store, &[kind], &farm.clock).await.unwrap();
    let refused = farm.ask("bob", 2, &["b"]).await.unwrap_err();
    assert!(refused.to_string().contains("another hub"), "{refused}");
    let refused = farm.pool().end(&farm.client("ann"), farm.hub.hub(), lease.id).await.unwrap_err();
    assert!(refused.message().contains("another hub"), "{refused}");
    farm.has_soon(&[("a", "ann")]).await;
}

async fn who_matters_more_is_served_first(bench: Bench) {
    let farm = farm(&bench, &["a"]).await;
    let first = farm.ask("ann", 1, &["a"]).await.unwrap().keep();
    let hub = farm.hub.hub();
    let (low, high) = (farm.client("low"), farm.client("high"));
    let ask =
        |op, priority| farm.pool().acquire(op, hub, Wanted { priority, ..farm.wanted(&[&["a"]]) }, |_| 0);
    let low = async { only(ask(&low, -1).await.unwrap()).keep() };
    let high = async {
        farm.waiting(2).await;
        only(ask(&high, 1).await.unwrap()).keep()
    };
    let middle = farm.ask("bob", 2, &["a"]);
    let served = async {
        farm.waiting(3).await;
        let order: Vec<String> =
            farm.pool().waiting().waiting.into_iter().map(|waiting| waiting.holder.name).collect();
        assert_eq!(order, ["high", "bob", "low"]);
        let mut lease = first;
        for next in ["high", "bob", "low"] {
            farm.pool().end(&farm.hub.operator(), hub, lease.id).await.unwrap().unwrap();
            farm.has_soon(&[("a", next)]).await;
            lease = farm.pool().held().remove(0).lease;
        }
    };
    let middle = async { middle.await.unwrap().keep() };
    let _ = tokio::join!(low, middle, high, served);
}

async fn several_at_once_or_none(bench: Bench) {
    let farm = farm(&bench, &["a", "b", "c"]).await;
    let hub = farm.hub.hub();
    let (ann, bob) = (farm.client("ann"), farm.client("bob"));
    let acquire = |op, wanted| farm.pool().acquire(op, hub, wanted, |_| 0);
    assert!(matches!(acquire(&ann, farm.wanted(&[&["a"], &["a"]])).await, Err(LeaseError::NoneThere)));
    // Whatever is chosen first for one, enough is left for the others.
    let granted = acquire(&ann, farm.wanted(&[&["a", "b", "c"], &["a"], &["b"]])).await.unwrap();
    let leases: Vec<_> = granted.into_iter().map(Granted::keep).collect();
    let things: Vec<&str> = leases.iter().map(|lease| lease.resource.as_str()).collect();
    assert_eq!(things, ["c", "a", "b"]);
    let none = acquire(&bob, Wanted { waits: false, ..farm.wanted(&[&["a"], &["b"]]) }).await;
    assert!(matches!(none, Err(LeaseError::Taken)));

    let both = async { acquire(&bob, farm.wanted(&[&["a"], &["b"]])).await.unwrap() };
    let returned = async {
        farm.waiting(1).await;
        for lease in &leases[1..] {
            assert!(farm.has().iter().all(|(_, who)| who == "ann"), "nothing of it before all of it");
            farm.pool().end(&ann, hub, lease.id).await.unwrap().unwrap();
        }
    };
    let (both, ()) = tokio::join!(both, returned);
    let has = |thing: &str, who: &str| (thing.to_owned(), who.to_owned());
    assert_eq!(farm.has(), [has("a", "bob"), has("b", "bob"), has("c", "ann")]);
    // Nobody took them over: all of them end.
    drop(both);
    farm.has_soon(&[("c", "ann")]).await;
    let filter = EventFilter { action: Some("lease.granted".to_owned()), ..EventFilter::default() };
    let events = event::list(&farm.hub.operator(), &hub.store, &filter).await.unwrap();
    let told = events.iter().find(|event| event.actor == "bob" && event.object == "a").unwrap();
    assert_eq!(told.detail["together_with"], serde_json::json!(["b"]));
}

async fn who_wants_several_and_goes_away_leaves_nothing_behind(bench: Bench) {
    let farm = farm(&bench, &["a", "b"]).await;
    let hub = farm.hub.hub();
    let bob = farm.client("bob");
    for polls in 0..20 {
        let lease = farm.ask("ann", 1, &["a"]).await.unwrap().keep();
        let wish = farm.pool().acquire(&bob, hub, farm.wanted(&[&["a"], &["b"]]), |_| 0);
        let mut wish = Box::pin(wish);
        assert!(futures::poll!(wish.as_mut()).is_pending());
        let (op, own_hub, pool) = (farm.client("ann"), Arc::clone(hub), Arc::clone(farm.pool()));
        let returned = tokio::spawn(async move { pool.end(&op, &own_hub, lease.id).await });
        for _ in 0..polls {
            if futures::poll!(wish.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(wish);
        returned.await.unwrap().unwrap();
        farm.has_soon(&[]).await;
        assert_eq!(farm.pool().queue_length(), 0);
    }
}

async fn a_booking_survives_and_begins_once(bench: Bench) {
    let farm = farm(&bench, &["a", "b"]).await;
    let booking = farm.book("ann", &["a"], 60).await.unwrap();
    let refused = farm.book("bob", &["a"], 119).await.unwrap_err();
    assert!(refused.to_string().contains("ann has booked a from"), "{refused}");
    // Whoever wants it for longer gets the other one; then this one, until it is booked.
    let hub = farm.hub.hub();
    let ask = |name: &'static str| {
        let wanted = Wanted { expires_in: Some(Duration::from_hours(3)), ..farm.wanted(&[&["a", "b"]]) };
        let (op, pool) = (farm.client(name), farm.pool());
        async move { only(pool.acquire(&op, hub, wanted, |_| 0).await.unwrap()).keep() }
    };
    assert_eq!(ask("bob").await.resource, "b");
    let cat = ask("cat").await;
    let held = farm.pool().holder_of("a").unwrap();
    assert_eq!((held.lease.id, held.until()), (cat.id, Some(booking.starts_at)));
    assert_eq!(held.booked.unwrap().1, "ann");
    let later = booking.starts_at + Duration::from_secs(1);
    let refused = farm.pool().extend(&farm.client("cat"), hub, cat.id, Some(later)).await.unwrap_err();
    assert!(refused.message().contains("a is booked by ann from"), "{refused}");
    let start_of_it = Some(booking.starts_at);
    assert!(farm.pool().extend(&farm.client("cat"), hub, cat.id, start_of_it).await.unwrap().is_some());
    let refused = farm.book("ann", &["b"], 60).await.unwrap_err();
    assert!(refused.to_string().contains("bob has b until"), "{refused}");
    let folder = farm.hub.folder();
    farm.hub.stop().await;

    let farm = start(&bench, folder, Duration::from_hours(9)).await;
    assert_eq!(farm.pool().bookings(), std::slice::from_ref(&booking));
    for thing in ["a", "b"] {
        farm.pool().appear(&farm.hub.operator(), thing);
    }
    farm.clock.advance(Duration::from_mins(61));
    farm.has_soon(&[("a", "ann"), ("b", "bob")]).await;
    let held = farm.pool().holder_of("a").unwrap().lease;
    assert_eq!((held.label.as_str(), held.expires_at, held.bound), ("later", Some(booking.ends_at), false));
    let folder = farm.hub.folder();
    farm.hub.stop().await;

    let farm = start(&bench, folder, Duration::from_hours(9)).await;
    assert_eq!(farm.pool().bookings(), []);
    farm.clock.advance(Duration::from_hours(1));
    farm.has_soon(&[("b", "bob")]).await;
    let both = || async {
        let past = farm.pool().past(farm.hub.hub(), "a", 9).await.ok()?;
        (past.len() == 2).then_some(past)
    };
    let past = until("both have ended", both).await.unwrap();
    let past: Vec<(&str, &str)> =
        past.iter().map(|past| (past.holder.as_str(), past.reason.as_str())).collect();
    assert!(matches!(past.as_slice(), [("ann", "expired"), ("cat", "expired" | "booked")]), "{past:?}");
    assert_eq!(farm.told("lease.booked").await, ["ann lease.booked a"]);
}

async fn a_booking_is_cancelled_or_missed(bench: Bench) {
    let farm = farm(&bench, &["a", "b"]).await;
    let hub = farm.hub.hub();
    let first = farm.book("ann", &["a", "b"], 60).await.unwrap();
    let cancel = |who: &'static str, id| {
        let (op, pool) = (farm.client(who), farm.pool());
        async move { pool.cancel_booking(&op, hub, id).await }
    };
    assert_eq!(cancel("bob", first.id).await.unwrap_err().code(), "forbidden");
    // Moved to where nothing stands in its way, and back; nobody else moves it.
    let shift = |who: &'static str, minutes: i64, length: i64| {
        let (op, pool, from) =
            (farm.client(who), farm.pool(), first.starts_at + time::Duration::minutes(minutes));
        let times =
            BookingTimes { starts_at: from, ends_at: from + time::Duration::minutes(length), priority: 0 };
        async move { pool.change_booking(&op, hub, first.id, times).await }
    };
    assert!(shift("bob", 10, 30).await.unwrap_err().to_string().contains("may not"));
    let moved = shift("ann", 10, 30).await.unwrap().unwrap();
    assert_eq!(farm.pool().bookings(), std::slice::from_ref(&moved));
    assert!(shift("ann", -100, 30).await.unwrap_err().to_string().contains("is not in the future"));
    let other = farm.book("bob", &[first.resource.as_str()], 300).await.unwrap();
    let refused = shift("ann", 240, 600).await.unwrap_err();
    assert!(refused.to_string().contains("bob has booked"), "{refused}");
    assert_eq!(farm.pool().bookings(), [moved, other.clone()]);
    assert_eq!(shift("ann", 0, 60).await.unwrap().unwrap().starts_at, first.starts_at);
    assert_eq!(farm.told("lease.booking_changed").await.len(), 2);
    farm.pool().cancel_booking(&farm.client("bob"), hub, other.id).await.unwrap();
    assert_eq!(cancel("ann", first.id).await.unwrap().unwrap().id, first.id);
    assert!(shift("ann", 0, 60).await.unwrap().is_none());
    assert!(cancel("ann", first.id).await.unwrap().is_none());
    // Nobody overtakes who waits, and nobody books what somebody has without an end.
    let lease = farm.ask("cat", 1, &["a"]).await.unwrap().keep();
    let refused = farm.book("ann", &["a"], 600).await.unwrap_err();
    assert!(refused.to_string().contains("cat has a without an end"), "{refused}");
    let end = farm.clock.now() + Duration::from_mins(30);
    farm.pool().extend(&farm.client("cat"), hub, lease.id, Some(end)).await.unwrap();
    let waits = farm.ask("dan", 2, &["a"]);
    let books = async {
        farm.waiting(1).await;
        let refused = farm.book("ann", &["a"], 60).await.unwrap_err();
        assert!(refused.to_string().contains("dan waits for it"), "{refused}");
        let tomorrow = farm.book("ann", &["a"], 24 * 60).await.unwrap();
        farm.pool().end(&farm.client("cat"), hub, lease.id).await.unwrap().unwrap();
        tomorrow
    };
    let (waited, tomorrow) = tokio::join!(waits, books);
    let waited = waited.unwrap().keep();
    assert_eq!(farm.pool().holder_of("a").unwrap().until(), Some(tomorrow.starts_at), "{waited:?}");
    // Its resource is away when its time comes, and until it is over.
    farm.pool().vanish(&farm.hub.operator(), hub, "a");
    farm.clock.advance(Duration::from_mins(24 * 60 + 30));
    farm.has_soon(&[]).await;
    assert_eq!(farm.pool().bookings(), [tomorrow]);
    farm.clock.advance(Duration::from_hours(1));
    let over = || async { farm.pool().bookings().is_empty().then_some(()) };
    until("the booking is over", over).await.unwrap();
    assert_eq!(
        farm.told("lease.booking_cancelled").await,
        ["bob lease.booking_cancelled a", "ann lease.booking_cancelled a"]
    );
    let missed = farm.told("lease.booking_missed").await;
    assert!(missed[0].ends_with("lease.booking_missed a"), "{missed:?}");
}
