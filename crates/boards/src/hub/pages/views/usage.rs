//! The page of how the farm was used.

use std::time::Duration;

use askama::Template;
use nave_web::shell::Shell;
use nave_web::ui;
use nave_web::views::listing::{Listing, Pager};
use nave_web::words;

use super::chart::{percent, told};
use super::{Chart, Choice, Tab, path_of};
use crate::hub::usage::{Of, Share, Waits, Week};

/// How many tags are told.
const TAGS: usize = 20;

/// How the farm was used.
#[derive(Debug, Template)]
#[template(path = "boards/usage.html")]
pub struct UsagePage {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// What was asked of the list.
    pub listing: Listing,
    /// What is looked at.
    pub of: Of,
    /// For how many weeks.
    pub choices: Vec<Choice>,
    /// The weeks.
    pub weeks: Vec<Week>,
    /// All of them together.
    pub whole: Share,
    /// The chart of how much was taken.
    pub taken: Chart,
    /// The chart of how long people waited.
    pub waits: Chart,
    /// By tag.
    pub tags: Vec<Share>,
    /// By place.
    pub places: Vec<Share>,
    /// Which places these are.
    pub pager: Pager,
}

impl UsagePage {
    /// The tags with most places.
    fn common(&self) -> &[Share] {
        &self.tags[..self.tags.len().min(TAGS)]
    }

    /// When a week begins, in words.
    fn day(week: &Week) -> String {
        words::day(week.begins)
    }

    /// How long half of the people waited at the most.
    fn half(waits: &Waits) -> String {
        if waits.known == 0 { "–".to_owned() } else { told(waits.half) }
    }

    /// How long nine of ten waited at the most.
    fn most(waits: &Waits) -> String {
        if waits.known == 0 { "–".to_owned() } else { told(waits.most) }
    }

    /// Hours, to the tenth where there are few.
    fn hours(held: &Duration) -> String {
        let hours = held.as_secs() / 3600;
        if hours >= 10 {
            return format!("{} h", words::number(hours));
        }
        format!("{:.1} h", held.as_secs_f64() / 3600.0)
    }
}
