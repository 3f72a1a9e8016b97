//! The places that are there now. Who has them is known to their leases.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nave_core::id::NodeId;
use nave_link::address::Target;
use nave_link::rpc::Peer;

use super::gate::Gate;
use super::uniqueness::{self, Uniqueness};
use crate::api::{Part, PowerCommand};
use crate::link;

/// A place that is there.
#[derive(Debug)]
pub(super) struct Place {
    /// The number of its exporter's connection.
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
    pub(super) reach: Reach,
    pub(super) power: Option<PowerControl>,
    pub(super) gate: Gate,
    uniqueness: Mutex<Uniqueness>,
}

impl Place {
    /// Whether one of its TCP services or USB devices is there.
    pub(super) fn offers(&self, target: &Target) -> bool {
        link::targets(&self.parts).any(|own| own == *target)
    }

    /// Whether one of its TCP services is there, and may end in the hub.
    pub(super) fn offers_terminal(&self, target: &Target) -> bool {
        link::terminals(&self.parts).any(|own| own == *target)
    }

    pub(super) fn uniqueness(&self) -> f64 {
        self.uniqueness.lock().unwrap_or_else(PoisonError::into_inner).value()
    }

    fn observe(&self, observed: f64) {
        self.uniqueness.lock().unwrap_or_else(PoisonError::into_inner).observe(observed);
    }
}

/// How a place is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// The node that offers it, and its name: streams lead there.
    pub(super) node: Option<(NodeId, String)>,
    /// Where agents of not-my-board reach its exporter directly.
    pub(super) legacy: Option<(IpAddr, u64)>,
}

/// How the power of a place is switched.
#[derive(Clone, Debug)]
pub(super) struct PowerControl {
    /// Whom to ask.
    pub(super) peer: Peer,
    /// For what.
    pub(super) commands: Vec<PowerCommand>,
    /// How long that may take.
    pub(super) within: Duration,
}

/// What an exporter says of its place.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
    pub(super) reach: Reach,
    pub(super) power: Option<PowerControl>,
}

/// The places, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    came: u64,
    in_order: BTreeMap<u64, Arc<Place>>,
    by_id: HashMap<u64, Arc<Place>>,
    by_name: HashMap<String, u64>,
}

impl Places {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a place, unless one of that name is there. `open` makes its gate, under the same lock: two of one name never
    /// have one each.
    pub(super) fn add(
        &self,
        id: u64,
        description: Description,
        open: impl FnOnce() -> Gate,
    ) -> Option<Arc<Place>> {
        let mut known = self.known();
        if known.by_name.contains_key(&description.name) {
            return None;
        }
        let Description { name, parts, reach, power } = description;
        let place =
            Arc::new(Place { id, name, parts, reach, power, gate: open(), uniqueness: Mutex::default() });
        known.came += 1;
        let came = known.came;
        known.by_name.insert(place.name.clone(), came);
        known.by_id.insert(id, Arc::clone(&place));
        known.in_order.insert(came, Arc::clone(&place));
        Some(place)
    }

    /// Removes a place; what `leave` does happens before its name is free again. One that is removed already may have a
    /// successor of its name, which stays.
    pub(super) fn remove(&self, place: &Place, leave: impl FnOnce()) {
        let mut known = self.known();
        if known.by_id.remove(&place.id).is_none() {
            return;
        }
        if let Some(came) = known.by_name.remove(&place.name) {
            known.in_order.remove(&came);
        }
        place.gate.close();
        leave();
    }

    /// Every place.
    pub(super) fn all(&self) -> Vec<Arc<Place>> {
        self.known().in_order.values().cloned().collect()
    }

    pub(super) fn count(&self) -> usize {
        self.known().in_order.len()
    }

    pub(super) fn by_id(&self, id: u64) -> Option<Arc<Place>> {
        self.known().by_id.get(&id).cloned()
    }

    pub(super) fn by_name(&self, name: &str) -> Option<Arc<Place>> {
        let known = self.known();
        known.by_name.get(name).and_then(|came| known.in_order.get(came)).cloned()
    }

    /// Those of the numbered places that are there, each once; asking for them says how unique they are.
    pub(super) fn asked_for(&self, ids: impl IntoIterator<Item = u64>) -> Vec<Arc<Place>> {
        let known = self.known();
        let there: BTreeMap<u64, &Arc<Place>> =
            ids.into_iter().filter_map(|id| Some((id, known.by_id.get(&id)?))).collect();
        observe(there.into_values(), known.in_order.len())
    }

    /// As [`Places::asked_for`], for those that are as somebody wishes.
    pub(super) fn wished_for(&self, wish: impl Fn(&Place) -> bool) -> Vec<Arc<Place>> {
        let known = self.known();
        observe(known.in_order.values().filter(|place| wish(place)), known.in_order.len())
    }
}

/// Notes that these of so many are wished for.
fn observe<'a>(wished: impl Iterator<Item = &'a Arc<Place>>, all: usize) -> Vec<Arc<Place>> {
    let wished: Vec<Arc<Place>> = wished.cloned().collect();
    let observed = uniqueness::of_wish(wished.len(), all);
    for place in &wished {
        place.observe(observed);
    }
    wished
}
