//! Access requests: who asks to be let in.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::RoleHeld;

/// Somebody who asks to be let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessRequest {
    /// Its id.
    pub id: String,
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
    /// Why.
    pub message: String,
    /// Where it came from.
    pub source: String,
    /// `open`, `accepted` or `declined`.
    pub status: String,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who decided.
    pub decided_by: Option<String>,
}

/// Asks to be let in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccessRequest {
    /// The address.
    pub email: String,
    /// The name.
    #[serde(default)]
    pub name: String,
    /// Why.
    #[serde(default)]
    pub message: String,
}

/// What came of asking; the same whoever asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noted {
    /// What happens next.
    pub message: String,
}

/// Lets somebody in who asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    /// The roles that it gets.
    #[serde(default)]
    pub roles: Vec<RoleHeld>,
}
