//! Counts open connections, altogether and by address, so that nobody takes them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What lets connections in.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    per_address: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Gate {
    /// A gate for `total` connections, `per_address` of them from one address.
    pub(super) fn new(total: usize, per_address: usize) -> Self {
        Self(Arc::new(Shared { total, per_address, counts: Mutex::default() }))
    }

    /// Lets a connection in whose real source is not known yet; `None` when the hub is full.
    pub(super) fn enter(&self) -> Option<Permit> {
        let mut counts = self.counts();
        if counts.total >= self.0.total {
            return None;
        }
        counts.total += 1;
        drop(counts);
        Some(Permit { gate: self.clone(), address: None })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one open connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Gate,
    address: Option<IpAddr>,
}

impl Permit {
    /// Counts the connection for `address`; false, and nothing changes, when that address has its fill.
    #[must_use]
    pub(super) fn attribute(&mut self, address: IpAddr) -> bool {
        let network = network(address);
        let mut counts = self.gate.counts();
        let held = counts.by_address.entry(network).or_default();
        if *held >= self.gate.0.per_address {
            if *held == 0 {
                counts.by_address.remove(&network);
            }
            return false;
        }
        *held += 1;
        self.address = Some(network);
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        counts.total -= 1;
        if let Some(address) = self.address
            && let Some(held) = counts.by_address.get_mut(&address)
        {
            *held -= 1;
            if *held == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

/// One IPv6 subscriber holds at least 64 bits of addresses, so those count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_hub_lets_in_again_when_one_leaves() {
        let gate = Gate::new(2, 10);
        let (first, second) = (gate.enter(), gate.enter());
        assert!(first.is_some() && second.is_some() && gate.enter().is_none());
        drop(first);
        assert!(gate.enter().is_some());
    }

    #[test]
    fn an_address_has_its_fill_and_others_do_not_suffer() {
        let gate = Gate::new(10, 1);
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let mut first = gate.enter().unwrap();
        assert!(first.attribute(a));
        assert!(!gate.enter().unwrap().attribute(a));
        assert!(gate.enter().unwrap().attribute(b));
        drop(first);
        assert!(gate.enter().unwrap().attribute(a));
        assert!(gate.counts().by_address.is_empty(), "nothing is remembered of those who left");
        assert_eq!(gate.counts().total, 0);
    }

    #[test]
    fn mapped_addresses_and_neighbours_in_one_ipv6_network_count_as_one() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }
}
