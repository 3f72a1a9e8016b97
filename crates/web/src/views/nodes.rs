//! The nodes: the list, one of them, inviting one.

use askama::Template;
use nave_core::api::{Node, NodeStatus, Stream};
use time::OffsetDateTime;

use super::happening::Happening;
use super::listing::{Heading, Listing, Pager};
use crate::shell::Shell;
use crate::ui::{self, Filled, Tone};
use crate::words;

/// What a node's roles mean, for whoever chooses.
pub const ROLES: [(&str, &str, &str); 4] = [
    ("exporter", "Exporter", "offers services of its own to others"),
    ("importer", "Importer", "opens services of other nodes"),
    ("site", "Site", "keeps data that learning runs visit"),
    ("host", "Host", "runs agents"),
];

/// For how long an invitation can be good, in seconds.
pub const INVITE_TIMES: [(&str, &str); 4] =
    [("3600", "one hour"), ("86400", "one day"), ("604800", "one week"), ("2592000", "30 days")];

/// How a node stands, in a tone and in words.
pub fn standing(node: &Node) -> (Tone, &'static str) {
    match (node.status, node.online) {
        (NodeStatus::Active, true) => (Tone::Good, "Connected"),
        (NodeStatus::Active, false) => (Tone::Plain, "Not connected"),
        (NodeStatus::Pending, _) => (Tone::Warn, "Waiting to be let in"),
        (NodeStatus::Invited, _) => (Tone::Plain, "Invited"),
        (NodeStatus::Revoked, _) => (Tone::Bad, "Revoked"),
    }
}

/// The address of a node's page: by its name, unless a page of ours has that name.
pub fn path_of(node: &Node) -> String {
    let reserved = ["invite", "invited"].contains(&node.name.as_str());
    format!("/nodes/{}", if reserved { &node.id } else { &node.name })
}

/// A part of the list that can be chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its words.
    pub label: &'static str,
    /// How many there are.
    pub count: usize,
    /// Its address.
    pub path: String,
    /// Whether it is shown.
    pub here: bool,
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "nodes/list.html")]
pub struct Nodes {
    /// What stands around the page.
    pub shell: Shell,
    /// What was asked of the list.
    pub listing: Listing,
    /// Its parts.
    pub choices: Vec<Choice>,
    /// The rows.
    pub nodes: Vec<Node>,
    /// Which rows these are.
    pub pager: Pager,
    /// How many nodes there are at all.
    pub total: usize,
    /// Whether machines may be invited.
    pub may_invite: bool,
}

impl Nodes {
    fn headings(&self) -> [Heading; 5] {
        [
            self.listing.heading("name", "Name", ""),
            self.listing.heading("roles", "Roles", "p2"),
            self.listing.heading("address", "Address", "p3"),
            self.listing.heading("version", "Version", "p3"),
            self.listing.heading("seen", "Last seen", ""),
        ]
    }
}

/// What may be done to a node by whoever looks at it.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
pub struct May {
    /// Letting it in.
    pub approve: bool,
    /// Changing it.
    pub change: bool,
    /// Giving it rights.
    pub grant: bool,
    /// Putting it out.
    pub revoke: bool,
}

/// One node.
#[derive(Debug, Template)]
#[template(path = "nodes/detail.html")]
pub struct NodeDetail {
    /// What stands around the page.
    pub shell: Shell,
    /// The node.
    pub node: Node,
    /// Its streams.
    pub streams: Vec<Stream>,
    /// What happened to it, and what it did; `None` for those who may not read the audit log.
    pub happened: Option<Vec<Happening>>,
    /// What may be done to it.
    pub may: May,
    /// The form for a new right.
    pub grant: Filled,
    /// The hub's address, as commands write it.
    pub url: String,
}

impl NodeDetail {
    /// What opens a service from somebody's own machine. A service of the machine itself needs no host.
    fn forward(&self, allowed: &str) -> String {
        let target =
            allowed.strip_prefix("127.0.0.1:").or(allowed.strip_prefix("localhost:")).unwrap_or(allowed);
        format!("nave forward {}:{}", self.node.name, target.replace('*', "PORT"))
    }
}

/// Changing a node's name, roles and labels.
#[derive(Debug, Template)]
#[template(path = "nodes/edit.html")]
pub struct EditNode {
    /// What stands around the page.
    pub shell: Shell,
    /// The node as it is.
    pub node: Node,
    /// The form.
    pub form: Filled,
}

/// Inviting a machine.
#[derive(Debug, Template)]
#[template(path = "nodes/invite.html")]
pub struct Invite {
    /// What stands around the page.
    pub shell: Shell,
    /// The form.
    pub form: Filled,
}

/// A machine that was invited: the line to paste, told once, and whether it came.
#[derive(Debug, Template)]
#[template(path = "nodes/invited.html")]
pub struct Invited {
    /// What stands around the page.
    pub shell: Shell,
    /// The name that is kept for it, if it has one.
    pub name: Option<String>,
    /// The line.
    pub command: String,
    /// When the invitation ends.
    pub expires_at: OffsetDateTime,
    /// How many machines it lets in.
    pub uses: u32,
    /// Whether it came.
    pub arrival: Arrival,
}

/// Whether an invited machine came: the part of the page that is asked for again.
#[derive(Debug, Template)]
#[template(path = "nodes/arrival.html")]
pub struct Arrival {
    /// The invitation.
    pub invite: String,
    /// The name that is kept for it, if it has one.
    pub name: Option<String>,
    /// The machines that came with it.
    pub joined: Vec<Node>,
}

impl Arrival {
    /// Where this part is asked for again.
    fn path(&self) -> String {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("name", self.name.as_deref().unwrap_or_default())
            .finish();
        format!("/nodes/invited/{}?{query}", self.invite)
    }
}
