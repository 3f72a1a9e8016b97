//! Grants: who may open what, where.

use serde::{Deserialize, Serialize};

/// What can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum GrantAction {
    /// Opening a service.
    Open,
}

/// One right, as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// What may be done: `open`.
    #[cfg_attr(feature = "hub", schema(value_type = GrantAction))]
    pub action: String,
    /// Where: `NODE`, `NODE:[HOST:]PORT`, or `*` for everything.
    #[cfg_attr(feature = "hub", schema(pattern = "^[^\\x00]+$"))]
    pub scope: String,
}

/// One right.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Grant {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// Who has it.
    pub subject: String,
    /// What may be done.
    #[cfg_attr(feature = "hub", schema(value_type = GrantAction))]
    pub action: String,
    /// Where, in words.
    pub scope: String,
}
