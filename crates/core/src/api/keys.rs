//! Access keys: the shared one and those of one node.

use serde::{Deserialize, Serialize};

/// Asks for an access key for one node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MintKey {
    /// Roles that the node gets, besides those it has.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Vec<super::NodeRole>))]
    pub roles: Vec<String>,
    /// For how many seconds its earlier keys stay good.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(maximum = 7_776_000))]
    pub grace_seconds: u64,
}

/// Asks for a new shared access key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// For how many seconds the old one stays good.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(maximum = 7_776_000))]
    pub grace_seconds: u64,
}

/// An access key, whole.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct KeyText {
    /// The key.
    pub key: String,
}
