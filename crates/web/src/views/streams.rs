//! The streams under way.

use askama::Template;
use nave_core::api::{Stream, StreamPath};

use super::listing::{Listing, Pager};
use crate::shell::Shell;
use crate::{ui, words};

/// The streams.
#[derive(Debug, Template)]
#[template(path = "streams.html")]
pub struct Streams {
    /// What stands around the page.
    pub shell: Shell,
    /// What was asked of the list.
    pub listing: Listing,
    /// The streams.
    pub streams: Vec<Stream>,
    /// Which rows these are.
    pub pager: Pager,
    /// How many streams there are at all.
    pub total: usize,
    /// Whether they may be cut.
    pub may_cut: bool,
}

impl Streams {
    /// How a stream goes, for whoever does not know the word.
    fn explain(stream: &Stream) -> &'static str {
        match stream.path {
            StreamPath::Direct => "from node to node, without passing this hub",
            StreamPath::Relayed => "passes this hub, which cannot read it",
            StreamPath::Hub => "ends in this hub, which can read it: somebody uses it in a browser",
            StreamPath::Opening => "the two nodes look for a way",
        }
    }
}
