//! Tasks: pieces of work for nodes.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// It waits for a node.
    Queued,
    /// A node works on it.
    Taken,
    /// It is done.
    Finished,
    /// It was tried as often as it may, or cannot be done.
    Failed,
    /// Somebody called it off.
    Cancelled,
}

impl TaskState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Taken, Self::Finished, Self::Failed, Self::Cancelled];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Taken => "taken",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One task.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Task {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// What kind of work it is: a fleet's name, a dot, and a word.
    pub kind: String,
    /// What it is about. No two unfinished tasks of a kind have the same.
    pub key: String,
    /// Where it stands.
    pub state: TaskState,
    /// The node that shall do it; without one, whichever takes it.
    pub node: Option<String>,
    /// How often it was taken.
    pub attempt: i64,
    /// When it was put.
    #[serde(with = "time::serde::rfc3339")]
    pub put_at: OffsetDateTime,
    /// By whom.
    pub put_by: String,
    /// Since when it stands there; for one that is taken, when something was last heard of it.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// When it can be taken, if not at once; for one that is taken, when its time is over.
    #[serde(with = "time::serde::rfc3339::option")]
    pub due_at: Option<OffsetDateTime>,
    /// The node that took it last.
    pub taken_by: Option<String>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// Why the last failed attempt failed.
    pub error: Option<String>,
    /// What there is to do; told with a single task only.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Option<Object>))]
    pub payload: Option<Value>,
    /// What came of it; told with a single task only.
    #[serde(default)]
    #[cfg_attr(feature = "hub", schema(value_type = Option<Object>))]
    pub result: Option<Value>,
}

/// Which tasks to list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "hub", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct TaskFilter {
    /// Those that stand there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
    /// Those of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", param(pattern = "^[^\\x00]*$"))]
    pub kind: Option<String>,
    /// Those that this node shall do, or took: its name or its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", param(pattern = "^[^\\x00]*$"))]
    pub node: Option<String>,
    /// Those older than this one: the last id of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", param(pattern = "^[^\\x00]*$"))]
    pub before: Option<String>,
    /// At most so many; 100 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "hub", param(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
}
