//! What the store promises, whichever engine is behind it.

use std::sync::Arc;

use nave_core::clock::Clock;
use nave_core::hub::bus::LocalBus;
use nave_core::hub::event::{self, Event, Filter, Order};
use nave_core::hub::op::Op;
use nave_core::hub::store::{CORE, DatabaseUrl, OpenOptions, Store};
use nave_testkit::postgres::Postgres;
use tempfile::TempDir;

struct Bench {
    folder: TempDir,
    url: DatabaseUrl,
    clock: Clock,
    bus: Arc<LocalBus>,
}

impl Bench {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::in_folder(folder.path());
        Self { folder, url, clock: Clock::system(), bus: Arc::default() }
    }

    fn postgres() -> Self {
        let url = Postgres::shared().unwrap().database().unwrap().parse().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), url, clock: Clock::system(), bus: Arc::default() }
    }

    async fn open(&self) -> Store {
        Store::open(OpenOptions {
            url: &self.url,
            folder: self.folder.path(),
            migrations: &[CORE],
            clock: &self.clock,
            bus: self.bus.clone(),
        })
        .await
        .unwrap()
    }
}

fn event(number: usize) -> Event<'static> {
    Event {
        action: "test.done",
        object_kind: "test",
        object_id: number.to_string(),
        object_name: "one",
        detail: serde_json::json!({ "number": number }),
    }
}

async fn acts_are_committed_in_groups(bench: Bench) {
    let store = bench.open().await;
    let op = Op::hub("test", bench.clock.clone());
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (store, op) = (store.clone(), op.clone());
            tokio::spawn(async move {
                let mut act = store.begin().await.unwrap();
                event::record(&mut act, &op, event(number)).await.unwrap();
                act.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows = event::list(&store, &Filter::default(), Order::OldestFirst, 1000).await.unwrap();
    assert_eq!(rows.len(), 100);
    let counts = store.write_counts();
    assert_eq!(counts.acts, 100);
    assert!(counts.commits < 100, "{counts:?}");
    store.close().await;
}

macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Bench::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Bench::postgres()).await;
            })+
        }
    };
}

on_both_engines!(acts_are_committed_in_groups);
