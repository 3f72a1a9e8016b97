//! How every error is answered.

use serde::{Deserialize, Serialize};

/// What went wrong, as every error answer has it: `{"error": {…}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorWords,
}

/// One error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct ErrorWords {
    /// For programs: a short stable word.
    #[cfg_attr(feature = "hub", schema(example = "not_found"))]
    pub code: String,
    /// For people: what happened, to what, what to do next.
    pub message: String,
    /// The field at fault, if the input was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", schema(nullable = false))]
    pub field: Option<String>,
    /// Leads to the hub's log lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", schema(nullable = false))]
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub request: Option<String>,
}
