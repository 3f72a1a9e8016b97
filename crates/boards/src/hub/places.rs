//! The places that are there now. Who has them is known to their leases.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nave_core::hub::leases::{Choice, ResourceId};
use nave_core::id::NodeId;
use nave_link::address::Target;
use nave_link::rpc::Peer;

use super::gate::Gate;
use super::uniqueness::{self, Uniqueness};
use crate::api::{Part, PowerCommand, WantedPart, assign};
use crate::link;

/// A place that is there.
#[derive(Debug)]
pub(super) struct Place {
    /// The number of its exporter's connection.
    pub(super) id: u64,
    /// What it is called in the pool.
    pub(super) resource: ResourceId,
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
    pub(super) reach: Reach,
    pub(super) power: Option<PowerControl>,
    pub(super) gate: Gate,
    uniqueness: Uniqueness,
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
        self.uniqueness.value()
    }
}

/// Places of which somebody wants one. Cloning it is cheap: all who want the same share one list.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates(Arc<List>);

#[derive(Debug, Default)]
struct List {
    /// By what they are called in the pool.
    places: Vec<Arc<Place>>,
    /// The same, as the pool knows them.
    choice: Choice,
}

impl Candidates {
    fn new(mut places: Vec<Arc<Place>>) -> Self {
        places.sort_unstable_by_key(|place| place.resource);
        places.dedup_by_key(|place| place.resource);
        places.shrink_to_fit();
        let choice = places.iter().map(|place| place.resource).collect();
        Self(Arc::new(List { places, choice }))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.places.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Place>> {
        self.0.places.iter()
    }

    /// As the pool knows them.
    pub(super) fn choice(&self) -> &Choice {
        &self.0.choice
    }

    /// Leaves out what is not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&Place) -> bool) {
        if !self.iter().all(|place| keep(place)) {
            *self = Self::new(self.iter().filter(|place| keep(place)).cloned().collect());
        }
    }

    pub(super) fn find(&self, resource: ResourceId) -> Option<&Arc<Place>> {
        let at = self.0.choice.binary_search(&resource).ok()?;
        self.0.places.get(at)
    }

    /// As [`Candidates::find`], for many: those that follow each other here are soon found if they do so there.
    pub(super) fn find_all(&self, resources: &[ResourceId]) -> Vec<&Place> {
        let mut next = 0;
        let found = resources.iter().filter_map(|resource| {
            let at = match self.0.choice.get(next) {
                Some(expected) if expected == resource => next,
                _ => self.0.choice.binary_search(resource).ok()?,
            };
            next = at + 1;
            self.0.places.get(at).map(|place| &**place)
        });
        found.collect()
    }

    /// What would do for one or another of several who want something.
    pub(super) fn of_all<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = all.into_iter();
        match (all.next(), all.next()) {
            (None, _) => Self::default(),
            (Some(only), None) => only.clone(),
            (Some(first), Some(second)) => {
                let rest = all.flat_map(Self::iter);
                Self::new(first.iter().chain(second.iter()).chain(rest).cloned().collect())
            }
        }
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

/// How many different wishes are remembered.
const REMEMBERED: usize = 16;

/// The places, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    came: u64,
    /// What was asked for lately, with what was found: as long as no place comes or goes, that is the same.
    asked: VecDeque<(Question, Candidates)>,
    in_order: BTreeMap<u64, Arc<Place>>,
    by_id: HashMap<u64, Arc<Place>>,
    by_name: HashMap<String, u64>,
}

/// What somebody asks for.
#[derive(Debug, PartialEq)]
enum Question {
    /// Any of these numbers, sorted.
    Numbers(Vec<u64>),
    /// Any of these names, or any place at all; and these parts.
    Wish(Vec<String>, Vec<WantedPart>),
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
        open: impl FnOnce() -> (ResourceId, Gate),
    ) -> Option<Arc<Place>> {
        let mut known = self.known();
        if known.by_name.contains_key(&description.name) {
            return None;
        }
        let Description { name, parts, reach, power } = description;
        let (resource, gate) = open();
        let uniqueness = Uniqueness::default();
        let place = Arc::new(Place { id, resource, name, parts, reach, power, gate, uniqueness });
        known.asked.clear();
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
        known.asked.clear();
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

    /// Those of the numbered places that are there; asking for them says how unique they are.
    pub(super) fn asked_for(&self, mut ids: Vec<u64>) -> Candidates {
        ids.sort_unstable();
        ids.dedup();
        self.known().candidates(Question::Numbers(ids))
    }

    /// As [`Places::asked_for`], for those that have one of some names, unless there are none of these, and some parts.
    pub(super) fn wished_for(&self, names: &[String], parts: &[WantedPart]) -> Candidates {
        self.known().candidates(Question::Wish(names.to_vec(), parts.to_vec()))
    }
}

impl Known {
    /// What would do, found by whoever asked for the same before or now; that it was asked for is noted.
    fn candidates(&mut self, question: Question) -> Candidates {
        let before = self.asked.iter().find(|(asked, _)| *asked == question).map(|(_, found)| found.clone());
        let found = before.unwrap_or_else(|| {
            let found = Candidates::new(self.find(&question));
            self.asked.truncate(REMEMBERED - 1);
            self.asked.push_front((question, found.clone()));
            found
        });
        self.observe(&found);
        found
    }

    fn find(&self, question: &Question) -> Vec<Arc<Place>> {
        match question {
            Question::Numbers(ids) => ids.iter().filter_map(|id| self.by_id.get(id)).cloned().collect(),
            Question::Wish(names, parts) => {
                let named = |place: &Place| names.is_empty() || names.contains(&place.name);
                let fits = |place: &Place| parts.is_empty() || assign(parts, &place.parts).is_some();
                self.in_order.values().filter(|place| named(place) && fits(place)).cloned().collect()
            }
        }
    }

    /// Notes that these of all places are wished for.
    fn observe(&self, wished: &Candidates) {
        let observed = uniqueness::of_wish(wished.0.places.len(), self.in_order.len());
        for place in wished.iter() {
            place.uniqueness.observe(observed);
        }
    }
}
