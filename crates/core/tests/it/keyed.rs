//! Nodes that only an access key stands for: who is let in, as whom, and for how long.

use std::sync::Arc;
use std::time::Duration;

use nave_core::api::{Node, NodeChange, NodeStatus};
use nave_core::hub::config::HubConfig;
use nave_core::hub::fleet::NodeHappening;
use nave_core::hub::nodes::keyed::{self, Admitted, Refusal, SharedKeyRule};
use nave_core::hub::nodes::{self, Stay};
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::{event, identity};
use nave_core::id::{NodeId, RequestId};
use nave_link::access_key::AccessKey;
use nave_testkit::fleet::TestFleet;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::node::TestNode;
use nave_testkit::wait::until;

use crate::bench::{Bench, on_both_engines};

on_both_engines!(
    a_key_of_its_own_makes_its_holder_that_node,
    the_shared_key_makes_a_node_and_binds_its_name,
    a_released_name_is_the_next_ones,
    the_shared_key_stands_for_nobody_who_has_more,
    a_key_is_good_until_its_grace_ends,
    presence_is_what_the_dialect_says,
);

struct World {
    hub: TestHub,
    bench: Bench,
    heard: Arc<std::sync::Mutex<Vec<NodeHappening>>>,
}

const BOUND: SharedKeyRule = SharedKeyRule::Bound;

impl World {
    async fn new(bench: Bench) -> Self {
        let fleet = Arc::new(TestFleet::default());
        let heard = Arc::clone(&fleet.heard);
        let setup = TestHubSetup {
            config: HubConfig { database: bench.database.clone(), ..HubConfig::default() },
            fleets: vec![fleet],
            clock: Some(bench.clock.clone()),
            ..TestHubSetup::default()
        };
        Self { hub: TestHub::with(setup).await.unwrap(), bench, heard }
    }

    fn from(&self, address: &str) -> Op {
        Op {
            actor: Actor::Anonymous,
            source: Some(address.parse().unwrap()),
            request: RequestId::new(),
            clock: self.bench.clock.clone(),
        }
    }

    async fn shared(&self) -> AccessKey {
        identity::show(&self.hub.operator(), self.hub.hub(), true).await.unwrap().parse().unwrap()
    }

    async fn mint(&self, name: &str, roles: &[&str], grace: Duration) -> AccessKey {
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        nodes::mint_key(&self.hub.operator(), self.hub.hub(), name, &roles, grace).await.unwrap()
    }

    async fn admit(&self, key: &AccessKey, from: &str, name: &str) -> Result<Admitted, Refusal> {
        keyed::admit(&self.from(from), self.hub.hub(), key, name, BOUND).await
    }

    async fn node(&self, name: &str) -> Node {
        nodes::show(&self.hub.operator(), self.hub.hub(), name).await.unwrap()
    }

    async fn events(&self, action: &str) -> usize {
        let filter = nave_core::api::EventFilter {
            after: Some(-1),
            action: Some(action.to_owned()),
            ..nave_core::api::EventFilter::default()
        };
        event::list(&self.hub.operator(), &self.hub.hub().store, &filter).await.unwrap().len()
    }

    async fn enter(&self, admitted: &Admitted, from: &str) -> Stay {
        nodes::enter(&self.from(from), self.hub.hub(), admitted, "naisys 3.0.0").await.unwrap()
    }

    fn heard(&self, node: NodeId) -> Vec<&'static str> {
        let word = |happening: &NodeHappening| match happening {
            NodeHappening::Joined(id) if *id == node => Some("joined"),
            NodeHappening::Lost(id) if *id == node => Some("lost"),
            NodeHappening::Revoked(id) if *id == node => Some("revoked"),
            _ => None,
        };
        self.heard.lock().unwrap().iter().filter_map(word).collect()
    }
}

async fn a_key_of_its_own_makes_its_holder_that_node(bench: Bench) {
    let world = World::new(bench).await;
    let key = world.mint("scanner", &["host"], Duration::ZERO).await;
    assert!(key.prefix().is_full(), "a key of one node begins with the whole fingerprint");
    assert_eq!(world.node("scanner").await.status, NodeStatus::Invited);

    let admitted = world.admit(&key, "192.0.2.7", "Some Other.Name").await.unwrap();
    assert_eq!((admitted.name(), admitted.said(), admitted.shared()), ("scanner", "Some-Other.Name", false));
    assert!(matches!(admitted.actor(), Actor::Node { id, .. } if *id == admitted.node()));
    assert_eq!(world.node("scanner").await.status, NodeStatus::Active);
    let joined = event::last(&world.hub.hub().store, "node.joined").await.unwrap().unwrap();
    assert_eq!((joined.actor.as_str(), joined.detail["said"].as_str()), ("scanner", Some("Some-Other.Name")));
    world.admit(&key, "198.51.100.9", "").await.expect("its key lets it in from anywhere, whatever it says");
    assert_eq!(world.events("node.joined").await, 1);

    let none = NodeChange { roles: Some(vec!["exporter".to_owned()]), ..NodeChange::default() };
    nodes::change(&world.hub.operator(), world.hub.hub(), "scanner", &none).await.unwrap();
    let refused = world.admit(&key, "192.0.2.7", "scanner").await.unwrap_err();
    assert!(matches!(refused, Refusal::Role(_)) && refused.is_final(), "{refused}");
    nodes::revoke(&world.hub.operator(), world.hub.hub(), "scanner").await.unwrap();
    for _ in 0..20 {
        let refused = world.admit(&key, "192.0.2.7", "scanner").await.unwrap_err();
        assert!(matches!(refused, Refusal::Revoked(_)) && refused.is_final(), "{refused}");
    }

    // A node that was invited without the role is not a member by trying.
    let without = world.mint("printer", &["exporter"], Duration::ZERO).await;
    assert!(matches!(world.admit(&without, "192.0.2.7", "").await, Err(Refusal::Role(_))));
    assert_eq!(world.node("printer").await.status, NodeStatus::Invited);

    let guessed: AccessKey =
        format!("{}.{}", without.reveal().rsplit_once('.').unwrap().0, "A".repeat(43)).parse().unwrap();
    for _ in 0..10 {
        let refused = world.admit(&guessed, "203.0.113.5", "printer").await.unwrap_err();
        assert!(matches!(refused, Refusal::WrongKey(_)) && refused.is_final(), "{refused}");
    }
    let slowed = world.admit(&key, "203.0.113.5", "x").await.unwrap_err();
    assert!(matches!(slowed, Refusal::Throttled(_)) && !slowed.is_final(), "{slowed}");
    assert_eq!(world.events("source.throttled").await, 1);
}

async fn the_shared_key_makes_a_node_and_binds_its_name(bench: Bench) {
    let world = World::new(bench).await;
    let key = world.shared().await;
    let first = world.admit(&key, "192.0.2.7", "build.box 1").await.unwrap();
    assert_eq!((first.name(), first.shared()), ("build.box-1", true));
    let node = world.node("build.box-1").await;
    assert_eq!((node.status, node.roles), (NodeStatus::Active, vec!["host".to_owned()]));
    assert_eq!(node.shared_key_from.as_deref(), Some("192.0.2.7"));
    let again = world.admit(&key, "192.0.2.7", "BUILD.BOX 1").await.unwrap();
    assert_eq!(again.node(), first.node());
    assert_eq!(world.events("node.joined").await, 1);

    for _ in 0..3 {
        let refused = world.admit(&key, "192.0.2.8", "build.box 1").await.unwrap_err();
        assert!(matches!(refused, Refusal::Bound(_)) && !refused.is_final(), "{refused}");
    }
    assert_eq!(world.events("node.name_refused").await, 1, "once in an hour");
    world.bench.clock.advance(Duration::from_secs(3601));
    assert!(world.admit(&key, "192.0.2.8", "build.box 1").await.is_err());
    assert_eq!(world.events("node.name_refused").await, 2);

    // A new name is the node's, and no second way to it.
    let new = NodeChange { name: Some("builder".to_owned()), ..NodeChange::default() };
    nodes::change(&world.hub.operator(), world.hub.hub(), "build.box-1", &new).await.unwrap();
    let renamed = world.admit(&key, "192.0.2.7", "build.box 1").await.unwrap();
    assert_eq!((renamed.node(), renamed.name()), (first.node(), "builder"));
    assert!(matches!(world.admit(&key, "192.0.2.8", "builder").await, Err(Refusal::Bound(_))));
    // One IPv6 network is one address.
    let six = world.admit(&key, "2001:db8:0:1::1", "six").await.unwrap();
    assert_eq!(world.admit(&key, "2001:db8:0:1::2", "six").await.unwrap().node(), six.node());
    assert!(world.admit(&key, "2001:db8:0:2::1", "six").await.is_err());

    for (rule, from, open) in [
        (SharedKeyRule::Loopback, "192.0.2.7", false),
        (SharedKeyRule::Loopback, "127.0.0.1", true),
        (SharedKeyRule::Loopback, "::1", true),
        (SharedKeyRule::Off, "127.0.0.1", false),
    ] {
        let admitted = keyed::admit(&world.from(from), world.hub.hub(), &key, "here", rule).await;
        match admitted {
            Ok(_) => assert!(open, "{rule:?} {from}"),
            Err(refused) => {
                assert!(matches!(refused, Refusal::SharedKey(_)) && refused.is_final() && !open, "{refused}");
            }
        }
    }
    let nameless = world.admit(&key, "192.0.2.7", " /// ").await.unwrap_err();
    assert!(matches!(nameless, Refusal::Name(_)) && nameless.is_final(), "{nameless}");
    let racing: Vec<_> = (0..10)
        .map(|at| {
            let address = format!("198.51.100.{at}");
            let (world, key) = (&world, &key);
            async move { world.admit(key, &address, "wanted").await.is_ok() }
        })
        .collect();
    let won = futures::future::join_all(racing).await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1, "a name has one first user");
}

async fn a_released_name_is_the_next_ones(bench: Bench) {
    let world = World::new(bench).await;
    let (key, op) = (world.shared().await, world.hub.operator());
    let first = world.admit(&key, "192.0.2.7", "box").await.unwrap();
    keyed::release(&op, world.hub.hub(), "box").await.unwrap();
    let second = world.admit(&key, "192.0.2.8", "box").await.unwrap();
    assert_eq!(second.node(), first.node());
    let old = keyed::check(&world.from("192.0.2.7"), world.hub.hub(), &first).await.unwrap_err();
    assert!(matches!(old, Refusal::Bound(_)), "{old}");
    assert!(keyed::check(&world.from("192.0.2.8"), world.hub.hub(), &second).await.unwrap().is_none());
    let released = event::last(&world.hub.hub().store, "node.released").await.unwrap().unwrap();
    assert_eq!((released.object.as_str(), released.detail["from"].as_str()), ("box", Some("192.0.2.7")));

    nodes::revoke(&op, world.hub.hub(), "box").await.unwrap();
    let refused = world.admit(&key, "192.0.2.8", "box").await.unwrap_err();
    assert!(matches!(refused, Refusal::Revoked(_)) && refused.is_final(), "{refused}");
    assert!(refused.to_string().contains("nave node release box"), "{refused}");
    keyed::release(&op, world.hub.hub(), "box").await.unwrap();
    let third = world.admit(&key, "192.0.2.9", "box").await.unwrap();
    assert_ne!(third.node(), first.node(), "another node, since that one was revoked");
    let unbound = world.mint("free", &["host"], Duration::ZERO).await;
    world.admit(&unbound, "192.0.2.9", "free").await.unwrap();
    assert_eq!(keyed::release(&op, world.hub.hub(), "free").await.unwrap_err().code(), "conflict");
    assert_eq!(keyed::release(&op, world.hub.hub(), "nobody").await.unwrap_err().code(), "not_found");
    let stranger = keyed::release(&world.from("192.0.2.9"), world.hub.hub(), "box").await.unwrap_err();
    assert_eq!(stranger.code(), "unauthenticated");
}

async fn the_shared_key_stands_for_nobody_who_has_more(bench: Bench) {
    let world = World::new(bench).await;
    let key = world.shared().await;
    let _joined = TestNode::join(&world.hub, "lab", &[], &[]).await.unwrap();
    world.hub.invite("expected", &[]).await.unwrap();
    let own = world.mint("scanner", &["host"], Duration::ZERO).await;
    world.admit(&own, "192.0.2.7", "scanner").await.unwrap();
    for name in ["lab", "expected", "scanner"] {
        let refused = world.admit(&key, "192.0.2.7", name).await.unwrap_err();
        assert!(matches!(refused, Refusal::OwnKey(_)) && refused.is_final(), "{name}: {refused}");
    }
    // A node that came by the shared key and is given one of its own uses that from then on.
    let before = world.admit(&key, "192.0.2.7", "mover").await.unwrap();
    let own = world.mint("mover", &[], Duration::ZERO).await;
    assert!(matches!(world.admit(&key, "192.0.2.7", "mover").await, Err(Refusal::OwnKey(_))));
    let old = keyed::check(&world.from("192.0.2.7"), world.hub.hub(), &before).await;
    assert!(matches!(old, Err(Refusal::OwnKey(_))), "{old:?}");
    assert_eq!(world.admit(&own, "198.51.100.1", "mover").await.unwrap().node(), before.node());
}

async fn a_key_is_good_until_its_grace_ends(bench: Bench) {
    let world = World::new(bench).await;
    let minutes = Duration::from_mins;
    let old = world.mint("scanner", &["host"], Duration::ZERO).await;
    let admitted = world.admit(&old, "192.0.2.7", "scanner").await.unwrap();
    let op = world.from("192.0.2.7");
    let hub = world.hub.hub();
    assert!(keyed::check(&op, hub, &admitted).await.unwrap().is_none());
    let mut notices = hub.bus.subscribe();
    world.mint("scanner", &[], minutes(10)).await;
    let told = async { while !matches!(notices.recv().await, Ok(notice) if notice.topic == "node") {} };
    told.await;
    let ends = keyed::check(&op, hub, &admitted).await.unwrap();
    assert_eq!(ends, Some(world.bench.clock.now() + minutes(10)));
    world.bench.clock.advance(minutes(10));
    assert!(matches!(keyed::check(&op, hub, &admitted).await, Err(Refusal::WrongKey(_))));
    assert!(matches!(world.admit(&old, "192.0.2.7", "scanner").await, Err(Refusal::WrongKey(_))));

    let shared = world.admit(&world.shared().await, "192.0.2.7", "box").await.unwrap();
    identity::rotate(&world.hub.operator(), hub, minutes(10)).await.unwrap();
    assert_eq!(keyed::check(&op, hub, &shared).await.unwrap(), Some(world.bench.clock.now() + minutes(10)));
    world.bench.clock.advance(minutes(10));
    assert!(matches!(keyed::check(&op, hub, &shared).await, Err(Refusal::WrongKey(_))));
    assert!(world.admit(&world.shared().await, "192.0.2.7", "box").await.is_ok());
}

async fn presence_is_what_the_dialect_says(bench: Bench) {
    let world = World::new(bench).await;
    let hub = world.hub.hub();
    let key = world.mint("scanner", &["host"], Duration::ZERO).await;
    let admitted = world.admit(&key, "192.0.2.7", "scanner").await.unwrap();
    let id = admitted.node();
    let mut first = world.enter(&admitted, "192.0.2.7").await;
    let shown = world.node("scanner").await;
    assert_eq!((shown.online, shown.version.as_str()), (true, "naisys 3.0.0"));
    assert_eq!(shown.address.as_deref(), Some("192.0.2.7"));
    assert_eq!(hub.presence.count(), 1);
    assert_eq!(nodes::lost(hub).await.unwrap(), (1, vec![]));
    assert_eq!(world.heard(id), ["joined"]);

    // The newer connection takes the place of the older, which is told, and whose end changes nothing.
    let second = world.enter(&admitted, "192.0.2.8").await;
    assert!(first.ended().await.contains("newer connection"));
    first.leave().await;
    assert_eq!(world.node("scanner").await.address.as_deref(), Some("192.0.2.8"));
    assert_eq!(world.heard(id), ["joined"]);
    world.bench.clock.advance(Duration::from_secs(90));
    drop(second);
    until("the fleet heard", || async { (world.heard(id) == ["joined", "lost"]).then_some(()) })
        .await
        .unwrap();
    let seen = || async {
        let shown = world.node("scanner").await;
        (shown.last_seen_at == Some(world.bench.clock.now()) && !shown.online).then_some(shown)
    };
    let shown = until("it was last seen as it went", seen).await.unwrap();
    assert_eq!(shown.address.as_deref(), Some("192.0.2.8"));
    keyed::note_used_twice(&world.from("198.51.100.7"), hub, &admitted, "192.0.2.8").await.unwrap();
    keyed::note_used_twice(&world.from("198.51.100.7"), hub, &admitted, "192.0.2.8").await.unwrap();
    assert_eq!(world.events("node.used_twice").await, 1);

    let mut third = world.enter(&admitted, "192.0.2.7").await;
    nodes::revoke(&world.hub.operator(), hub, "scanner").await.unwrap();
    assert_eq!(third.ended().await, "this node was revoked");
    third.leave().await;
    assert_eq!(world.heard(id), ["joined", "lost", "joined", "revoked"]);
    assert!(nodes::enter(&world.from("192.0.2.7"), hub, &admitted, "naisys 3.0.0").await.is_err());
    assert_eq!(hub.presence.count(), 0);
    let mut stopped = {
        let other = world.admit(&world.shared().await, "192.0.2.7", "box").await.unwrap();
        world.enter(&other, "192.0.2.7").await
    };
    world.hub.stop().await;
    assert_eq!(stopped.ended().await, "the hub is stopping");
}
