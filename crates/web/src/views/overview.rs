//! The first page: what wants a look, who is connected, what happened.

use askama::Template;

use super::happening::Happening;
use super::wheel::{Standing, Wheel};
use crate::section::Summary;
use crate::shell::Shell;
use crate::ui::{self, Tone};
use crate::words;

/// Something that somebody should look at.
#[derive(Clone, Debug)]
pub struct Attention {
    /// How much.
    pub tone: Tone,
    /// What it is about.
    pub name: String,
    /// What was seen, and what to do.
    pub words: String,
    /// Where it is dealt with, and how that is called.
    pub to: Option<(&'static str, &'static str)>,
}

/// The overview.
#[derive(Debug, Template)]
#[template(path = "overview.html")]
pub struct Overview {
    /// What stands around the page.
    pub shell: Shell,
    /// What wants a look; the worst first.
    pub attention: Vec<Attention>,
    /// How many checks passed.
    pub passed: usize,
    /// What fleets say of themselves.
    pub summaries: Vec<Summary>,
    /// The nodes, by name.
    pub nodes: Vec<(String, Standing)>,
    /// The picture of them.
    pub wheel: Wheel,
    /// How many streams there are.
    pub streams: usize,
    /// What happened lately, the newest first; `None` for those who may not read the audit log.
    pub happened: Option<Vec<Happening>>,
    /// Whether machines may be invited.
    pub may_invite: bool,
    /// The hub's address, as commands write it.
    pub url: String,
}

impl Overview {
    fn count(&self, standing: Standing) -> String {
        words::number(self.nodes.iter().filter(|(_, other)| *other == standing).count())
    }

    fn label(&self) -> String {
        format!(
            "{} of {} connected",
            self.count(Standing::On),
            words::count(self.nodes.len(), "node", "nodes")
        )
    }
}
