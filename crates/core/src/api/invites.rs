//! Invitations: how nodes come in.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::GrantRequest;

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
