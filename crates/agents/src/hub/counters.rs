//! Numbers that the hub counts itself: it is the only one that writes, and knows the next without asking.

use std::sync::atomic::{AtomicI64, Ordering};

/// Counts from 1.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicI64);

impl Counter {
    /// Goes on after a number.
    pub(super) fn set(&self, last: i64) {
        self.0.store(last, Ordering::Relaxed);
    }

    /// The next number.
    pub(super) fn next(&self) -> i64 {
        self.take(1)
    }

    /// The first of so many numbers.
    pub(super) fn take(&self, count: usize) -> i64 {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.0.fetch_add(count, Ordering::Relaxed) + 1
    }
}

/// All that is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) mail: Counter,
    pub(super) run: Counter,
    pub(super) cost: Counter,
    pub(super) line: Counter,
    pub(super) file: Counter,
}
