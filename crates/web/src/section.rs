//! The seam between the console and the fleets: what a fleet brings to it. Its pages are written in the fleet's own crate.

use std::sync::Arc;

use nave_core::api::Event;
use nave_core::hub::access::{self, Action};
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::http::Routes;
use nave_core::hub::op::Op;

use crate::ui::Tone;
use crate::views::happening::Happening;

/// A fleet's part of the console.
pub trait Section: Send + Sync {
    /// Where it stands in the menu.
    fn entry(&self) -> Entry;

    /// Its pages, added to those given.
    fn routes(&self, routes: Routes) -> Routes;

    /// One of its events in words; `None` for an event that is none of its own.
    fn tell(&self, event: &Event) -> Option<Told>;

    /// What the overview shows of it. Only those are shown it who see its entry.
    fn figures(&self, op: &Op, hub: &Hub) -> Result<Vec<Figure>>;
}

/// A section's entry in the menu.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its words.
    pub name: &'static str,
    /// Where it leads.
    pub path: &'static str,
    /// Its icon in the sprite.
    pub icon: &'static str,
    /// Whoever may do this sees the entry, and hears what happens in the section.
    pub action: Action,
    /// The topic on which the bus tells that something in it changed.
    pub topic: &'static str,
    /// Further topics of it, for what changes too often for all of its pages.
    pub further: &'static [&'static str],
}

impl Entry {
    /// All of its topics.
    pub fn topics(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.topic).chain(self.further.iter().copied())
    }
}

/// An event in words: `who did what`, and the rest of the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it says about how things are.
    pub tone: Tone,
    /// Who, if the sentence is not about whoever did it.
    pub who: Option<String>,
    /// Did what.
    pub did: &'static str,
    /// What comes after the thing's name.
    pub rest: String,
    /// The thing's page.
    pub path: Option<String>,
}

/// A number on the overview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What is counted.
    pub label: &'static str,
    /// How many there are.
    pub value: usize,
    /// The class of the dot beside the label.
    pub dot: &'static str,
    /// Where they are listed.
    pub path: &'static str,
}

/// What the overview shows of one section.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The section.
    pub entry: Entry,
    /// Its numbers.
    pub figures: Vec<Figure>,
}

/// All sections of a console, in the order of the menu.
#[derive(Clone, Default)]
pub struct Sections(Arc<[Arc<dyn Section>]>);

impl std::fmt::Debug for Sections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|section| section.entry())).finish()
    }
}

impl Sections {
    /// These sections.
    pub fn new(sections: Vec<Arc<dyn Section>>) -> Self {
        Self(sections.into())
    }

    /// Their pages.
    pub(crate) fn routes(&self, routes: Routes) -> Routes {
        self.0.iter().fold(routes, |routes, section| section.routes(routes))
    }

    /// The entries that somebody sees.
    pub fn entries<'a>(&'a self, op: &'a Op) -> impl Iterator<Item = Entry> + 'a {
        let entries = self.0.iter().map(|section| section.entry());
        entries.filter(|entry| access::require_somewhere(op, entry.action).is_ok())
    }

    /// An event in words: the fleet's own, or the core's.
    pub fn tell(&self, event: &Event) -> Happening {
        match self.0.iter().find_map(|section| section.tell(event)) {
            Some(told) => Happening::told(event, told),
            None => Happening::from(event),
        }
    }

    /// What the overview shows somebody.
    pub(crate) fn summaries(&self, op: &Op, hub: &Hub) -> Result<Vec<Summary>> {
        let seen =
            self.0.iter().filter(|section| access::require_somewhere(op, section.entry().action).is_ok());
        seen.map(|section| Ok(Summary { entry: section.entry(), figures: section.figures(op, hub)? }))
            .collect()
    }
}
