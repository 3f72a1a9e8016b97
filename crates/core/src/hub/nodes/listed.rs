//! A node as it is known here and now: what the database has of it, and its link. Of thousands most are only counted or
//! looked through, so nothing is put into words before it is asked for.

use nave_link::protocol::NodeReport;
use time::OffsetDateTime;

use super::presence::{Presence, Session, Visit};
use super::store::NodeRow;
use crate::api::{Node, NodeStatus};

/// One node of many.
#[derive(Clone, Debug)]
pub struct Listed {
    row: NodeRow,
    session: Option<Session>,
    visit: Option<Visit>,
}

impl Listed {
    pub(super) fn new(row: NodeRow, presence: &Presence) -> Self {
        Self { session: presence.session(row.id), visit: presence.visit(row.id), row }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.row.name
    }

    /// What it is to the hub.
    pub fn status(&self) -> NodeStatus {
        self.row.status
    }

    /// Whether it is connected.
    pub fn online(&self) -> bool {
        self.session.is_some() || self.visit.is_some()
    }

    /// When it was last known to be connected, for one that is not.
    pub fn last_seen_at(&self) -> Option<OffsetDateTime> {
        self.row.last_seen_at.filter(|_| !self.online())
    }

    /// Its roles, in order.
    pub fn roles(&self) -> &[String] {
        &self.row.roles
    }

    /// Where it comes from, or came from last.
    pub fn address(&self) -> Option<&str> {
        let linked = self.session.as_ref().map(|session| session.address.as_str());
        let here = linked.or(self.visit.as_ref().map(|visit| visit.address.as_str()));
        here.or(self.row.last_address.as_deref())
    }

    /// What it said last about itself. What the hub's operator says about a node outweighs that in its labels.
    pub fn report(&self) -> NodeReport {
        let here = self.session.as_ref().map(Session::report);
        let here = here.or_else(|| self.visit.as_ref().map(|visit| visit.report.clone()));
        let mut report = here.unwrap_or_else(|| self.row.report());
        report.labels.extend(self.row.labels());
        report
    }

    /// As the API shows it, without its rights.
    pub fn view(self, now: OffsetDateTime) -> Node {
        let report = self.report();
        Node {
            online: self.online(),
            address: self.address().map(ToOwned::to_owned),
            last_seen_at: if self.online() { Some(now) } else { self.row.last_seen_at },
            id: self.row.id.to_string(),
            name: self.row.name,
            roles: self.row.roles,
            status: self.row.status,
            shared_key_from: self.row.bound_to,
            public_key: self.row.public_key.map(|key| key.to_string()),
            version: report.software,
            addresses: report.addresses.iter().map(ToString::to_string).collect(),
            allow: report.allow,
            labels: report.labels,
            joined_at: self.row.joined_at,
            grants: Vec::new(),
        }
    }
}
