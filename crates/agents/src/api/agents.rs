//! Agents: who they are, how they are, and what is done with them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{AgentConfig, SpendWindow};

/// How an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum AgentState {
    /// It runs on a host.
    Active,
    /// A host is there that could run it.
    Available,
    /// Its budget is spent.
    Suspended,
    /// No host is there that could run it.
    Offline,
    /// Somebody said that it shall not run.
    Disabled,
    /// It is kept for its history only.
    Archived,
}

impl AgentState {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Available => "available",
            Self::Suspended => "suspended",
            Self::Offline => "offline",
            Self::Disabled => "disabled",
            Self::Archived => "archived",
        }
    }
}

/// An agent, as lists show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Agent {
    /// Its number, which is what runners call it by.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// How it is.
    pub state: AgentState,
    /// Where it runs now.
    pub hosts: Vec<String>,
    /// The hosts that it is assigned to; with none, it may run on every host that is not restricted.
    pub assigned: Vec<String>,
    /// Whom it works for.
    pub lead: Option<String>,
    /// The model that it thinks with.
    pub model: String,
    /// What it may still spend in the present window, in nanodollars; none where nothing limits it.
    pub budget_left: Option<i64>,
    /// Why it is suspended.
    pub suspended: Option<String>,
    /// Why it did not start the last time, and when that is tried again.
    pub problem: Option<String>,
    /// When something was last heard of it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_active_at: Option<OffsetDateTime>,
}

/// An agent, whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct AgentDetail {
    /// As lists show it.
    #[serde(flatten)]
    pub agent: Agent,
    /// Its configuration.
    pub config: AgentConfig,
    /// Counts the changes of its configuration.
    pub revision: i64,
}

/// What an agent may know of itself and of others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct AgentSelf {
    /// Its name.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// Whom it works for.
    pub lead: Option<String>,
    /// Whom it can write to.
    pub colleagues: Vec<Colleague>,
    /// What it may still spend in the present window, in nanodollars; none where nothing limits it.
    pub budget_left: Option<i64>,
    /// The window that its spending counts in: its own, else the one that all share; none where nothing limits it.
    #[serde(default)]
    pub window: Option<SpendWindow>,
    /// Why it may spend nothing at the moment.
    pub suspended: Option<String>,
}

/// Whom an agent can write to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Colleague {
    /// The name.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
}

/// Asks for a new agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// Its configuration.
    pub config: AgentConfig,
    /// Whom it works for.
    #[serde(default)]
    pub lead: Option<String>,
}

/// A change of an agent; what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentChange {
    /// A new configuration.
    #[serde(default)]
    pub config: Option<AgentConfig>,
    /// The revision that the new configuration was made from: if it is not the last any more, nothing is changed.
    #[serde(default)]
    pub from_revision: Option<i64>,
    /// Whether it may run.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Whether it is kept for its history only.
    #[serde(default)]
    pub archived: Option<bool>,
    /// Whom it works for; empty for nobody.
    #[serde(default)]
    pub lead: Option<String>,
}

/// Which hosts an agent is assigned to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The hosts' names; none lets it run on every host that is not restricted.
    pub hosts: Vec<String>,
}

/// One state of an agent's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Revision {
    /// Counts from 1.
    pub number: i64,
    /// The configuration.
    pub config: AgentConfig,
    /// Who made it so.
    pub changed_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub changed_at: OffsetDateTime,
}

/// Asks an agent to start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// What it shall do: a mail that it finds when it has started.
    #[serde(default)]
    pub task: Option<String>,
}

/// Where an agent started.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Started {
    /// The host's name.
    pub host: String,
}

/// Asks an agent to stop.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Why; the agent reads it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What an agent has before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Peek {
    /// The lines asked for.
    pub lines: Vec<String>,
    /// How many there are.
    pub total: i64,
}
