//! What the store promises, whichever engine is behind it.

use std::sync::Arc;

use nave_core::api::EventFilter;
use nave_core::clock::Clock;
use nave_core::hub::bus::{Bus, LocalBus};
use nave_core::hub::event::{self, Event};
use nave_core::hub::http::MIGRATIONS;
use nave_core::hub::op::Op;
use nave_core::hub::store::{DatabaseUrl, Store};
use nave_testkit::postgres::Postgres;
use tempfile::TempDir;

struct Bench {
    folder: TempDir,
    url: DatabaseUrl,
    clock: Clock,
    bus: Arc<dyn Bus>,
}

impl Bench {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::in_folder(folder.path());
        Self { folder, url, clock: Clock::system(), bus: LocalBus::new() }
    }

    fn postgres() -> Self {
        let url = Postgres::shared().unwrap().database().unwrap().parse().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), url, clock: Clock::system(), bus: LocalBus::new() }
    }

    async fn open(&self) -> Store {
        Store::open(self.url.clone(), self.folder.path(), &[MIGRATIONS], &self.clock).await.unwrap()
    }
}

fn event(number: usize) -> Event {
    Event {
        action: "test.done",
        object_kind: "test",
        object_id: number.to_string(),
        object_name: "one".to_owned(),
        detail: serde_json::json!({ "number": number }),
    }
}

async fn acts_are_committed_in_groups(bench: Bench) {
    let store = bench.open().await;
    let op = Op::hub("test", bench.clock.clone());
    let before = store.write_counts();
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (store, op, bus) = (store.clone(), op.clone(), bench.bus.clone());
            tokio::spawn(async move {
                let mut act = store.begin().await.unwrap();
                event::record(&mut act, &op, &bus, event(number)).await.unwrap();
                act.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows =
        event::list(&op, &store, &EventFilter { limit: Some(1000), ..EventFilter::default() }).await.unwrap();
    assert_eq!(rows.len(), 100);
    let after = store.write_counts();
    assert_eq!(after.acts - before.acts, 100);
    assert!(after.commits - before.commits < 100, "{after:?}");
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
