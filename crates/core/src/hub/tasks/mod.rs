//! Tasks: durable pieces of work for one node, or for whichever node of a kind can. A task is queued, taken for a limited
//! time, and then finished, failed or queued again; it is never lost. What the work is, is a fleet's matter.
//!
//! Everything is one act of the store, so a hub that is killed between any two of them leaves a task in a state from which
//! it goes on: nothing about tasks is kept in memory but when to look again. Whoever takes a task gets the number of the
//! attempt with it. A result counts for the attempt that it names; once that attempt is over, because its time is or
//! because somebody cancelled, it counts no more.

mod due;
mod list;
mod store;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;

pub use self::due::jobs;
pub use self::list::{CANCEL, READ, cancel, list, show};
pub(super) use self::store::give_up_node;
pub use self::work::{extend, fail, fail_in, finish, finish_in, put, put_in, take};
use super::access::Action;
use super::bus::Notice;
use super::context::Hub;
use super::error::{Error, Result};
use super::store::Act;
use crate::clock::to_millis;
use crate::id::{NodeId, TaskId};

/// What a fleet says about a kind of task.
#[derive(Clone, Copy, Debug)]
pub struct TaskKind {
    /// Its name in the database: the fleet's, a dot, and a word.
    pub name: &'static str,
    /// Putting one into the queue.
    pub put: Action,
    /// Taking one, and saying what became of it.
    pub take: Action,
    /// How long whoever takes one may be silent about it.
    pub time_limit: Duration,
    /// How often it is tried before it has failed; at least once.
    pub attempts: u32,
    /// How long it waits after a failed attempt.
    pub back_off: BackOff,
    /// For how long one that has ended is kept.
    pub keep: Duration,
}

/// Pauses that double, each shortened by up to a half at random, so that what failed together is not tried together.
#[derive(Clone, Copy, Debug)]
pub struct BackOff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl BackOff {
    /// The pause after so many failed attempts; `random` decides how much of it is left out.
    fn pause(&self, attempts: i64, random: u16) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(30);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        whole.mul_f64(1.0 - f64::from(random) / f64::from(u16::MAX) / 2.0)
    }
}

/// A task to be put.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Its kind, by name.
    pub kind: &'static str,
    /// What it is about: while a task of this kind with this key is unfinished, another one is not put. `None` for one that
    /// is like no other.
    pub key: Option<String>,
    /// The node that shall do it; `None` for whichever takes it.
    pub node: Option<NodeId>,
    /// What there is to do, in the fleet's words; at most 64 KiB.
    pub payload: Value,
    /// How long it waits before it can be taken.
    pub delay: Duration,
}

/// What became of putting a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// Which one it is.
    pub id: TaskId,
    /// Whether it is new; otherwise an unfinished one with the same key was there.
    pub new: bool,
}

/// A task as whoever took it has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Which one.
    pub id: TaskId,
    /// What it is about.
    pub key: String,
    /// What there is to do.
    pub payload: Value,
    /// Which attempt this is, counted from 1; a result has to name it.
    pub attempt: i64,
    /// Until when the hub waits for a word.
    pub until: OffsetDateTime,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people.
    pub reason: String,
    /// Whether another attempt could help.
    pub again: bool,
}

/// The kinds of tasks that there are, and when one of them is due.
#[derive(Debug)]
pub struct Tasks {
    kinds: Vec<TaskKind>,
    /// In milliseconds since 1970; what is due may be later, but not earlier.
    next_due: Arc<AtomicI64>,
}

const NEVER: i64 = i64::MAX;
/// The largest payload, result or reason, in bytes of its text.
const MOST_BYTES: usize = 64 << 10;
/// What the bus calls a change of when something is due.
const DUE: &str = "task.due";

impl Tasks {
    /// Tasks of these kinds.
    pub fn new(kinds: Vec<TaskKind>) -> Self {
        // What a killed hub left behind is looked at first.
        Self { kinds, next_due: Arc::new(AtomicI64::new(0)) }
    }

    /// All kinds.
    pub fn kinds(&self) -> &[TaskKind] {
        &self.kinds
    }

    /// A kind by its name.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no fleet of this hub has declared it.
    pub fn kind(&self, name: &str) -> Result<&TaskKind> {
        let kind = self.kinds.iter().find(|kind| kind.name == name);
        kind.ok_or_else(|| Error::not_found("kind of task", name))
    }
}

/// Tells whoever listens, once the act is durable: that something is to be done or to be stopped (topic `task`, the key is
/// the kind and the id, with a space between them), and when it is due.
fn tell_after_commit(act: &mut Act, hub: &Hub, kind: &str, id: TaskId, due_at: Option<i64>) {
    let (bus, next_due) = (Arc::clone(&hub.bus), Arc::clone(&hub.queue.next_due));
    let key = format!("{kind} {id}");
    // Only now: whoever looks when something is due does not see it before.
    act.after_commit(move || {
        if due_at.is_some_and(|at| at < next_due.fetch_min(at, Ordering::AcqRel)) {
            bus.publish(Notice { topic: DUE, key: key.clone() });
        }
        bus.publish(Notice { topic: "task", key });
    });
}

/// A time later by a span, in milliseconds.
fn later(now: OffsetDateTime, by: Duration) -> i64 {
    to_millis(now).saturating_add(i64::try_from(by.as_millis()).unwrap_or(NEVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ() {
        let back_off = BackOff { first: Duration::from_secs(2), longest: Duration::from_mins(1) };
        let pauses = |random| [1, 2, 3, 6, 90].map(|attempt| back_off.pause(attempt, random).as_millis());
        assert_eq!(pauses(0), [2_000, 4_000, 8_000, 60_000, 60_000]);
        assert_eq!(pauses(u16::MAX), [1_000, 2_000, 4_000, 30_000, 30_000]);
    }
}
