//! How the resources of a pool were used in the past: for how long, how often, and how long people waited, in equal spans
//! of time that follow each other.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;

use crate::clock::to_millis;

/// Spans of time, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    /// When the first begins.
    pub from: OffsetDateTime,
    /// How long each is.
    pub length: Duration,
    /// How many there are.
    pub count: usize,
}

impl Spans {
    /// When one begins.
    pub fn begin(&self, at: usize) -> OffsetDateTime {
        self.from + self.length * u32::try_from(at).unwrap_or(u32::MAX)
    }

    pub(super) fn length_millis(&self) -> i64 {
        i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    /// The span that a time, in milliseconds, lies in.
    fn of(&self, millis: i64) -> Option<usize> {
        let since = millis.checked_sub(to_millis(self.from)).filter(|since| *since >= 0)?;
        usize::try_from(since / self.length_millis()).ok().filter(|at| *at < self.count)
    }
}

/// How one resource was used in one span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// For how long somebody had it, in milliseconds.
    pub held: u64,
    /// How often it was given out.
    pub granted: u64,
    /// Of how many of these it is known how long they were waited for.
    pub known: u64,
    /// How long was waited, in milliseconds: those who waited at all, in no order.
    pub waited: Vec<u64>,
}

/// How each resource was used that was used at all: by its name, span by span.
#[derive(Clone, Debug)]
pub struct Usage {
    spans: Spans,
    /// The resources.
    pub resources: BTreeMap<String, Vec<Used>>,
}

impl Usage {
    pub(super) fn none(spans: Spans) -> Self {
        Self { spans, resources: BTreeMap::new() }
    }

    /// Adds a lease; in milliseconds.
    pub(super) fn add(&mut self, resource: &str, granted: i64, ended: i64, asked: Option<i64>) {
        let (from, length) = (to_millis(self.spans.from), self.spans.length_millis());
        let begins_in = self.spans.of(granted);
        let Some(mut at) = self.spans.of(granted.max(from)).filter(|_| ended >= from) else { return };
        if !self.resources.contains_key(resource) {
            self.resources.insert(resource.to_owned(), vec![Used::default(); self.spans.count]);
        }
        let Some(used) = self.resources.get_mut(resource) else { return };
        if let Some(used) = begins_in.and_then(|at| used.get_mut(at)) {
            used.granted += 1;
            used.known += u64::from(asked.is_some());
            used.waited.extend(
                asked.map(|asked| granted - asked).filter(|waited| *waited > 0).map(i64::unsigned_abs),
            );
        }
        // A part of it in each span, up to the one in which it ended.
        while let Some(used) = used.get_mut(at) {
            let begin = from + length * i64::try_from(at).unwrap_or(i64::MAX);
            let part = ended.min(begin + length) - granted.max(begin);
            if part <= 0 {
                break;
            }
            used.held += part.unsigned_abs();
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_lease_counts_where_it_began_and_for_as_long_as_it_lay_in_each_span() {
        let from = datetime!(2026-08-03 0:00 UTC);
        let at = |hours: i64| to_millis(from) + hours * HOUR;
        let mut usage = Usage::none(Spans { from, length: Duration::from_hours(24), count: 3 });
        // From before the first into the second; within the second; from the last to beyond it; elsewhere.
        usage.add("bench", at(-5), at(30), Some(at(-6)));
        usage.add("bench", at(31), at(33), Some(at(31) - 7));
        usage.add("bench", at(70), at(90), None);
        usage.add("other", at(-9), at(-3), Some(at(-9)));
        usage.add("other", at(80), at(90), Some(at(80)));
        let hours = |used: &Used| used.held / HOUR.unsigned_abs();
        let bench = &usage.resources["bench"];
        assert_eq!(bench.iter().map(hours).collect::<Vec<_>>(), [24, 8, 2]);
        assert_eq!(
            bench.iter().map(|used| (used.granted, used.known)).collect::<Vec<_>>(),
            [(0, 0), (1, 1), (1, 0)]
        );
        assert_eq!(bench[1].waited, [7]);
        assert!(!usage.resources.contains_key("other"));
    }
}
