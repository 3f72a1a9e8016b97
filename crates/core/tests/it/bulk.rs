//! Bulk data: it has a place of its own, is left out of backups unless it is wanted, and can be full or away without the
//! rest.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use nave_core::hub::backup::{self, BackupError, Origin, Protection, Source, Target};
use nave_core::hub::config::HubConfig;
use nave_core::hub::http::MIGRATIONS;
use nave_core::hub::running::{bulk_sets, migration_sets};
use nave_core::hub::store::{DatabaseUrl, MigrationSet, Store};
use nave_core::hub::{nodes, status};
use nave_link::random::Random;
use nave_testkit::fleet::TestFleet;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need::need;
use nave_testkit::wait::until;
use tempfile::TempDir;

use crate::bench::{Bench, on_both_engines};
use crate::operations::get;
use crate::store::faults::Tiny;

on_both_engines!(bulk_data_is_apart_and_survives_a_restart, a_backup_takes_bulk_data_only_if_it_is_wanted,);

fn fleet() -> Arc<dyn nave_core::hub::fleet::Fleet> {
    Arc::new(TestFleet::default())
}

async fn hub(bench: &Bench, folder: &Arc<TempDir>) -> TestHub {
    let setup = TestHubSetup {
        config: HubConfig { database: bench.database.clone(), ..HubConfig::default() },
        fleets: vec![fleet()],
        ..TestHubSetup::default()
    };
    TestHub::on(Arc::clone(folder), setup).await.unwrap()
}

fn folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// What the database of a hub's bench is called for a folder.
fn url(bench: &Bench, folder: &Path) -> DatabaseUrl {
    bench.database.as_ref().map_or_else(|| DatabaseUrl::in_folder(folder), |url| url.parse().unwrap())
}

async fn bulk_data_is_apart_and_survives_a_restart(bench: Bench) {
    let folder = folder();
    let running = hub(&bench, &folder).await;
    for number in 0..50 {
        TestFleet::write_line(running.hub(), number, "something happened").await.unwrap();
    }
    assert_eq!(TestFleet::lines(running.hub()).await.unwrap(), 50);
    let mut main = running.hub().store.read().await.unwrap();
    let there = sqlx::query("SELECT * FROM testfleet_lines").fetch_optional(&mut *main).await;
    assert!(there.is_err(), "the main database has no such table");
    drop(main);
    assert!(running.hub().bulk.size().await.unwrap() > 0);
    let checks = status::running(running.hub()).await;
    let check = checks.iter().find(|check| check.name == "bulk data").unwrap();
    assert!(check.verdict != nave_core::api::Verdict::Fail, "{check:?}");
    let metrics = get(&running, b"", "/metrics", "").await.unwrap();
    for line in ["nave_database_bytes{part=\"main\"} ", "nave_database_bytes{part=\"bulk\"} "] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // Both write at the same time, each with a turn of its own.
    let act = running.hub().bulk.begin().await.unwrap();
    running.invite("lab", &[]).await.unwrap();
    drop(act);
    running.stop().await;
    let again = hub(&bench, &folder).await;
    assert_eq!(TestFleet::lines(again.hub()).await.unwrap(), 50);
}

async fn a_backup_takes_bulk_data_only_if_it_is_wanted(bench: Bench) {
    let fleets = [fleet()];
    let (sets, bulk): (Vec<MigrationSet>, Vec<MigrationSet>) = (migration_sets(&fleets), bulk_sets(&fleets));
    let folder = folder();
    let origin_url = url(&bench, folder.path());
    let running = hub(&bench, &folder).await;
    for number in 0..3 {
        TestFleet::write_line(running.hub(), number, "kept ünïcode").await.unwrap();
    }
    let random = Random::system();
    let mut files = Vec::new();
    for with in [false, true] {
        let source = Source {
            store: &running.hub().store,
            sets: &sets,
            bulk: with.then_some((&running.hub().bulk, &*bulk)),
            folder: Some(folder.path()),
            credentials: None,
            spool: folder.path(),
            clock: &bench.clock,
            random: &random,
        };
        let (file, summary) =
            backup::write_stream(&source, Protection::Plain, Cursor::new(Vec::new())).await.unwrap();
        assert_eq!(summary.manifest.bulk.is_some(), with);
        files.push((with, file.into_inner()));
    }
    running.stop().await;

    // Of a hub that does not run, by its address.
    let file = folder.path().join("made.backup");
    let origin =
        Origin { folder: folder.path(), url: &origin_url, sets: &sets, bulk: Some(&bulk), credentials: None };
    let made = backup::write(&bench.op(), &origin, Protection::Plain, &file, &random).await.unwrap();
    let lines = made.manifest.bulk.map(|bulk| bulk.tables.iter().map(|table| table.rows).sum::<u64>());
    assert_eq!(lines, Some(3));

    let targets = || [Some(Bench::sqlite()), Bench::postgres()].into_iter().flatten();
    for (with, bytes) in files {
        for target in targets() {
            let place = self::folder();
            let into_url = url(&target, place.path());
            let into = |force| Target {
                folder: place.path(),
                url: &into_url,
                sets: &sets,
                bulk_sets: &bulk,
                force,
                clock: &bench.clock,
            };
            let read = || Cursor::new(bytes.clone());
            backup::restore_stream(read(), None, &into(false)).await.unwrap();
            let restored = hub(&target, &place).await;
            assert_eq!(TestFleet::lines(restored.hub()).await.unwrap(), if with { 3 } else { 0 });
            TestFleet::write_line(restored.hub(), 99, "it goes on").await.unwrap();
            restored.stop().await;
            let refused = backup::restore_stream(read(), None, &into(false)).await.unwrap_err();
            assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused}");
            // What was there is replaced with the rest, also by nothing.
            backup::restore_stream(read(), None, &into(true)).await.unwrap();
            let restored = hub(&target, &place).await;
            assert_eq!(TestFleet::lines(restored.hub()).await.unwrap(), if with { 3 } else { 0 });
        }
    }
}

/// A hub whose bulk data lies on another, small disk.
async fn on_a_small_disk(disk: &Tiny) -> (TestHub, Arc<TempDir>) {
    let folder = folder();
    std::os::unix::fs::symlink(disk.path().join("bulk.db"), folder.path().join("bulk.db")).unwrap();
    let hub = hub(&Bench::sqlite(), &folder).await;
    (hub, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_bulk_data_does_not_stop_the_rest() {
    if !need("mount") {
        return;
    }
    let disk = Tiny::mount("1m").expect("root may mount a tmpfs; else set NAVE_TEST_SKIP=mount");
    let (running, folder) = on_a_small_disk(&disk).await;
    let mut kept = 0;
    let error = loop {
        match TestFleet::write_line(running.hub(), kept, &"x".repeat(4000)).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(kept > 0 && error.message().contains("no space is left"), "{}", error.message());
    running.invite("lab", &[]).await.unwrap();
    assert_eq!(nodes::list(&running.operator(), running.hub(), true).await.unwrap().len(), 1);
    let checks = status::running(running.hub()).await;
    let check = checks.iter().find(|check| check.name == "bulk data").unwrap();
    assert_eq!(check.verdict, nave_core::api::Verdict::Fail, "{check:?}");

    disk.remount("size=8m");
    let healed = || async { TestFleet::write_line(running.hub(), 1_000_000, "room again").await.ok() };
    until("bulk data can be written again", healed).await.unwrap();
    assert_eq!(TestFleet::lines(running.hub()).await.unwrap(), kept + 1);
    running.stop().await;
    drop(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_starts_without_a_place_for_bulk_data_and_finds_it_later() {
    let folder = folder();
    let elsewhere = tempfile::tempdir().unwrap();
    let missing = elsewhere.path().join("not-there-yet");
    std::os::unix::fs::symlink(missing.join("bulk.db"), folder.path().join("bulk.db")).unwrap();
    let running = hub(&Bench::sqlite(), &folder).await;
    assert!(TestFleet::write_line(running.hub(), 1, "lost").await.is_err());
    running.invite("lab", &[]).await.unwrap();
    std::fs::create_dir(&missing).unwrap();
    let sets = bulk_sets(&running.hub().fleets);
    let found = || async {
        running.hub().bulk.prepare_bulk(&sets, &running.hub().clock).await.ok()?;
        TestFleet::write_line(running.hub(), 2, "kept").await.ok()
    };
    until("there is a place", found).await.unwrap();
    assert_eq!(TestFleet::lines(running.hub()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_data_of_a_newer_program_is_refused() {
    let bench = Bench::sqlite();
    let newer = [MigrationSet { name: "core", ..MIGRATIONS }];
    Store::open_bulk(&bench.url, &newer, &bench.clock).await.unwrap().close().await;
    let older = [MigrationSet { migrations: &MIGRATIONS.migrations[..3], ..newer[0] }];
    let error = Store::open_bulk(&bench.url, &older, &bench.clock).await.err().unwrap();
    assert_eq!(error.code(), "conflict");
}
