//! Letting a program act for oneself: it asks by the browser, its person looks from where and decides.

use askama::Template;
use nave_core::api::Person;
use nave_core::hub::people::idp::Program;

use crate::shell::Shell;
use crate::ui;

/// Deciding.
#[derive(Debug, Template)]
#[template(path = "program/decide.html")]
pub struct Decide {
    /// What stands around the page.
    pub shell: Shell,
    /// The program.
    pub program: Program,
    /// From where it asks.
    pub source: String,
    /// Whether the browser is there too, as far as the hub can see.
    pub same_place: bool,
    /// Who it will act for.
    pub person: Person,
    /// What it asks, as it stands in the address.
    pub request: String,
}
