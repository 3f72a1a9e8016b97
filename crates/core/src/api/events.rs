//! The audit log, and what can be asked of it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What somebody is to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// The hub itself.
    Hub,
    /// Whoever reached the hub's own socket on its own machine.
    Operator,
    /// A node.
    Node,
    /// A person.
    Person,
    /// Nobody that the hub knows.
    Anonymous,
}

/// One row of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Event {
    /// Its number: later committed, higher numbered.
    pub id: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What kind of actor.
    #[cfg_attr(feature = "hub", schema(value_type = ActorKind))]
    pub actor_kind: String,
    /// Which one.
    pub actor_id: String,
    /// Its name then.
    pub actor: String,
    /// From which address.
    pub source: Option<String>,
    /// In which request.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
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
#[cfg_attr(feature = "hub", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
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
    #[cfg_attr(feature = "hub", param(pattern = "^[^\\x00]*$"))]
    pub action: Option<String>,
    /// Only by this actor: a name or an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", param(pattern = "^[^\\x00]*$"))]
    pub actor: Option<String>,
    /// Only about this object: a name, an id or a kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", param(pattern = "^[^\\x00]*$"))]
    pub object: Option<String>,
    /// At most so many (100 unless given, never more than 1,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", param(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
}
