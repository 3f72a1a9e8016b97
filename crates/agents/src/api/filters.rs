//! What queries of the API name.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Which agents are wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct AgentsFilter {
    /// Whether those are shown too that are kept for their history only.
    #[serde(default)]
    pub archived: bool,
}

/// Which lines of what an agent has before it are wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct PeekRange {
    /// How many to leave out.
    #[serde(default)]
    pub skip: Option<i64>,
    /// How many are wanted.
    #[serde(default)]
    pub take: Option<i64>,
}

/// Which sessions are wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct SessionsFilter {
    /// Only those of runs before this one.
    #[serde(default)]
    pub before: Option<i64>,
    /// How many at most (1 to 200; 50).
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Which lines of a log are wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct LogFilter {
    /// Only those of this run.
    #[serde(default)]
    pub run: Option<i64>,
    /// Only those of this session of the run (1).
    #[serde(default)]
    pub session: Option<i64>,
    /// Only those before this one, the last of them.
    #[serde(default)]
    pub before: Option<i64>,
    /// Only those after this one, the first of them.
    #[serde(default)]
    pub after: Option<i64>,
    /// How many at most (1 to 1000; 200).
    #[serde(default)]
    pub limit: Option<u32>,
}

/// As who a message is read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct ReadMail {
    /// One of those who have it.
    pub agent: String,
    /// Whether it counts as read by that one.
    #[serde(default)]
    pub read: bool,
}

/// Which costs are wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct CostFilter {
    /// Until when; now.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
    /// For how many hours before that (1 to 87840; 24).
    #[serde(default)]
    pub hours: Option<u32>,
    /// In how many spans (1 to 1000; 1).
    #[serde(default)]
    pub spans: Option<u32>,
}
