//! Counts the connections: all of them, and those that nobody let in yet, also by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nave_core::hub::source;

/// What is counted.
#[derive(Debug)]
pub(super) struct Strangers {
    most: usize,
    most_of_one: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    strangers: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Strangers {
    pub(super) fn new((most, most_of_one): (usize, usize)) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, counts: Mutex::default() })
    }

    /// Counts one more; `None` where there are enough.
    pub(super) fn enter(self: &Arc<Self>, source: IpAddr) -> Option<Stranger> {
        let group = source::group(source);
        let mut counts = self.counts();
        let of_one = counts.by_address.get(&group).copied().unwrap_or_default();
        if counts.strangers >= self.most || of_one >= self.most_of_one {
            return None;
        }
        counts.strangers += 1;
        counts.by_address.insert(group, of_one + 1);
        Some(Stranger { all: Arc::clone(self), group })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.counts().strangers
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is counted, until this is dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    all: Arc<Strangers>,
    group: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        counts.strangers -= 1;
        if let Some(of_one) = counts.by_address.get_mut(&self.group) {
            *of_one -= 1;
            if *of_one == 0 {
                counts.by_address.remove(&self.group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_fill_and_the_hub_too_until_one_goes() {
        let strangers = Strangers::new((3, 2));
        let enter = |address: &str| strangers.enter(address.parse().unwrap());
        let first = enter("2001:db8::1").unwrap();
        let _second = enter("2001:db8::2").unwrap();
        assert!(enter("2001:db8::3").is_none(), "one network has two");
        let third = enter("192.0.2.1").unwrap();
        assert!(enter("192.0.2.2").is_none(), "three altogether");
        drop(third);
        drop(first);
        assert!(enter("2001:db8::3").is_some());
        assert_eq!((strangers.count(), strangers.counts().by_address.len()), (1, 1));
    }
}
