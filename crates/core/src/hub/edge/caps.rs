//! How many connections there may be, from one address and altogether.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::hub::source::group;

/// Counts connections.
#[derive(Debug)]
pub(super) struct Caps {
    per_address: usize,
    total: usize,
    counts: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One connection's place; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    caps: Arc<Caps>,
    address: IpAddr,
}

impl Caps {
    pub(super) fn new(per_address: usize, total: usize) -> Arc<Self> {
        Arc::new(Self { per_address, total, counts: Mutex::default() })
    }

    /// A place for a connection from that address, if there is one.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = group(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.0 >= self.total || counts.1.get(&address).is_some_and(|count| *count >= self.per_address) {
            return None;
        }
        counts.0 += 1;
        *counts.1.entry(address).or_default() += 1;
        Some(Place { caps: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.caps.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.0 -= 1;
        if let Some(count) = counts.1.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.1.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_back() {
        let caps = Caps::new(2, 3);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let first = caps.take(one).unwrap();
        let _second = caps.take(one).unwrap();
        assert!(caps.take(one).is_none(), "per address");
        let _third = caps.take("2001:db8::1".parse().unwrap()).unwrap();
        assert!(caps.take("192.0.2.3".parse().unwrap()).is_none(), "altogether");
        drop(first);
        assert!(caps.take(one).is_some());
    }
}
