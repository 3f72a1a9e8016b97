//! How every error is answered.

use serde::{Deserialize, Serialize};

/// What went wrong, as every error answer has it: `{"error": {…}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorWords,
}

/// One error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorWords {
    /// For programs: a short stable word.
    pub code: String,
    /// For people: what happened, to what, what to do next.
    pub message: String,
    /// The field at fault, if the input was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Leads to the hub's log lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}
