//! The audit log.

use askama::Template;
use nave_core::api::Event;

use super::happening::Happening;
use super::listing::Listing;
use crate::shell::Shell;
use crate::ui::{self, Filled};
use crate::words;

/// One row: the sentence, and everything behind it.
#[derive(Debug)]
pub struct Row {
    /// In words.
    pub said: Happening,
    /// As it is written down.
    pub event: Event,
}

impl Row {
    /// What else is worth knowing, if anything is.
    fn detail(&self) -> Option<String> {
        let empty = self.event.detail.is_null()
            || self.event.detail.as_object().is_some_and(serde_json::Map::is_empty);
        (!empty).then(|| serde_json::to_string_pretty(&self.event.detail).unwrap_or_default())
    }
}

/// The audit log.
#[derive(Debug, Template)]
#[template(path = "audit.html")]
pub struct Audit {
    /// What stands around the page.
    pub shell: Shell,
    /// What was asked of the list.
    pub listing: Listing,
    /// The filter, with what is wrong with it.
    pub filter: Filled,
    /// The rows, the newest first.
    pub rows: Vec<Row>,
    /// The page with the newest rows, unless this is it.
    pub newest: Option<String>,
    /// The page with older rows, if there are any.
    pub older: Option<String>,
    /// For how long rows are kept, in words.
    pub kept: String,
}

impl Audit {
    /// The same rows as a file.
    fn export(&self, ending: &str) -> String {
        let here = self.listing.with("before", "");
        here.replacen("/audit", &format!("/audit/export.{ending}"), 1)
    }
}
