//! Whatever happens to tasks in whatever order, with hubs that are killed and clocks that are set back in between: no
//! attempt has two takers, no task is lost, and none is finished in two ways.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What can happen. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Put {
        key: u8,
        to: Option<u8>,
    },
    Take {
        node: u8,
    },
    Finish {
        which: u8,
        result: u8,
    },
    Fail {
        which: u8,
        again: bool,
    },
    Extend {
        which: u8,
    },
    Cancel {
        which: u8,
    },
    Later {
        minutes: u8,
    },
    Back {
        minutes: u8,
    },
    /// An act that is cut off after so many steps.
    Cut {
        which: u8,
        polls: u8,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, prop::option::of(0..3_u8)).prop_map(|(key, to)| Step::Put { key, to }),
        6 => (0..3_u8).prop_map(|node| Step::Take { node }),
        4 => (any::<u8>(), 0..2_u8).prop_map(|(which, result)| Step::Finish { which, result }),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(which, again)| Step::Fail { which, again }),
        2 => any::<u8>().prop_map(|which| Step::Extend { which }),
        1 => any::<u8>().prop_map(|which| Step::Cancel { which }),
        3 => (0..12_u8).prop_map(|minutes| Step::Later { minutes }),
        1 => (0..90_u8).prop_map(|minutes| Step::Back { minutes }),
        2 => (any::<u8>(), 0..30_u8).prop_map(|(which, polls)| Step::Cut { which, polls }),
        1 => Just(Step::Restart),
    ]
}

/// What everybody was told.
#[derive(Default)]
struct Told {
    put: BTreeSet<TaskId>,
    /// Who took which attempt.
    taken: BTreeMap<(TaskId, i64), NodeId>,
    finished: BTreeMap<TaskId, String>,
}

impl Told {
    fn one(&self, which: u8) -> Option<((TaskId, i64), NodeId)> {
        let at = usize::from(which) % self.taken.len().max(1);
        self.taken.iter().nth(at).map(|(attempt, node)| (*attempt, *node))
    }
}

async fn run(bench: &Bench, steps: Vec<Step>) {
    let ids = [NodeId::new(), NodeId::new(), NodeId::new()];
    let mut world = world(bench).await;
    let mut told = Told::default();
    for step in steps {
        let hub = Arc::clone(world.hub());
        match step {
            Step::Put { key, to } => {
                let put = world.put(&format!("key {key}"), to.map(|to| ids[usize::from(to)])).await;
                assert_eq!(put.new, told.put.insert(put.id), "the same task is new once");
            }
            Step::Take { node } => {
                let node = ids[usize::from(node)];
                for taken in tasks::take(&world.node(node), &hub, WORK, node, 2).await.unwrap() {
                    let other = told.taken.insert((taken.id, taken.attempt), node);
                    assert_eq!(other, None, "an attempt has one taker");
                    assert!(!told.finished.contains_key(&taken.id), "what is finished is not given out");
                }
            }
            Step::Finish { which, result } => {
                let Some(((id, attempt), node)) = told.one(which) else { continue };
                let result = format!("result {result}");
                if world.finish(node, id, attempt, &result).await.is_ok() {
                    let before = told.finished.insert(id, result.clone());
                    assert!(before.is_none_or(|before| before == result), "finished in two ways");
                }
            }
            Step::Fail { which, again } => {
                let Some(((id, attempt), node)) = told.one(which) else { continue };
                let failure = Failure { reason: "it did not work".to_owned(), again };
                if world.fail(node, id, attempt, &failure).await.is_ok() {
                    assert!(!told.finished.contains_key(&id), "what is finished does not fail");
                }
            }
            Step::Extend { which } => {
                let Some(((id, attempt), node)) = told.one(which) else { continue };
                if tasks::extend(&world.node(node), &hub, id, attempt, node).await.is_ok() {
                    let later = told.taken.range((id, attempt + 1)..=(id, i64::MAX)).count();
                    assert_eq!(later, 0, "an older attempt counts no more");
                }
            }
            Step::Cancel { which } => {
                let Some(((id, _), _)) = told.one(which) else { continue };
                if tasks::cancel(&world.hub.operator(), &hub, &id.to_string()).await.is_ok() {
                    assert!(!told.finished.contains_key(&id), "what is finished is not called off");
                }
            }
            Step::Later { minutes } => world.clock.advance(Duration::from_mins(minutes.into())),
            Step::Back { minutes } => world.clock.set_back(Duration::from_mins(minutes.into())),
            Step::Cut { which, polls } => {
                let Some(((id, attempt), node)) = told.one(which) else { continue };
                let op = world.node(node);
                let result = json!("result 0");
                let mut cut = Box::pin(tasks::finish(&op, &hub, id, attempt, node, &result));
                for _ in 0..polls {
                    if futures::poll!(cut.as_mut()).is_ready() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            Step::Restart => {
                let folder = world.hub.folder();
                world.hub.stop().await;
                world = start(bench, folder).await;
            }
        }
        check(&world, &told).await;
    }
}

/// Every task is there, and where it should be.
async fn check(world: &World, told: &Told) {
    let filter = TaskFilter { limit: Some(1000), ..TaskFilter::default() };
    let all = tasks::list(&world.hub.operator(), world.hub(), &filter).await.unwrap();
    let there: BTreeSet<TaskId> = all.iter().map(|task| task.id.parse().unwrap()).collect();
    assert!(told.put.is_subset(&there), "a task is lost");
    let mut keys = BTreeSet::new();
    for task in &all {
        let id: TaskId = task.id.parse().unwrap();
        let most = told.taken.range((id, 0)..=(id, i64::MAX)).map(|((_, attempt), _)| *attempt).max();
        assert_eq!(task.attempt, most.unwrap_or(0), "each attempt was told to somebody");
        if told.finished.contains_key(&id) {
            assert_eq!(task.state, TaskState::Finished);
            assert_eq!(world.show(id).await.result, Some(json!(told.finished[&id])));
        }
        match task.state {
            TaskState::Queued | TaskState::Taken => {
                assert!(keys.insert(task.key.clone()), "two unfinished tasks with one key");
                assert!(task.ended_at.is_none());
            }
            TaskState::Finished | TaskState::Failed | TaskState::Cancelled => {
                assert!(task.ended_at.is_some() && task.due_at.is_none());
            }
        }
        assert!(task.attempt <= 3);
    }
}

fn on(bench: &Bench, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(bench, steps));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn on_sqlite(steps in prop::collection::vec(step(), 1..60)) {
        on(&Bench::sqlite(), steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn on_postgres(steps in prop::collection::vec(step(), 1..40)) {
        if let Some(bench) = Bench::postgres() {
            on(&bench, steps);
        }
    }
}
