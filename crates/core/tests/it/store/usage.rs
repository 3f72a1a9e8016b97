//! How leases of a year are added up: that nothing is lost, with as many as a large farm has.

use std::sync::Arc;
use std::time::Duration;

use nave_core::clock::to_millis;
use nave_core::hub::config::HubConfig;
use nave_core::hub::leases::Spans;
use nave_testkit::fleet::TestFleet;
use nave_testkit::hub::{TestHub, TestHubSetup};

use crate::bench::{Bench, on_both_engines};

on_both_engines!(a_year_of_leases_is_added_up);

const LEASES: i64 = 100_000;
const RESOURCES: i64 = 1_000;
/// In milliseconds.
const APART: i64 = 314_496;
const HOUR: i64 = 3_600_000;
const WEEKS: usize = 52;

async fn a_year_of_leases_is_added_up(bench: Bench) {
    let setup = TestHubSetup {
        config: HubConfig { database: bench.database.clone(), ..HubConfig::default() },
        fleets: vec![Arc::new(TestFleet::default())],
        clock: Some(bench.clock.clone()),
        ..TestHubSetup::default()
    };
    let hub = TestHub::on(Arc::new(tempfile::tempdir().unwrap()), setup).await.unwrap();
    // Not so long ago that the hub would forget them.
    let now = bench.clock.now();
    let length = Duration::from_hours(168);
    let from = now - length * 53;
    let mut act = hub.hub().store.begin().await.unwrap();
    // One after the other, for 1 to 50 hours each; every fourth was waited for.
    let insert = sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
         INSERT INTO leases (id, pool, resource, holder_kind, holder, holder_name, epoch, granted_at, ended_at, \
         end_reason, asked_at) SELECT 'lease-' || i, 'testfleet', 'bench-' || (i % $2), 'person', '1', 'Ada', 1, \
         $3 + i * $4, $3 + i * $4 + $5 * (1 + i % 50), 'returned', \
         $3 + i * $4 - CASE WHEN i % 4 = 0 THEN 600000 ELSE 0 END FROM n",
    );
    insert
        .bind(LEASES - 1)
        .bind(RESOURCES)
        .bind(to_millis(from))
        .bind(APART)
        .bind(HOUR)
        .execute(act.connection())
        .await
        .unwrap();
    act.commit().await.unwrap();

    let spans = Spans { from, length, count: WEEKS };
    let pool = Arc::clone(hub.hub().leases.pool("testfleet").unwrap());
    let usage = pool.usage(hub.hub(), spans, now).await.unwrap();

    let used = || usage.resources.values().flatten();
    let end = i64::try_from(spans.length.as_millis()).unwrap() * i64::try_from(WEEKS).unwrap();
    let held = (0..LEASES).map(|at| (at * APART + HOUR * (1 + at % 50)).min(end) - at * APART).sum::<i64>();
    assert_eq!(used().map(|used| used.held).sum::<u64>(), held.unsigned_abs());
    assert_eq!(used().map(|used| used.granted).sum::<u64>(), LEASES.unsigned_abs());
    assert_eq!(used().map(|used| used.known).sum::<u64>(), LEASES.unsigned_abs());
    let waited: Vec<u64> = used().flat_map(|used| used.waited.clone()).collect();
    assert_eq!(waited, vec![600_000; usize::try_from(LEASES / 4).unwrap()]);
    assert_eq!(usage.resources.len(), usize::try_from(RESOURCES).unwrap());

    // The last four weeks, into which some reach from before.
    let from = from + spans.length * 48;
    let last = pool.usage(hub.hub(), Spans { from, count: 4, ..spans }, now).await.unwrap();
    let of_last: u64 = last.resources.values().flatten().map(|used| used.held).sum();
    let of_year: u64 = usage.resources.values().flat_map(|used| &used[48..]).map(|used| used.held).sum();
    assert_eq!(of_last, of_year);
}
