//! What the store promises, whichever engine is behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nave_core::hub::error::Error;
use nave_core::hub::event;
use nave_core::hub::store::{Act, Store};
use sqlx::Row as _;

use crate::bench::{Bench, happening, on_both_engines};

on_both_engines!(
    acts_are_committed_in_groups,
    a_dropped_act_leaves_its_neighbours,
    a_cancelled_act_leaves_its_neighbours,
    a_failed_statement_spoils_its_own_act_only,
    hooks_run_after_the_commit_and_never_without_one,
    a_hook_that_panics_fails_nobody,
    an_event_is_told_once_it_is_durable,
    a_snapshot_stands_still,
    readers_cannot_write,
    a_lone_act_waits_for_nobody,
    a_duplicate_is_told_apart,
    a_closed_store_refuses,
    what_was_committed_is_there_after_reopening,
);

async fn grant(act: &mut Act, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO grants (id, subject_kind, subject, action, scope_kind, scope, created_at, created_by) \
         VALUES ($1, 'node', $1, 'open', 'all', '', 0, 'test')",
    )
    .bind(id)
    .execute(act.connection())
    .await
    .map(drop)
}

async fn grants(store: &Store) -> Vec<String> {
    let mut reader = store.read().await.unwrap();
    let rows = sqlx::query("SELECT id FROM grants ORDER BY id").fetch_all(&mut *reader).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn acts_are_committed_in_groups(bench: Bench) {
    let store = bench.open().await;
    let bench = Arc::new(bench);
    let before = store.write_counts();
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (store, bench) = (store.clone(), Arc::clone(&bench));
            tokio::spawn(async move { bench.record(&store, number).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mut recorded = bench.recorded(&store).await;
    recorded.sort_unstable();
    assert_eq!(recorded, (0..100).collect::<Vec<u64>>());
    let after = store.write_counts();
    assert_eq!(after.acts - before.acts, 100);
    assert!(after.commits - before.commits < 50, "{before:?} {after:?}");
}

async fn a_dropped_act_leaves_its_neighbours(bench: Bench) {
    let store = bench.open().await;
    // One after the other in one group: the second waits while the first holds its turn, and so on.
    let mut first = store.begin().await.unwrap();
    grant(&mut first, "first").await.unwrap();
    let dropped = tokio::spawn({
        let store = store.clone();
        async move {
            let mut act = store.begin().await.unwrap();
            grant(&mut act, "dropped").await.unwrap();
        }
    });
    let last = tokio::spawn({
        let store = store.clone();
        async move {
            let mut act = store.begin().await.unwrap();
            grant(&mut act, "last").await.unwrap();
            act.commit().await
        }
    });
    first.commit().await.unwrap();
    dropped.await.unwrap();
    last.await.unwrap().unwrap();
    assert_eq!(grants(&store).await, ["first", "last"]);
}

async fn a_cancelled_act_leaves_its_neighbours(bench: Bench) {
    let store = bench.open().await;
    // Cut off after every possible number of steps, from waiting for a turn to waiting for the commit.
    for polls in 0..60 {
        let act = async {
            let mut act = store.begin().await.unwrap();
            grant(&mut act, &format!("cut-{polls}")).await.unwrap();
            act.commit().await.unwrap();
        };
        let mut act = std::pin::pin!(act);
        for _ in 0..polls {
            if futures::poll!(act.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let mut act = store.begin().await.unwrap();
    grant(&mut act, "after").await.unwrap();
    act.commit().await.unwrap();
    let left = grants(&store).await;
    assert!(left.contains(&"after".to_owned()), "{left:?}");
    assert!(!left.contains(&"cut-0".to_owned()), "{left:?}");
}

async fn a_failed_statement_spoils_its_own_act_only(bench: Bench) {
    let store = bench.open().await;
    let mut first = store.begin().await.unwrap();
    grant(&mut first, "first").await.unwrap();
    let spoiled = tokio::spawn({
        let store = store.clone();
        async move {
            let mut act = store.begin().await.unwrap();
            grant(&mut act, "spoiled").await.unwrap();
            sqlx::query("INSERT INTO nowhere VALUES (1)").execute(act.connection()).await.unwrap_err();
        }
    });
    first.commit().await.unwrap();
    spoiled.await.unwrap();
    let mut last = store.begin().await.unwrap();
    grant(&mut last, "last").await.unwrap();
    last.commit().await.unwrap();
    assert_eq!(grants(&store).await, ["first", "last"]);
}

async fn hooks_run_after_the_commit_and_never_without_one(bench: Bench) {
    let store = bench.open().await;
    let ran = Arc::new(AtomicUsize::new(0));
    let hook = |by: usize| {
        let ran = Arc::clone(&ran);
        move || {
            ran.fetch_add(by, Ordering::SeqCst);
        }
    };
    let mut act = store.begin().await.unwrap();
    act.after_commit(hook(100));
    drop(act);
    let mut act = store.begin().await.unwrap();
    act.after_commit(hook(1));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    act.commit().await.unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 1, "it ran before the caller was told, and the other never");
}

async fn a_hook_that_panics_fails_nobody(bench: Bench) {
    let store = bench.open().await;
    let mut act = store.begin().await.unwrap();
    grant(&mut act, "one").await.unwrap();
    act.after_commit(|| panic!("on purpose"));
    act.commit().await.unwrap();
    let mut act = store.begin().await.unwrap();
    grant(&mut act, "two").await.unwrap();
    act.commit().await.unwrap();
    assert_eq!(grants(&store).await, ["one", "two"]);
}

async fn an_event_is_told_once_it_is_durable(bench: Bench) {
    let store = bench.open().await;
    let mut subscription = bench.bus.subscribe();
    let mut undone = store.begin().await.unwrap();
    event::record(&mut undone, &bench.op(), &bench.bus, happening(0)).await.unwrap();
    drop(undone);
    bench.record(&store, 1).await.unwrap();
    let notice = subscription.try_recv().unwrap();
    assert_eq!(notice.topic, "event");
    assert!(subscription.try_recv().is_err(), "the event that was undone was told");
    assert_eq!(bench.recorded(&store).await, [1]);
}

async fn a_snapshot_stands_still(bench: Bench) {
    let store = bench.open().await;
    bench.record(&store, 1).await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let count = "SELECT COUNT(*) FROM events";
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut *snapshot).await.unwrap(), 1);
    bench.record(&store, 2).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut *snapshot).await.unwrap(), 1);
    drop(snapshot);
    assert_eq!(bench.recorded(&store).await, [1, 2]);
}

async fn readers_cannot_write(bench: Bench) {
    let store = bench.open().await;
    let mut reader = store.read().await.unwrap();
    let error = sqlx::query("DELETE FROM events").execute(&mut *reader).await.unwrap_err();
    assert_eq!(Error::from(error).code(), "unavailable");
}

async fn a_lone_act_waits_for_nobody(bench: Bench) {
    let store = bench.open().await;
    let before = store.write_counts();
    for number in 0..3 {
        bench.record(&store, number).await.unwrap();
    }
    let after = store.write_counts();
    assert_eq!(after.commits - before.commits, 3, "each had a group of its own");
}

async fn a_duplicate_is_told_apart(bench: Bench) {
    let store = bench.open().await;
    let mut act = store.begin().await.unwrap();
    grant(&mut act, "one").await.unwrap();
    let error = grant(&mut act, "one").await.unwrap_err();
    assert!(nave_core::hub::store::is_unique_violation(&error));
    assert_eq!(Error::from(error).code(), "conflict");
}

async fn a_closed_store_refuses(bench: Bench) {
    let store = bench.open().await;
    let mut act = store.begin().await.unwrap();
    grant(&mut act, "one").await.unwrap();
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    act.commit().await.unwrap();
    closing.await.unwrap();
    assert_eq!(store.begin().await.err().unwrap().code(), "unavailable");
    assert_eq!(store.read().await.err().unwrap().code(), "unavailable");
    assert_eq!(grants(&bench.open().await).await, ["one"]);
}

async fn what_was_committed_is_there_after_reopening(bench: Bench) {
    let store = bench.open().await;
    bench.record(&store, 7).await.unwrap();
    // Not closed: as if the process had ended here.
    drop(store);
    assert_eq!(bench.recorded(&bench.open().await).await, [7]);
}
