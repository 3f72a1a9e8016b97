//! Invitations: how nodes come in.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::GrantRequest;

/// Asks for an invitation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// The name that the node will have; it chooses itself if there is none.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"))]
    pub name: Option<String>,
    /// The roles that it will have.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Vec<super::NodeRole>))]
    pub roles: Vec<String>,
    /// What it will be allowed.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(max_items = 100))]
    pub grants: Vec<GrantRequest>,
    /// For how many seconds the invitation is good.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(minimum = 1, maximum = 7_776_000))]
    pub ttl_seconds: Option<u64>,
    /// How many nodes it lets in.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(minimum = 1, maximum = 1000))]
    pub uses: Option<u32>,
}

/// An invitation, told once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Invitation {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// The hub's address.
    pub url: String,
    /// The token. Whoever has it can join.
    pub token: String,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}
