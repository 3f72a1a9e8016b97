//! Tasks on a whole hub, on both engines: what is durable, who has what, and what counts.

mod any_order;

use std::sync::Arc;
use std::time::Duration;

use nave_core::api::{EventFilter, NodeRole, Task, TaskFilter, TaskState};
use nave_core::clock::Clock;
use nave_core::hub::access::NodeRoles;
use nave_core::hub::bus::Notice;
use nave_core::hub::config::HubConfig;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::tasks::{self, Failure, NewTask, Put, Taken};
use nave_core::hub::{event, nodes};
use nave_core::id::{NodeId, RequestId, TaskId};
use nave_testkit::fleet::{TestFleet, WORK};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::wait::until;
use serde_json::json;
use tempfile::TempDir;

use crate::bench::{Bench, on_both_engines};

on_both_engines!(
    a_task_is_put_taken_and_finished,
    an_attempt_that_fails_is_followed_by_another,
    an_attempt_that_is_not_heard_of_is_lost,
    a_task_is_somebodys_or_whoever_takes_it,
    who_may_not_is_refused,
    a_clock_that_is_set_back_delays_nothing_for_long,
    tasks_are_listed_called_off_and_forgotten,
    a_revoked_nodes_tasks_go_on_or_fail,
    many_takers_share_and_nobody_gets_what_another_has,
    tasks_survive_a_killed_hub,
);

struct World {
    hub: TestHub,
    clock: Clock,
}

async fn start(bench: &Bench, folder: Arc<TempDir>) -> World {
    let clock = bench.clock.clone();
    let setup = TestHubSetup {
        config: HubConfig { database: bench.database.clone(), ..HubConfig::default() },
        fleets: vec![Arc::new(TestFleet::default())],
        clock: Some(clock.clone()),
        ..TestHubSetup::default()
    };
    World { hub: TestHub::on(folder, setup).await.unwrap(), clock }
}

async fn world(bench: &Bench) -> World {
    start(bench, Arc::new(tempfile::tempdir().unwrap())).await
}

fn failure(reason: &str) -> Failure {
    Failure { reason: reason.to_owned(), again: true }
}

impl World {
    fn hub(&self) -> &Arc<Hub> {
        self.hub.hub()
    }

    fn node(&self, id: NodeId) -> Op {
        let actor = Actor::Node { id, name: "box".to_owned(), roles: NodeRoles::of(&[NodeRole::Host]) };
        Op { actor, source: None, request: RequestId::new(), clock: self.clock.clone() }
    }

    async fn put(&self, key: &str, node: Option<NodeId>) -> Put {
        self.put_later(key, node, Duration::ZERO).await
    }

    async fn put_later(&self, key: &str, node: Option<NodeId>, delay: Duration) -> Put {
        let task =
            NewTask { kind: WORK, key: Some(key.to_owned()), node, payload: json!({ "start": key }), delay };
        tasks::put(&self.hub().op("test"), self.hub(), task).await.unwrap()
    }

    async fn take(&self, node: NodeId) -> Option<Taken> {
        tasks::take(&self.node(node), self.hub(), WORK, node, 1).await.unwrap().pop()
    }

    async fn finish(&self, node: NodeId, id: TaskId, attempt: i64, result: &str) -> Result<()> {
        tasks::finish(&self.node(node), self.hub(), id, attempt, node, &json!(result)).await
    }

    async fn fail(&self, node: NodeId, id: TaskId, attempt: i64, failure: &Failure) -> Result<()> {
        tasks::fail(&self.node(node), self.hub(), id, attempt, node, failure).await
    }

    async fn show(&self, id: TaskId) -> Task {
        tasks::show(&self.hub.operator(), self.hub(), &id.to_string()).await.unwrap()
    }

    async fn is_soon(&self, id: TaskId, state: TaskState) {
        let reached = || async { (self.show(id).await.state == state).then_some(()) };
        until("the task is as expected", reached).await.unwrap();
    }

    /// The job that looks after tasks sleeps by the machine's clock, and the test's stands still: it is woken as it would be.
    fn look(&self) {
        self.hub().bus.publish(Notice { topic: "task.due", key: String::new() });
    }

    /// Puts the clock to when a task is due; until the job that looks after it has come, others may look in vain.
    async fn wait_for_due(&self, id: TaskId) {
        let due = self.show(id).await.due_at.unwrap();
        self.clock.advance((due - self.clock.now()).try_into().unwrap());
    }
}

fn conflict(result: Result<()>, words: &str) {
    match result {
        Err(Error::Conflict(told)) => assert!(told.contains(words), "{told}"),
        other => panic!("{other:?}, and not: {words}"),
    }
}

async fn a_task_is_put_taken_and_finished(bench: Bench) {
    let world = world(&bench).await;
    let (node, mut notices) = (NodeId::new(), world.hub().bus.subscribe());
    let put = world.put("one", None).await;
    assert!(put.new);
    assert_eq!(world.put("one", None).await, Put { new: false, ..put }, "there is one already");
    let told = async {
        loop {
            let notice = notices.recv().await.unwrap();
            if notice.topic == "task" {
                return notice.key;
            }
        }
    };
    assert_eq!(told.await, format!("{WORK} {}", put.id));

    let taken = world.take(node).await.unwrap();
    assert_eq!((taken.id, taken.attempt, taken.payload), (put.id, 1, json!({ "start": "one" })));
    assert_eq!(taken.until, world.clock.now() + Duration::from_mins(5));
    assert_eq!(world.take(NodeId::new()).await, None);
    assert!(!world.put("one", None).await.new, "a taken one is unfinished too");

    conflict(world.finish(node, put.id, 2, "done").await, "another one is under way");
    conflict(world.finish(NodeId::new(), put.id, 1, "done").await, "another one is under way");
    world.finish(node, put.id, 1, "done").await.unwrap();
    world.finish(node, put.id, 1, "done").await.unwrap();
    conflict(world.finish(node, put.id, 1, "done otherwise").await, "finished already");
    conflict(world.fail(node, put.id, 1, &failure("no")).await, "finished already");
    let shown = world.show(put.id).await;
    assert_eq!(
        (shown.state, shown.result, shown.ended_at),
        (TaskState::Finished, Some(json!("done")), Some(world.clock.now()))
    );
    let next = world.put("one", None).await;
    assert!(next.new && next.id != put.id, "what has ended is in nobody's way");
    assert_eq!(world.finish(node, TaskId::new(), 1, "x").await.unwrap_err().code(), "not_found");
}

async fn an_attempt_that_fails_is_followed_by_another(bench: Bench) {
    let world = world(&bench).await;
    let node = NodeId::new();
    let put = world.put("one", None).await;
    for attempt in 1..=3 {
        let taken = world.take(node).await.unwrap();
        assert_eq!((taken.id, taken.attempt), (put.id, attempt));
        world.fail(node, put.id, attempt, &failure("no room")).await.unwrap();
        world.fail(node, put.id, attempt, &failure("no room")).await.unwrap();
        conflict(world.finish(node, put.id, attempt, "after all").await, "counts no more");
        let shown = world.show(put.id).await;
        assert_eq!(shown.error.as_deref(), Some("no room"));
        if attempt == 3 {
            assert_eq!(shown.state, TaskState::Failed);
            break;
        }
        let whole = Duration::from_secs(10) * u32::try_from(attempt).unwrap();
        let pause = shown.due_at.unwrap() - world.clock.now();
        assert!(pause >= whole / 2 && pause <= whole, "{pause}");
        assert_eq!(world.take(node).await, None, "not before its pause is over");
        world.wait_for_due(put.id).await;
    }
    assert_eq!(world.take(node).await, None);
    let hopeless = world.put("two", None).await;
    let taken = world.take(node).await.unwrap();
    let for_good = Failure { again: false, ..failure("there is no such thing") };
    world.fail(node, hopeless.id, taken.attempt, &for_good).await.unwrap();
    assert_eq!(world.show(hopeless.id).await.state, TaskState::Failed);
    // Put for later, told when it is time.
    let later = world.put_later("later", None, Duration::from_mins(1)).await;
    assert_eq!(world.take(node).await, None);
    world.wait_for_due(later.id).await;
    assert_eq!(world.take(node).await.map(|taken| taken.id), Some(later.id));
}

async fn an_attempt_that_is_not_heard_of_is_lost(bench: Bench) {
    let world = world(&bench).await;
    let (first, second) = (NodeId::new(), NodeId::new());
    let put = world.put("one", None).await;
    world.take(first).await.unwrap();
    world.clock.advance(Duration::from_mins(4));
    let extended = tasks::extend(&world.node(first), world.hub(), put.id, 1, first).await.unwrap();
    assert_eq!(extended, world.clock.now() + Duration::from_mins(5));
    world.clock.advance(Duration::from_mins(4));
    assert_eq!(world.show(put.id).await.state, TaskState::Taken, "it was heard of");
    world.wait_for_due(put.id).await;
    world.look();
    world.is_soon(put.id, TaskState::Queued).await;
    assert!(world.show(put.id).await.error.unwrap().contains("its time was over"));
    conflict(world.finish(first, put.id, 1, "late").await, "waits for another one");
    let extended = tasks::extend(&world.node(first), world.hub(), put.id, 1, first).await;
    conflict(extended.map(drop), "counts no more");
    let mut notices = world.hub().bus.subscribe();
    world.wait_for_due(put.id).await;
    world.look();
    let told = async {
        while !matches!(notices.recv().await, Ok(notice) if notice.key == format!("{WORK} {}", put.id)) {}
    };
    told.await;
    assert_eq!(world.take(second).await.map(|taken| (taken.id, taken.attempt)), Some((put.id, 2)));
    conflict(world.finish(first, put.id, 1, "later still").await, "another one is under way");
    world.finish(second, put.id, 2, "done").await.unwrap();
}

async fn a_task_is_somebodys_or_whoever_takes_it(bench: Bench) {
    let world = world(&bench).await;
    let (one, other) = (NodeId::new(), NodeId::new());
    let (for_one, for_any) = (world.put("mine", Some(one)).await, world.put("any", None).await);
    assert_eq!(world.take(other).await.map(|taken| taken.id), Some(for_any.id));
    assert_eq!(world.take(other).await, None);
    assert_eq!(world.take(one).await.map(|taken| taken.id), Some(for_one.id));
    // Those that wait longest come first, as many as are wanted.
    let put = [world.put("a", None).await, world.put("b", None).await, world.put("c", None).await];
    let taken = tasks::take(&world.hub().op("test"), world.hub(), WORK, one, 2).await.unwrap();
    assert_eq!(taken.iter().map(|taken| taken.id).collect::<Vec<_>>(), [put[0].id, put[1].id]);
}

async fn who_may_not_is_refused(bench: Bench) {
    let world = world(&bench).await;
    let (node, other) = (NodeId::new(), NodeId::new());
    let put = world.put("one", None).await;
    let another = tasks::take(&world.node(other), world.hub(), WORK, node, 1).await.unwrap_err();
    assert_eq!(another.code(), "forbidden");
    let person = tasks::take(&world.hub.operator(), world.hub(), WORK, node, 1).await.unwrap_err();
    assert_eq!(person.code(), "forbidden");
    let roles = NodeRoles::of(&[NodeRole::Exporter]);
    let actor = Actor::Node { id: node, name: "box".to_owned(), roles };
    let exporter = Op { actor, ..world.node(node) };
    assert_eq!(tasks::take(&exporter, world.hub(), WORK, node, 1).await.unwrap_err().code(), "forbidden");
    world.take(node).await.unwrap();
    let elses = tasks::finish(&world.node(other), world.hub(), put.id, 1, node, &json!(1)).await.unwrap_err();
    assert_eq!(elses.code(), "forbidden");
    let nobody = Op { actor: Actor::Anonymous, ..world.node(node) };
    for refused in [
        tasks::show(&nobody, world.hub(), &put.id.to_string()).await.map(drop),
        tasks::cancel(&nobody, world.hub(), &put.id.to_string()).await,
        tasks::list(&nobody, world.hub(), &TaskFilter::default()).await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), "unauthenticated");
    }
    let op = world.hub.operator();
    let new = |kind, payload| NewTask { kind, key: None, node: None, payload, delay: Duration::ZERO };
    let odd = tasks::put(&op, world.hub(), new("no.such", json!(1))).await.unwrap_err();
    assert_eq!(odd.code(), "not_found");
    let large = tasks::put(&op, world.hub(), new(WORK, json!("x".repeat(70_000)))).await.unwrap_err();
    assert_eq!(large.code(), "invalid");
    let by_nobody = tasks::put(&nobody, world.hub(), new(WORK, json!(1))).await.unwrap_err();
    assert_eq!(by_nobody.code(), "unauthenticated");
}

async fn a_clock_that_is_set_back_delays_nothing_for_long(bench: Bench) {
    let world = world(&bench).await;
    let node = NodeId::new();
    let day = Duration::from_hours(24);
    let (waits, works) = (world.put("waits", None).await, world.put("works", None).await);
    for put in [waits, works] {
        assert_eq!(world.take(node).await.unwrap().id, put.id);
    }
    world.fail(node, waits.id, 1, &failure("not now")).await.unwrap();
    let ready = world.put("ready", None).await;
    world.clock.set_back(day);
    // Nobody knows how much of the pause is left, so there is none; what never had one has none.
    let taken = tasks::take(&world.node(node), world.hub(), WORK, node, 5).await.unwrap();
    assert_eq!(taken.iter().map(|taken| taken.id).collect::<Vec<_>>(), [waits.id, ready.id]);
    // The job counts from now what it finds to be of a later time.
    world.put_later("other", None, Duration::from_millis(1)).await;
    let counted = || async {
        let due = world.show(works.id).await.due_at?;
        (due <= world.clock.now() + Duration::from_mins(5)).then_some(())
    };
    until("its time is counted by the new clock", counted).await.unwrap();
    world.finish(node, works.id, 1, "done").await.unwrap();
}

async fn tasks_are_listed_called_off_and_forgotten(bench: Bench) {
    let world = world(&bench).await;
    let (op, node) = (world.hub.operator(), NodeId::new());
    let task = NewTask {
        kind: WORK,
        key: Some("k".to_owned()),
        node: None,
        payload: json!(7),
        delay: Duration::ZERO,
    };
    let put = tasks::put(&op, world.hub(), task).await.unwrap();
    let other = world.put("other", None).await;
    let list = async |filter: TaskFilter| {
        let listed = tasks::list(&op, world.hub(), &filter).await.unwrap();
        listed.into_iter().map(|task| task.key).collect::<Vec<_>>()
    };
    assert_eq!(list(TaskFilter::default()).await, ["other", "k"]);
    assert_eq!(list(TaskFilter { limit: Some(1), ..TaskFilter::default() }).await, ["other"]);
    let before = Some(other.id.to_string());
    assert_eq!(list(TaskFilter { before, ..TaskFilter::default() }).await, ["k"]);
    assert_eq!(world.take(node).await.unwrap().id, put.id);
    assert_eq!(list(TaskFilter { state: Some(TaskState::Taken), ..TaskFilter::default() }).await, ["k"]);
    let kind = Some("another.kind".to_owned());
    assert!(list(TaskFilter { kind, ..TaskFilter::default() }).await.is_empty());
    let nowhere = TaskFilter { node: Some("nowhere".to_owned()), ..TaskFilter::default() };
    assert_eq!(tasks::list(&op, world.hub(), &nowhere).await.unwrap_err().code(), "not_found");

    for id in [put.id, other.id] {
        tasks::cancel(&op, world.hub(), &id.to_string()).await.unwrap();
    }
    conflict(tasks::cancel(&op, world.hub(), &put.id.to_string()).await, "cancelled already");
    conflict(world.finish(node, put.id, 1, "too late").await, "was cancelled");
    assert_eq!(world.take(node).await, None);
    let filter = EventFilter { after: Some(-1), action: Some("task".to_owned()), ..EventFilter::default() };
    let events = event::list(&op, &world.hub().store, &filter).await.unwrap();
    let told: Vec<String> = events.iter().map(|event| format!("{} {}", event.action, event.object)).collect();
    let expected = [
        "task.put testfleet.work k",
        "task.cancelled testfleet.work k",
        "task.cancelled testfleet.work other",
    ];
    assert_eq!(told, expected, "what the hub does by itself is no event");

    // A hub that starts looks for what is old.
    let folder = world.hub.folder();
    world.hub.stop().await;
    bench.clock.advance(Duration::from_hours(25));
    let world = start(&bench, folder).await;
    world.put("new", None).await;
    let forgotten = || async {
        let all = tasks::list(&world.hub.operator(), world.hub(), &TaskFilter::default()).await.ok()?;
        (all.len() == 1).then_some(all)
    };
    assert_eq!(until("the old ones are forgotten", forgotten).await.unwrap()[0].key, "new");
}

async fn a_revoked_nodes_tasks_go_on_or_fail(bench: Bench) {
    let world = world(&bench).await;
    let op = world.hub.operator();
    nodes::mint_key(&op, world.hub(), "scanner", &["host".to_owned()], Duration::ZERO).await.unwrap();
    let key = nodes::mint_key(&op, world.hub(), "box", &["host".to_owned()], Duration::ZERO).await.unwrap();
    let nobody = Op { actor: Actor::Anonymous, ..op.clone() };
    let rule = nodes::keyed::SharedKeyRule::Off;
    let node = nodes::keyed::admit(&nobody, world.hub(), &key, "box", rule).await.unwrap().node();
    let (any, own, other) =
        (world.put("any", None).await, world.put("own", Some(node)).await, world.put("other", None).await);
    for put in [any, own] {
        assert_eq!(world.take(node).await.unwrap().id, put.id);
    }
    assert_eq!(world.show(own.id).await.node.as_deref(), Some("box"));
    let by_name = TaskFilter { node: Some("box".to_owned()), ..TaskFilter::default() };
    assert_eq!(tasks::list(&op, world.hub(), &by_name).await.unwrap().len(), 2);
    nodes::revoke(&op, world.hub(), "box").await.unwrap();
    assert_eq!(world.show(own.id).await.state, TaskState::Failed);
    assert_eq!(world.show(any.id).await.state, TaskState::Queued);
    assert_eq!(world.show(other.id).await.error, None);
    let successor = NodeId::new();
    let taken = world.take(successor).await.unwrap();
    assert_eq!((taken.id, taken.attempt), (any.id, 2));
    conflict(world.finish(node, any.id, 1, "mine").await, "another one is under way");
}

async fn many_takers_share_and_nobody_gets_what_another_has(bench: Bench) {
    let world = world(&bench).await;
    for number in 0..40 {
        world.put(&format!("task {number}"), None).await;
    }
    let takers = (0..8).map(|_| {
        let (op, hub) = (world.hub().op("test"), Arc::clone(world.hub()));
        tokio::spawn(async move {
            let (node, mut all) = (NodeId::new(), Vec::new());
            loop {
                let taken = tasks::take(&op, &hub, WORK, node, 3).await.unwrap();
                if taken.is_empty() {
                    return all;
                }
                for task in taken {
                    tasks::finish(&op, &hub, task.id, task.attempt, node, &json!(1)).await.unwrap();
                    all.push(task.id);
                }
            }
        })
    });
    let taken = futures::future::join_all(takers).await;
    let mut all: Vec<TaskId> = taken.into_iter().flat_map(Result::unwrap).collect();
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!((all.len(), count), (40, 40));
}

async fn tasks_survive_a_killed_hub(bench: Bench) {
    let world = world(&bench).await;
    let node = NodeId::new();
    let (taken, queued) = (world.put("taken", None).await, world.put("queued", None).await);
    world.take(node).await.unwrap();
    // Acts that were begun and are cut off after every possible number of steps.
    for polls in 0..60 {
        let mut cut = Box::pin(world.finish(node, taken.id, 9, "never"));
        let mut put = Box::pin(world.put("queued", None));
        for _ in 0..polls {
            let over = futures::poll!(cut.as_mut()).is_ready() | futures::poll!(put.as_mut()).is_ready();
            if over {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let folder = world.hub.folder();
    world.hub.stop().await;
    let world = start(&bench, folder).await;
    assert_eq!(world.show(taken.id).await.state, TaskState::Taken);
    let all = tasks::list(&world.hub.operator(), world.hub(), &TaskFilter::default()).await.unwrap();
    assert_eq!(all.len(), 2);
    world.finish(node, taken.id, 1, "done").await.unwrap();
    assert_eq!(world.take(node).await.map(|taken| taken.id), Some(queued.id));
    // What was taken when the hub went, and is not heard of, is found by the next one.
    let folder = world.hub.folder();
    world.hub.stop().await;
    bench.clock.advance(Duration::from_mins(6));
    let world = start(&bench, folder).await;
    world.is_soon(queued.id, TaskState::Queued).await;
}
