//! Grants: who may open what, where.

use serde::{Deserialize, Serialize};

/// One right, as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// What may be done: `open`.
    pub action: String,
    /// Where: `NODE`, `NODE:[HOST:]PORT`, or `*` for everything.
    pub scope: String,
}

/// One right.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// Who has it.
    pub subject: String,
    /// What may be done.
    pub action: String,
    /// Where, in words.
    pub scope: String,
}
