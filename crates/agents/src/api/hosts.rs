//! Hosts: machines that run agents.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum HostKind {
    /// A runner of NAISYS.
    Naisys,
    /// A supervisor of NAISYS, which runs nothing.
    Supervisor,
    /// A runner of Nave.
    Nave,
}

impl HostKind {
    /// As it is written and stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Naisys => "naisys",
            Self::Supervisor => "supervisor",
            Self::Nave => "nave",
        }
    }

    /// Reads it.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Naisys, Self::Supervisor, Self::Nave].into_iter().find(|kind| kind.word() == word)
    }
}

/// A host.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Host {
    /// Its number, which is what runners call it by.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: HostKind,
    /// Whether it is connected.
    pub online: bool,
    /// Whether only agents that are assigned to it may run there.
    pub restricted: bool,
    /// How many agents may run there at once; none for as many as come.
    pub capacity: Option<i64>,
    /// The agents that run there.
    pub active: Vec<String>,
    /// The agents that are assigned to it.
    pub assigned: Vec<String>,
    /// Its program and version, where it tells them.
    pub version: Option<String>,
    /// Where it was seen last.
    pub address: Option<String>,
    /// Whether it came with the key that all share, and not with one of its own.
    pub shared_key: bool,
    /// When something was last heard of it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_active_at: Option<OffsetDateTime>,
}

/// A change of a host; what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HostChange {
    /// Whether only agents that are assigned to it may run there.
    #[serde(default)]
    pub restricted: Option<bool>,
    /// How many agents may run there at once; 0 for as many as come.
    #[serde(default)]
    pub capacity: Option<i64>,
}
