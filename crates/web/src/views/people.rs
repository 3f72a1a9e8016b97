//! The people: the list, one of them, inviting one, and who asks to be let in.

use askama::Template;
use nave_core::api::{
    AccessRequest, Device, Grant, Person, PersonLink, PersonStatus, ProgramSignIn, Role, RoleHeld, Session,
};

use super::account::{browser, scopes};
use super::listing::{Heading, Listing, Pager};
use crate::shell::Shell;
use crate::ui::{self, Filled, Tone};
use crate::words;

/// What each role may, for whoever chooses.
pub const ROLES: [(Role, &str); 4] = [
    (Role::Admin, "may do everything, people and settings included"),
    (Role::Operator, "runs machines: invites, grants, revokes"),
    (Role::Researcher, "works with data where it is allowed to"),
    (Role::Viewer, "looks on"),
];

/// How an account stands.
pub fn standing(person: &Person) -> (Tone, &'static str) {
    match person.status {
        PersonStatus::Active => (Tone::Good, "active"),
        PersonStatus::Invited => (Tone::Plain, "invited"),
        PersonStatus::Disabled => (Tone::Bad, "disabled"),
    }
}

/// A role and where it holds, in words.
pub fn role_words(held: &RoleHeld) -> String {
    match held.scope.strip_prefix("node:") {
        Some(node) => format!("{} on {node}", held.role.word()),
        None if held.scope == "*" => held.role.word().to_owned(),
        None => format!("{} in {}", held.role.word(), held.scope),
    }
}

/// All roles of somebody, in words.
pub fn roles_words(person: &Person) -> String {
    person.roles.iter().map(role_words).collect::<Vec<_>>().join(", ")
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "people/list.html")]
pub struct People {
    /// What stands around the page.
    pub shell: Shell,
    /// What was asked of the list.
    pub listing: Listing,
    /// The rows.
    pub people: Vec<Person>,
    /// Which rows these are.
    pub pager: Pager,
    /// How many people there are at all.
    pub total: usize,
    /// How many ask to be let in.
    pub asking: usize,
}

impl People {
    fn headings(&self) -> [Heading; 4] {
        [
            self.listing.heading("name", "Name", ""),
            self.listing.heading("role", "Roles", "p2"),
            self.listing.heading("factor", "Second factor", "p3"),
            self.listing.heading("seen", "Last signed in", ""),
        ]
    }
}

/// Who asks to be let in.
#[derive(Debug, Template)]
#[template(path = "people/requests.html")]
pub struct Requests {
    /// What stands around the page.
    pub shell: Shell,
    /// Those that wait.
    pub open: Vec<AccessRequest>,
    /// Those that were decided, the newest first.
    pub decided: Vec<AccessRequest>,
    /// What is wrong with the last decision.
    pub form: Filled,
}

/// Inviting somebody.
#[derive(Debug, Template)]
#[template(path = "people/invite.html")]
pub struct InvitePerson {
    /// What stands around the page.
    pub shell: Shell,
    /// The form.
    pub form: Filled,
    /// The nodes to which a role can be bound.
    pub nodes: Vec<String>,
}

/// A link that was made for somebody, told once.
#[derive(Debug, Template)]
#[template(path = "people/link.html")]
pub struct Link {
    /// What stands around the page.
    pub shell: Shell,
    /// What was made.
    pub made: PersonLink,
    /// Whether it is for a new password rather than an invitation.
    pub reset: bool,
}

/// One person.
#[derive(Debug, Template)]
#[template(path = "people/detail.html")]
pub struct PersonDetail {
    /// What stands around the page.
    pub shell: Shell,
    /// The person.
    pub person: Person,
    /// Whether it is whoever looks.
    pub own: bool,
    /// What it may open.
    pub grants: Vec<Grant>,
    /// Where it is signed in.
    pub sessions: Vec<Session>,
    /// Its devices.
    pub devices: Vec<Device>,
    /// The programs into which it signed in.
    pub programs: Vec<ProgramSignIn>,
    /// The form for name and roles.
    pub form: Filled,
    /// The form for a new right.
    pub grant: Filled,
    /// The nodes to which a role can be bound.
    pub nodes: Vec<String>,
}

impl InvitePerson {
    fn scopes(&self) -> Vec<(String, String)> {
        scopes(&self.nodes)
    }
}

impl PersonDetail {
    fn scopes(&self) -> Vec<(String, String)> {
        scopes(&self.nodes)
    }

    /// The roles that can be added; the first choice adds none.
    fn choices() -> Vec<(&'static str, &'static str)> {
        let roles = ROLES.map(|(role, _)| (role.word(), role.word()));
        std::iter::once(("", "none")).chain(roles).collect()
    }
}
