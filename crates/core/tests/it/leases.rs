//! Leases on a whole hub, on both engines: what is durable, what survives a restart, and what nobody can leak.

use std::sync::Arc;
use std::time::Duration;

use nave_core::api::EventFilter;
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_core::hub::error::Error;
use nave_core::hub::event;
use nave_core::hub::leases::{Granted, Heir, Holder, LeaseError, Leases, Pool, Seat, Spans, Wanted};
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

fn heir(op: &Op, seat: Option<Seat>) -> Heir {
    Heir { holder: Holder::of(op), seat, address: None }
}

impl Farm {
    fn pool(&self) -> &Arc<Pool> {
        self.hub.hub().leases.pool("testfleet").unwrap()
    }

    fn client(&self, name: &str) -> Op {
        let client = Client { dialect: "test", id: name.to_owned(), name: name.to_owned(), may: vec![TAKE] };
        let actor = Actor::Client(client);
        Op { actor, source: None, request: RequestId::new(), clock: self.clock.clone() }
    }

    async fn ask(&self, name: &str, seat: u64, things: &[&str]) -> Result<Granted, LeaseError> {
        let acceptable = things.iter().map(|&thing| thing.to_owned()).collect();
        let wanted = Wanted {
            acceptable,
            seat: Some(Seat(seat)),
            label: String::new(),
            expires_in: None,
            waits: true,
        };
        self.pool().acquire(&self.client(name), self.hub.hub(), wanted, |_| 0).await
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
        farm.pool().vanish(&farm.hub.operator(), "a");
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
    let wanted = Wanted {
        acceptable: vec!["a".to_owned()],
        seat: Some(Seat(1)),
        label: String::new(),
        expires_in: Some(GRACE),
        waits: true,
    };
    let ann = farm.client("ann");
    let lease = farm.pool().acquire(&ann, farm.hub.hub(), wanted, |_| 0).await.unwrap().keep();
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
    let wanted = Wanted {
        acceptable: vec!["a".to_owned()],
        seat: Some(Seat(3)),
        label: String::new(),
        expires_in: None,
        waits: true,
    };
    let refused = farm.pool().acquire(&nobody, hub, wanted, |_| 0).await.unwrap_err();
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
