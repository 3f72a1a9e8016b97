//! A database of either engine with a data folder, made for one test.

use std::path::Path;
use std::sync::Arc;

use nave_core::api::EventFilter;
use nave_core::clock::Clock;
use nave_core::hub::bus::{Bus, LocalBus};
use nave_core::hub::event::{self, Event};
use nave_core::hub::http::MIGRATIONS;
use nave_core::hub::op::Op;
use nave_core::hub::store::{DatabaseUrl, MigrationSet, Store};
use nave_testkit::need::need;
use nave_testkit::postgres::Postgres;
use tempfile::TempDir;
use time::macros::datetime;

/// A place for one store.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) url: DatabaseUrl,
    /// What a hub's configuration says for it.
    pub(crate) database: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) sets: Vec<MigrationSet>,
}

impl Bench {
    fn new(url: impl FnOnce(&Path) -> DatabaseUrl) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = url(folder.path());
        let clock = Clock::manual(datetime!(2030-01-02 03:04:05 UTC));
        Self { folder, url, database: None, clock, bus: LocalBus::new(), sets: vec![MIGRATIONS] }
    }

    pub(crate) fn sqlite() -> Self {
        Self::new(DatabaseUrl::in_folder)
    }

    /// `None` where tests with PostgreSQL are to be skipped.
    pub(crate) fn postgres() -> Option<Self> {
        need("postgres").then(|| Self::on(Postgres::shared().unwrap()))
    }

    pub(crate) fn on(server: &Postgres) -> Self {
        let database = server.database().unwrap();
        let url = database.parse().unwrap();
        Self { database: Some(database), ..Self::new(|_| url) }
    }

    pub(crate) async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> nave_core::hub::error::Result<Store> {
        Store::open(self.url.clone(), self.folder.path(), &self.sets, &self.clock).await
    }

    pub(crate) fn op(&self) -> Op {
        Op::hub("test", self.clock.clone())
    }

    /// Records an event in an act of its own.
    pub(crate) async fn record(&self, store: &Store, number: usize) -> nave_core::hub::error::Result<()> {
        let mut act = store.begin().await?;
        event::record(&mut act, &self.op(), &self.bus, happening(number)).await?;
        act.commit().await
    }

    /// The numbers of all recorded events, oldest first.
    pub(crate) async fn recorded(&self, store: &Store) -> Vec<u64> {
        let filter = EventFilter { after: Some(-1), limit: Some(1000), ..EventFilter::default() };
        let events = event::list(&self.op(), store, &filter).await.unwrap();
        assert!(events.is_sorted_by_key(|event| event.id));
        events.iter().map(|event| event.detail["number"].as_u64().unwrap()).collect()
    }
}

pub(crate) fn happening(number: usize) -> Event {
    Event {
        action: "test.done",
        object_kind: "test",
        object_id: number.to_string(),
        object_name: format!("test {number}"),
        detail: serde_json::json!({ "number": number }),
    }
}

/// Runs each test on both engines.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::bench::Bench::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(bench) = crate::bench::Bench::postgres() {
                    super::$name(bench).await;
                }
            })+
        }
    };
}
pub(crate) use on_both_engines;
