//! Sessions: who is signed in in which browser.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One sign-in in a browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Session {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// Whose it is.
    pub person: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// From where it came last.
    pub address: String,
    /// The browser, as it calls itself.
    pub agent: String,
    /// The provider that vouched for it, if one did.
    pub provider: Option<String>,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last used.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen_at: OffsetDateTime,
    /// When it ends at the latest.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}
