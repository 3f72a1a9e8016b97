//! Bringing schemas up to date, and refusing those of a later program.

use nave_core::hub::http::MIGRATIONS;
use nave_core::hub::store::{Migration, MigrationSet, applied};

use crate::bench::{Bench, on_both_engines};

/// How many steps the core itself takes.
const CORE: usize = MIGRATIONS.migrations.len();

on_both_engines!(
    a_later_step_is_taken_after_a_copy_was_made,
    a_newer_schema_is_refused_and_left_alone,
    a_step_that_changed_is_refused,
    a_step_that_fails_leaves_nothing,
    every_table_is_listed_for_backups,
);

const FIRST: Migration = Migration {
    version: 1,
    name: "pets",
    sqlite: "CREATE TABLE test_pets (id TEXT PRIMARY KEY)",
    postgres: "CREATE TABLE test_pets (id TEXT PRIMARY KEY)",
};
const SECOND: Migration = Migration {
    version: 2,
    name: "their names",
    sqlite: "ALTER TABLE test_pets ADD COLUMN name TEXT; CREATE INDEX test_pets_name ON test_pets (name)",
    postgres: "ALTER TABLE test_pets ADD COLUMN name TEXT; CREATE INDEX test_pets_name ON test_pets (name)",
};
const BROKEN: Migration = Migration {
    version: 2,
    name: "half of it",
    sqlite: "CREATE TABLE test_half (id TEXT); CREATE TABLE test_pets (id TEXT)",
    postgres: "CREATE TABLE test_half (id TEXT); CREATE TABLE test_pets (id TEXT)",
};
const CHANGED: Migration = Migration { sqlite: "SELECT 1", postgres: "SELECT 1", ..FIRST };

fn set(migrations: &'static [Migration]) -> MigrationSet {
    MigrationSet { name: "test", tables: &["test_pets"], migrations }
}

/// A bench whose database went through the first step.
async fn begun(mut bench: Bench) -> Bench {
    bench.sets.push(set(&[FIRST]));
    bench.open().await.close().await;
    bench
}

fn copies(bench: &Bench) -> usize {
    std::fs::read_dir(bench.folder.path().join("before-upgrade")).map_or(0, Iterator::count)
}

async fn a_later_step_is_taken_after_a_copy_was_made(bench: Bench) {
    let mut bench = begun(bench).await;
    assert_eq!(copies(&bench), 0, "there was nothing to copy");
    bench.sets[1] = set(&[FIRST, SECOND]);
    let store = bench.open().await;
    assert_eq!(copies(&bench), 1);
    assert_eq!(applied(&store).await.unwrap().len(), CORE + 2);
    let mut act = store.begin().await.unwrap();
    sqlx::query("INSERT INTO test_pets (id, name) VALUES ('1', 'Rex')")
        .execute(act.connection())
        .await
        .unwrap();
    act.commit().await.unwrap();
    store.close().await;
    bench.open().await;
    assert_eq!(copies(&bench), 1, "nothing to do, nothing copied");
}

async fn a_newer_schema_is_refused_and_left_alone(mut bench: Bench) {
    bench.sets.push(set(&[FIRST, SECOND]));
    bench.open().await.close().await;
    bench.sets[1] = set(&[FIRST]);
    let error = bench.try_open().await.err().unwrap().message();
    assert!(error.contains("newer") && error.contains("their names"), "{error}");
    bench.sets[1] = set(&[FIRST, SECOND]);
    bench.open().await;
}

async fn a_step_that_changed_is_refused(bench: Bench) {
    let mut bench = begun(bench).await;
    bench.sets[1] = set(&[CHANGED]);
    let error = bench.try_open().await.err().unwrap().message();
    assert!(error.contains("step 1 \"pets\" of test"), "{error}");
}

async fn a_step_that_fails_leaves_nothing(bench: Bench) {
    let mut bench = begun(bench).await;
    bench.sets[1] = set(&[FIRST, BROKEN]);
    assert!(bench.try_open().await.is_err());
    bench.sets[1] = set(&[FIRST]);
    let store = bench.open().await;
    assert_eq!(applied(&store).await.unwrap().len(), CORE + 1);
    let mut reader = store.read().await.unwrap();
    assert!(sqlx::query("SELECT * FROM test_half").fetch_all(&mut *reader).await.is_err());
}

async fn every_table_is_listed_for_backups(bench: Bench) {
    let store = bench.open().await;
    let sql = match store.engine() {
        nave_core::hub::store::Engine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        }
        nave_core::hub::store::Engine::Postgres => {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"
        }
    };
    let mut reader = store.read().await.unwrap();
    let mut there: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *reader).await.unwrap();
    let mut listed: Vec<String> = bench.sets[0].tables.iter().map(|name| (*name).to_owned()).collect();
    listed.push("nave_migrations".to_owned());
    there.sort();
    listed.sort();
    assert_eq!(there, listed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hubs_that_start_together_take_each_step_once() {
    let Some(bench) = Bench::postgres() else { return };
    let (one, other) = tokio::join!(bench.try_open(), bench.try_open());
    one.unwrap();
    assert_eq!(applied(&other.unwrap()).await.unwrap().len(), CORE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_last_copies_are_kept() {
    let bench = begun(Bench::sqlite()).await;
    let folder = bench.folder.path().join("before-upgrade");
    std::fs::create_dir(&folder).unwrap();
    for old in 1_700_000_000_001_u64..=1_700_000_000_005 {
        std::fs::write(folder.join(format!("{old}.sqlite")), "").unwrap();
    }
    let bench = Bench { sets: vec![bench.sets[0], set(&[FIRST, SECOND])], ..bench };
    bench.open().await;
    let mut left: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["1700000000004.sqlite", "1700000000005.sqlite", "1893553445000.sqlite"]);
}
