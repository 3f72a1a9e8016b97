//! The audit log, and what can be asked of it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

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
