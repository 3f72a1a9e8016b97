//! What an exporter knows of the leases on its places, and what follows from that: which services others may open.

use std::collections::BTreeMap;

use nave_core::node::Lent;

use crate::link::HeldLease;

/// The places of an exporter and who has them.
#[derive(Debug, Default)]
pub(super) struct Leases {
    places: BTreeMap<String, Offered>,
    /// The newest epoch that was seen: a hub of an older one was declared dead.
    epoch: i64,
}

#[derive(Debug, Default)]
struct Offered {
    services: Vec<Lent>,
    lease: Option<HeldLease>,
}

/// A hub that another one has replaced gives places out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this comes from a hub that another one has replaced (epoch {0}; the newest is {1})")]
pub(super) struct Stale(i64, i64);

impl Leases {
    /// Takes over what is offered from now on; leases of places that stay are kept.
    pub(super) fn set_offered(&mut self, offered: impl IntoIterator<Item = (String, Vec<Lent>)>) {
        let mut before = std::mem::take(&mut self.places);
        for (name, services) in offered {
            let lease = before.remove(&name).and_then(|offered| offered.lease);
            self.places.insert(name, Offered { services, lease });
        }
    }

    /// Whether a lease comes from the newest hub.
    pub(super) fn believes(&self, lease: &HeldLease) -> Result<(), Stale> {
        if lease.epoch < self.epoch { Err(Stale(lease.epoch, self.epoch)) } else { Ok(()) }
    }

    /// Whether a place is this lease's.
    pub(super) fn has(&self, place: &str, lease: &HeldLease) -> bool {
        let held = self.places.get(place).and_then(|offered| offered.lease.as_ref());
        held.is_some_and(|held| held.id == lease.id)
    }

    /// Takes over who has a place; whether somebody else had it until now, whose streams must end.
    pub(super) fn hold(&mut self, place: &str, lease: Option<HeldLease>) -> Result<bool, Stale> {
        if let Some(lease) = &lease {
            self.believes(lease)?;
            self.epoch = lease.epoch;
        }
        let Some(offered) = self.places.get_mut(place) else { return Ok(false) };
        let changes = offered.lease.as_ref().map(who) != lease.as_ref().map(who);
        let passed_on = changes && offered.lease.is_some();
        offered.lease = lease;
        Ok(passed_on)
    }

    /// Nobody has anything any more, as far as is known.
    pub(super) fn forget(&mut self) {
        for offered in self.places.values_mut() {
            offered.lease = None;
        }
    }

    /// What others may open: the services of places that somebody has, without those of one place.
    pub(super) fn open(&self, without: Option<&str>) -> Vec<Lent> {
        let held = self.places.iter().filter(|(name, offered)| {
            offered.lease.is_some() && without.is_none_or(|without| without != name.as_str())
        });
        held.flat_map(|(_, offered)| offered.services.clone()).collect()
    }
}

fn who(lease: &HeldLease) -> (&str, &str) {
    (&lease.id, &lease.holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(id: &str, epoch: i64) -> HeldLease {
        HeldLease {
            id: id.to_owned(),
            epoch,
            holder: "ann".to_owned(),
            name: String::new(),
            addresses: Vec::new(),
            until: None,
        }
    }

    fn leases() -> Leases {
        let service = Lent { target: "127.0.0.1:80".parse().unwrap(), socket: None, hub: false };
        let mut leases = Leases::default();
        leases.set_offered([("a".to_owned(), vec![service])]);
        leases
    }

    #[test]
    fn only_what_somebody_has_is_open() {
        let mut leases = leases();
        assert_eq!(leases.open(None), []);
        assert_eq!(leases.hold("a", Some(lease("1", 1))), Ok(false));
        assert_eq!(leases.open(None).len(), 1);
        assert_eq!(leases.open(Some("a")), []);
        assert_eq!(leases.hold("a", Some(lease("1", 1))), Ok(false));
        assert_eq!(leases.hold("a", Some(lease("2", 1))), Ok(true));
        assert_eq!(leases.hold("a", None), Ok(true));
        assert_eq!(leases.open(None), []);
        assert_eq!(leases.hold("gone", Some(lease("3", 1))), Ok(false));
    }

    #[test]
    fn a_hub_that_was_replaced_is_not_believed() {
        let mut leases = leases();
        leases.hold("a", Some(lease("1", 2))).unwrap();
        assert_eq!(leases.hold("a", Some(lease("2", 1))), Err(Stale(1, 2)));
        assert_eq!(leases.open(None).len(), 1);
    }
}
