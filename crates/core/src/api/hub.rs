//! The hub itself: what it is, how it is, what it does in the background.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The hub itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
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

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
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

/// The hub's key, as it tells everybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct HubIdentity {
    /// The key's digest, as join tokens carry it.
    pub id: String,
    /// The key.
    pub public_key: String,
}
