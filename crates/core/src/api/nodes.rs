//! Nodes: machines that joined, or were invited to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Grant;

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
