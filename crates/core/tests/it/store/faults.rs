//! What becomes of a store when its machine fails: told clearly, healed where that is possible, nothing acknowledged lost.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nave_core::hub::error::Error;
use nave_core::hub::store::{DatabaseUrl, Store};
use nave_testkit::need::need;
use nave_testkit::postgres::Postgres;
use nave_testkit::wait;
use sqlx::Row as _;

use crate::bench::Bench;

/// Tries again until it succeeds; a store heals by being used.
async fn healed(bench: &Bench, store: &Store, number: usize) {
    let recorded = wait::until("the store has healed", || async {
        match bench.record(store, number).await {
            Ok(()) => Some(()),
            Err(error) => {
                assert_eq!(error.code(), "unavailable");
                None
            }
        }
    });
    recorded.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_comes_back_is_used_again() {
    if !need("postgres") {
        return;
    }
    let server = Postgres::start().unwrap();
    let bench = Bench::on(&server);
    let store = bench.open().await;
    bench.record(&store, 0).await.unwrap();

    // In the middle of an act: that act fails, and with it everyone in its group.
    let mut open = store.begin().await.unwrap();
    server.stop().unwrap();
    assert!(sqlx::query("SELECT 1").execute(open.connection()).await.is_err());
    drop(open);
    assert_eq!(bench.record(&store, 1).await.unwrap_err().code(), "unavailable");
    assert!(store.read().await.is_err());

    server.launch().unwrap();
    healed(&bench, &store, 2).await;
    assert_eq!(bench.recorded(&store).await, [0, 2]);

    // Between acts: nobody notices.
    server.stop().unwrap();
    server.launch().unwrap();
    bench.record(&store, 3).await.unwrap();
    assert_eq!(bench.recorded(&store).await, [0, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_before_the_commit_fails_the_whole_group() {
    let Some(bench) = Bench::postgres() else { return };
    let store = bench.open().await;
    let mut act = store.begin().await.unwrap();
    let backend: i32 =
        sqlx::query("SELECT pg_backend_pid()").fetch_one(act.connection()).await.unwrap().get(0);
    let server = Postgres::shared().unwrap();
    server.psql("postgres", &format!("SELECT pg_terminate_backend({backend})")).unwrap();
    assert_eq!(act.commit().await.unwrap_err().code(), "unavailable");
    healed(&bench, &store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hubs_on_one_postgres_number_events_in_commit_order() {
    let Some(bench) = Bench::postgres() else { return };
    let stores = [bench.open().await, bench.open().await];
    let bench = std::sync::Arc::new(bench);
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let (store, bench) = (stores[number % 2].clone(), std::sync::Arc::clone(&bench));
            tokio::spawn(async move { bench.record(&store, number).await.unwrap() })
        })
        .collect();
    // Whoever follows along by number must never see one appear behind what it has seen.
    let mut seen: Vec<i64> = Vec::new();
    while seen.len() < 60 {
        let mut reader = stores[0].read().await.unwrap();
        let now: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM events ORDER BY id").fetch_all(&mut *reader).await.unwrap();
        assert!(now.starts_with(&seen), "{now:?} does not continue {seen:?}");
        seen = now;
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_refused_is_not_repeated() {
    let Some(bench) = Bench::postgres() else { return };
    let url: DatabaseUrl =
        format!("{}&user=postgres&dbname=missing&password=hunter2", bench.url).parse().unwrap();
    let error = Store::connect(url.clone()).await.err().unwrap();
    let told = format!("{} {error:?} {url}", error.message());
    assert!(told.contains("missing") && !told.contains("hunter2"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_file_is_its_owners_alone() {
    let bench = Bench::sqlite();
    let DatabaseUrl::Sqlite(path) = &bench.url else { unreachable!("it is SQLite") };
    std::fs::write(path, "").unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    let store = bench.open().await;
    bench.record(&store, 1).await.unwrap();
    for file in std::fs::read_dir(bench.folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_says_so() {
    let bench = Bench::sqlite();
    let DatabaseUrl::Sqlite(path) = &bench.url else { unreachable!("it is SQLite") };
    std::fs::write(path, "this is no database, and long enough to have a header of its own").unwrap();
    let error = reason(&bench.try_open().await.err().unwrap());
    assert!(error.contains("damaged") && error.contains("nave restore"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_another_program_locks_is_told_and_heals() {
    let bench = Bench::sqlite();
    let store = bench.open().await;
    let other = Store::connect(bench.url.clone()).await.unwrap();
    let held = other.begin().await.unwrap();
    let error = bench.record(&store, 1).await.unwrap_err();
    assert!(error.message().contains("locked"), "{}", error.message());
    drop(held);
    healed(&bench, &store, 2).await;
    assert_eq!(bench.recorded(&store).await, [2]);
}

/// A file system of a few pages, for as long as it lives. `None` if this machine does not let us mount one.
pub(crate) struct Tiny(tempfile::TempDir);

impl Tiny {
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        mounted(&mut mount).then(|| Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        assert!(mounted(Command::new("mount").args(["-o", &options]).arg(self.path())));
    }
}

fn mounted(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::Unavailable { source, .. } | Error::Internal(source) => source.to_string(),
        other => other.message(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    if !need("mount") {
        return;
    }
    let disk = Tiny::mount("1m").expect("root may mount a tmpfs; else set NAVE_TEST_SKIP=mount");
    let bench = Bench { url: DatabaseUrl::in_folder(disk.path()), ..Bench::sqlite() };
    let store = bench.open().await;
    let mut acknowledged = Vec::new();
    let error = loop {
        let number = acknowledged.len();
        match bench.record(&store, number).await {
            Ok(()) => acknowledged.push(number as u64),
            Err(error) => break error,
        }
    };
    assert!(error.message().contains("no space is left"), "{}", error.message());
    assert!(!acknowledged.is_empty());
    assert!(bench.record(&store, 0).await.is_err(), "it is still full");

    disk.remount("size=4m");
    healed(&bench, &store, 9999).await;
    acknowledged.push(9999);
    store.close().await;
    assert_eq!(all(&bench).await, acknowledged);
}

async fn all(bench: &Bench) -> Vec<u64> {
    let store = bench.open().await;
    let mut reader = store.read().await.unwrap();
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT object_id FROM events ORDER BY id").fetch_all(&mut *reader).await.unwrap();
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_becomes_read_only_is_told_and_heals() {
    if !need("mount") {
        return;
    }
    let disk = Tiny::mount("4m").expect("root may mount a tmpfs; else set NAVE_TEST_SKIP=mount");
    let bench = Bench { url: DatabaseUrl::in_folder(disk.path()), ..Bench::sqlite() };
    let store = bench.open().await;
    bench.record(&store, 1).await.unwrap();
    store.close().await;
    disk.remount("ro");
    let error = reason(&bench.try_open().await.err().unwrap());
    assert!(error.contains("hub.sqlite") && error.contains("mounted writable"), "{error}");
    disk.remount("rw");
    assert_eq!(bench.recorded(&bench.open().await).await, [1]);
}
