//! Access requests: who asks to be let in.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::RoleHeld;

/// How a request stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AccessRequestStatus {
    /// It waits.
    #[default]
    Open,
    /// Somebody let the person in.
    Accepted,
    /// Somebody did not.
    Declined,
}

impl AccessRequestStatus {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
        }
    }
}

/// Somebody who asks to be let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct AccessRequest {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
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
    #[cfg_attr(feature = "hub", schema(value_type = AccessRequestStatus))]
    pub status: String,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who decided.
    pub decided_by: Option<String>,
}

/// Asks to be let in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewAccessRequest {
    /// The address.
    #[cfg_attr(feature = "hub", schema(format = Email, max_length = 254))]
    pub email: String,
    /// The name.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(max_length = 100, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$"))]
    pub name: String,
    /// Why.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(max_length = 2000, pattern = "^[^\\x00]*$"))]
    pub message: String,
}

/// What came of asking; the same whoever asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Noted {
    /// What happens next.
    pub message: String,
}

/// Lets somebody in who asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    /// The roles that it gets.
    #[cfg_attr(feature = "hub", schema(min_items = 1, max_items = 100))]
    pub roles: Vec<RoleHeld>,
}
