//! What is written together, on both engines: a crowd shares acts, and who makes a mistake fails alone.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::hub::bus::Bus;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event;
use nave_core::hub::op::Op;
use nave_core::hub::store::{Act, Store, Together, WriteGroup};
use tokio_util::task::TaskTracker;

use crate::bench::{Bench, happening, on_both_engines};

on_both_engines!(
    a_crowd_shares_acts_and_one_bad_entry_fails_alone,
    an_entry_is_written_though_its_writer_went_away
);

/// Records an event for each number, and takes no 13.
#[derive(Clone)]
struct Writer {
    store: Store,
    op: Op,
    bus: Arc<dyn Bus>,
}

impl WriteGroup<usize> for Writer {
    fn begin(&self) -> BoxFuture<'_, Result<Act>> {
        self.store.begin().boxed()
    }

    fn write<'a>(&'a self, mut act: Act, group: &'a [usize]) -> BoxFuture<'a, Result<()>> {
        async move {
            for number in group {
                event::record(&mut act, &self.op, &self.bus, happening(*number)).await?;
                if *number == 13 {
                    return Err(Error::Conflict("unlucky".to_owned()));
                }
            }
            act.commit().await
        }
        .boxed()
    }
}

async fn writer(bench: &Bench) -> Writer {
    Writer { store: bench.open().await, op: bench.op(), bus: Arc::clone(&bench.bus) }
}

async fn a_crowd_shares_acts_and_one_bad_entry_fails_alone(bench: Bench) {
    let (writer, queue, tasks) = (writer(&bench).await, Together::default(), TaskTracker::new());
    let before = writer.store.write_counts().acts;
    let write = |number| queue.write(&tasks, writer.clone(), number);
    let all = futures::future::join_all((100..300).map(write)).await;
    assert!(all.iter().all(Result::is_ok));
    let acts = writer.store.write_counts().acts - before;
    assert!(acts < 20, "200 entries took {acts} acts");
    let all = futures::future::join_all((0..30).map(write)).await;
    for (number, written) in all.iter().enumerate() {
        assert_eq!(matches!(written, Err(Error::Conflict(_))), number == 13, "{number}: {written:?}");
    }
    let mut expected: Vec<u64> = (100..300).chain(0..30).collect();
    expected.retain(|number| *number != 13);
    assert_eq!(bench.recorded(&writer.store).await, expected, "each once, in the order in which they came");
}

async fn an_entry_is_written_though_its_writer_went_away(bench: Bench) {
    let (writer, queue, tasks) = (writer(&bench).await, Together::default(), TaskTracker::new());
    // Polled once, so that it stands in the queue, and dropped.
    assert!(queue.write(&tasks, writer.clone(), 7).now_or_never().is_none());
    queue.write(&tasks, writer.clone(), 8).await.unwrap();
    tasks.close();
    tasks.wait().await;
    assert_eq!(bench.recorded(&writer.store).await, [7, 8]);
}
