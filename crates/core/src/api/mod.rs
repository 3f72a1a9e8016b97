//! What hub, nodes and the command line agree on: the shapes of `/nave/v1`. Times are RFC 3339 in UTC.

mod mail;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use mail::{Mail, MailState, MailTest};

/// What went wrong, as every error answer has it: `{"error": {…}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorWords,
}

/// One error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorWords {
    /// For programs: a short stable word.
    pub code: String,
    /// For people: what happened, to what, what to do next.
    pub message: String,
    /// The field at fault, if the input was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Leads to the hub's log lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// The hub itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HubView {
    /// The digest of its key, as join tokens carry it.
    pub id: String,
    /// The program's version.
    pub version: String,
    /// The address that invitations name.
    pub url: String,
    /// The fingerprint of the certificate of identity `self`.
    pub fingerprint: String,
    /// Where it listens.
    pub listeners: Vec<String>,
}

/// One right, as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// What may be done: `open`.
    pub action: String,
    /// Where: `NODE`, `NODE:[HOST:]PORT`, or `*` for everything.
    pub scope: String,
}

/// Asks for an invitation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// The name that the node will have; it chooses itself if there is none.
    #[serde(default)]
    pub name: Option<String>,
    /// The roles that it will have.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What it will be allowed.
    #[serde(default)]
    pub grants: Vec<GrantRequest>,
    /// For how many seconds the invitation is good.
    #[serde(default)]
    pub ttl_seconds: Option<u64>,
    /// How many nodes it lets in.
    #[serde(default)]
    pub uses: Option<u32>,
}

/// An invitation, told once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invitation {
    /// Its id.
    pub id: String,
    /// The hub's address.
    pub url: String,
    /// The token. Whoever has it can join.
    pub token: String,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// What a node is to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// Its name is kept for it.
    Invited,
    /// It showed itself, and waits for an operator.
    Pending,
    /// A member.
    Active,
    /// No longer a member.
    Revoked,
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whether its link stands.
    pub online: bool,
    /// What it is to the hub.
    pub status: NodeStatus,
    /// Its key.
    pub public_key: Option<String>,
    /// Its program.
    pub version: String,
    /// Where its link comes from.
    pub address: Option<String>,
    /// The machine's own addresses.
    pub addresses: Vec<String>,
    /// What its operator lets others open.
    pub allow: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it became a member.
    #[serde(with = "time::serde::rfc3339::option")]
    pub joined_at: Option<OffsetDateTime>,
    /// When it was last known to be connected.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_seen_at: Option<OffsetDateTime>,
    /// Its rights; told with a single node only.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// One right.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// Who has it.
    pub subject: String,
    /// What may be done.
    pub action: String,
    /// Where, in words.
    pub scope: String,
}

/// Changes a node; fields that are absent stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeChange {
    /// A new name.
    #[serde(default)]
    pub name: Option<String>,
    /// All its roles from now on.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
    /// All its labels from now on.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

/// One stream under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stream {
    /// Its id.
    pub id: String,
    /// The node that opened it.
    pub from: String,
    /// The node it leads to.
    pub to: String,
    /// The service there.
    pub target: String,
    /// `opening`, `relayed` or `direct`.
    pub path: String,
    /// Bytes from the opener.
    pub sent: u64,
    /// Bytes to the opener.
    pub received: u64,
    /// When it was opened.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// One row of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its number: later committed, higher numbered.
    pub id: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What kind of actor.
    pub actor_kind: String,
    /// Which one.
    pub actor_id: String,
    /// Its name then.
    pub actor: String,
    /// From which address.
    pub source: Option<String>,
    /// In which request.
    pub request: String,
    /// What it did.
    pub action: String,
    /// To what kind of thing.
    pub object_kind: String,
    /// To which one.
    pub object_id: String,
    /// Its name then.
    pub object: String,
    /// What else is worth knowing.
    pub detail: serde_json::Value,
}

/// Which events to list; what is absent lets everything pass.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventFilter {
    /// Only those numbered higher, the oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Only those numbered lower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Only those not earlier.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<OffsetDateTime>,
    /// Only those earlier.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<OffsetDateTime>,
    /// Only this action, or those that begin with it and a dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only by this actor: a name or an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only about this object: a name, an id or a kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// At most so many (100 unless given, never more than 1,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Asks for an access key for one node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintKey {
    /// Roles that the node gets, besides those it has.
    #[serde(default)]
    pub roles: Vec<String>,
    /// For how many seconds its earlier keys stay good.
    #[serde(default)]
    pub grace_seconds: u64,
}

/// Asks for a new shared access key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// For how many seconds the old one stays good.
    #[serde(default)]
    pub grace_seconds: u64,
}

/// An access key, whole.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyText {
    /// The key.
    pub key: String,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Good.
    Pass,
    /// Worth a look.
    Warn,
    /// Broken.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen, and what to do unless it is good.
    pub message: String,
}

/// A background job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// How often it runs, in seconds.
    pub every_seconds: u64,
    /// When it last ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_run: Option<OffsetDateTime>,
    /// What it did, or why it failed.
    pub last_outcome: String,
    /// How often in a row it failed.
    pub failures: u32,
}
