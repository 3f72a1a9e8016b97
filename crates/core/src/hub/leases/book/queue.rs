//! Who waits, in the order in which they are served, and who of them takes what is free. Nothing is given here.
//!
//! Higher priority comes first, and among equals who asked first. Who waits for one resource is never passed over for
//! one that would do. Who waits for several takes them when all can be had at once, and never holds some of them
//! meanwhile; until then those behind may take single ones, with two exceptions: those of lower priority may not take
//! what is free and needed, and after a time ([`Moment::patience`]) nobody behind may. So a wait for several ends when the
//! leases on what it needs have ended once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::{Asker, pick};

/// A place in the queue. The least is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::hub::leases) struct Turn {
    rank: Reverse<i32>,
    number: u64,
}

/// Somebody in the queue.
pub(in crate::hub::leases) struct Waiter {
    /// What would do for each of the wants, by number and in order.
    pub(in crate::hub::leases) wants: Vec<Arc<Vec<u32>>>,
    pub(in crate::hub::leases) asker: Asker,
    pub(in crate::hub::leases) since: OffsetDateTime,
}

impl Waiter {
    /// Those of some resources that would do, for each want.
    fn among(&self, open: &[u32]) -> Vec<Vec<u32>> {
        let among =
            |want: &Arc<Vec<u32>>| open.iter().copied().filter(|id| want.binary_search(id).is_ok()).collect();
        self.wants.iter().map(among).collect()
    }

    /// Whether everything can be had at once, of what there is.
    fn can_be_served(&self, usable: &impl Fn(u32) -> bool) -> bool {
        let wants: Vec<Vec<u32>> =
            self.wants.iter().map(|want| want.iter().copied().filter(|id| usable(*id)).collect()).collect();
        pick::fits(&wants)
    }
}

/// By which time it is decided.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: OffsetDateTime,
    /// For how long whoever waits for several lets those behind take what it needs.
    pub(super) patience: Duration,
}

/// What is free and kept for somebody, with the priority from which on others may take it all the same.
#[derive(Default)]
pub(super) struct Kept(HashMap<u32, i64>);

impl Kept {
    pub(super) fn allows(&self, id: u32, priority: i32) -> bool {
        self.0.get(&id).is_none_or(|least| i64::from(priority) >= *least)
    }

    fn keep(&mut self, id: u32, least: i64) {
        self.0.entry(id).and_modify(|known| *known = least.max(*known)).or_insert(least);
    }
}

/// What is given to whom, and what is kept.
#[derive(Default)]
pub(super) struct Served {
    pub(super) given: Vec<(Turn, Vec<u32>)>,
    pub(super) kept: Kept,
}

#[derive(Default)]
pub(super) struct Queue {
    waiters: BTreeMap<Turn, Waiter>,
    /// What they want: a thousand who wait for any of the same thousand share one list.
    lists: HashSet<Arc<Vec<u32>>>,
    numbers: u64,
    /// How many wait for several.
    sets: usize,
}

impl Queue {
    /// A list of numbers in order, as somebody who comes may have it already.
    pub(super) fn shared(&mut self, mut list: Vec<u32>) -> Arc<Vec<u32>> {
        if let Some(known) = self.lists.get(&list) {
            return Arc::clone(known);
        }
        self.lists.retain(|known| Arc::strong_count(known) > 1);
        list.shrink_to_fit();
        let list = Arc::new(list);
        self.lists.insert(Arc::clone(&list));
        list
    }

    pub(super) fn push(&mut self, waiter: Waiter) -> Turn {
        self.numbers += 1;
        self.sets += usize::from(waiter.wants.len() > 1);
        let turn = Turn { rank: Reverse(waiter.asker.priority), number: self.numbers };
        self.waiters.insert(turn, waiter);
        turn
    }

    pub(super) fn remove(&mut self, turn: Turn) -> Option<Waiter> {
        let waiter = self.waiters.remove(&turn)?;
        self.sets -= usize::from(waiter.wants.len() > 1);
        if self.waiters.is_empty() {
            self.lists.clear();
        }
        Some(waiter)
    }

    /// Where somebody stands, by the name of the first lease.
    #[cfg(test)]
    pub(super) fn turn_of(&self, label: &str) -> Option<Turn> {
        let is_its = |(_, waiter): &(&Turn, &Waiter)| waiter.asker.labels[0] == label;
        self.waiters.iter().find(is_its).map(|(turn, _)| *turn)
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters.values()
    }

    /// Whether somebody waits for several at once: then what is free may be kept.
    pub(super) fn has_sets(&self) -> bool {
        self.sets > 0
    }

    /// A resource is away; those for whom nothing is left of a want, or not enough of several, are given back.
    pub(super) fn forget(&mut self, id: u32, is_here: impl Fn(u32) -> bool) -> Vec<Asker> {
        let mut failed = Vec::new();
        let with: Vec<Arc<Vec<u32>>> =
            self.lists.iter().filter(|list| list.binary_search(&id).is_ok()).cloned().collect();
        // By the address of each list, the one that takes its place.
        let mut without = HashMap::new();
        for list in &with {
            self.lists.remove(list);
            let left = self.shared(list.iter().copied().filter(|other| *other != id).collect());
            without.insert(Arc::as_ptr(list), left);
        }
        for (turn, waiter) in &mut self.waiters {
            let mut lost = false;
            for want in &mut waiter.wants {
                if let Some(left) = without.get(&Arc::as_ptr(want)) {
                    *want = Arc::clone(left);
                    lost = true;
                }
            }
            let is_lost = lost
                && match waiter.wants.as_slice() {
                    [only] => only.is_empty(),
                    _ => !waiter.can_be_served(&is_here),
                };
            if is_lost {
                failed.push(*turn);
            }
        }
        failed.into_iter().filter_map(|turn| self.remove(turn)).map(|waiter| waiter.asker).collect()
    }

    /// Goes through the queue with what is free; those who stopped waiting are passed over. `usable` says of any
    /// resource whether it will ever be given to somebody, as things stand.
    pub(super) fn serve(
        &self,
        mut open: BTreeSet<u32>,
        usable: impl Fn(u32) -> bool,
        moment: Moment,
    ) -> Served {
        let mut served = Served::default();
        for (turn, waiter) in &self.waiters {
            if open.is_empty() {
                break;
            }
            if waiter.asker.answer.is_closed() {
                continue;
            }
            let priority = waiter.asker.priority;
            let allowed = |id: &u32| served.kept.allows(*id, priority);
            if let [only] = waiter.wants.as_slice() {
                let found = open.iter().copied().find(|id| only.binary_search(id).is_ok() && allowed(id));
                if let Some(id) = found {
                    open.remove(&id);
                    served.given.push((*turn, vec![id]));
                }
                continue;
            }
            let allowed: Vec<u32> = open.iter().copied().filter(allowed).collect();
            let pairs = pick::pairs(&waiter.among(&allowed));
            if let Some(ids) = pairs.iter().copied().collect::<Option<Vec<u32>>>() {
                for id in &ids {
                    open.remove(id);
                }
                served.given.push((*turn, ids));
            } else if waiter.can_be_served(&usable) {
                let insists = waiter.since + moment.patience <= moment.now;
                for id in pairs.into_iter().flatten() {
                    served.kept.keep(id, i64::from(priority) + i64::from(insists));
                }
            }
        }
        served
    }
}
