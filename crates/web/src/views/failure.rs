//! What somebody sees when a page cannot be shown: what happened, what to do next, and the id that leads to the log.

use askama::Template;

use crate::shell::Shell;
use crate::{ui, words};

/// For somebody who is signed in: the menu stays.
#[derive(Debug, Template)]
#[template(path = "failure.html")]
pub struct Failure {
    /// What stands around the page.
    pub shell: Shell,
    /// As HTTP numbers it.
    pub status: u16,
    /// In a few words.
    pub title: &'static str,
    /// What happened, and what to do.
    pub words: String,
    /// Leads to the hub's log lines.
    pub request: String,
}

/// For everybody else.
#[derive(Debug, Template)]
#[template(path = "door/failure.html")]
pub struct DoorFailure {
    /// What stands around the page.
    pub shell: Shell,
    /// As HTTP numbers it.
    pub status: u16,
    /// In a few words.
    pub title: &'static str,
    /// What happened, and what to do.
    pub words: String,
    /// Leads to the hub's log lines.
    pub request: String,
}

/// A status in a few words.
pub const fn title(status: u16) -> &'static str {
    match status {
        400 => "This cannot be done as it was asked",
        401 => "Sign in first",
        403 => "You may not do that",
        404 => "There is nothing here",
        409 => "It changed meanwhile",
        429 => "Too many attempts",
        503 => "Not available at the moment",
        _ => "The hub failed",
    }
}
