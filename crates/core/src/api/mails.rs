//! Mails that the hub sends, as `/nave/v1/mails` shows them; never what stands in them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Mail {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// What kind of letter it is: `invitation`, `password_reset`, `test`, ….
    pub kind: String,
    /// To whom.
    pub recipient: String,
    /// What became of it.
    pub state: MailState,
    /// When it was queued.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it is tried next, if it waits.
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_attempt_at: Option<OffsetDateTime>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not taken, if it was not.
    pub last_error: Option<String>,
    /// When the server took it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub sent_at: Option<OffsetDateTime>,
}

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MailState {
    /// It waits.
    Queued,
    /// The server took it.
    Sent,
    /// The server refused it, or it waited too long.
    Failed,
}

/// Asks for a test mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MailTest {
    /// To whom.
    #[cfg_attr(feature = "hub", schema(format = Email, max_length = 254))]
    pub address: String,
}
