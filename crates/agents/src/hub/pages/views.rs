//! What the pages show: plain values, and the templates that lay them out.

mod agent;
mod chart;
mod diff;
mod fleet;
mod line;
mod mails;
mod settings;
mod tree;

use crate::api::{Agent, AgentState};

pub use self::agent::{AgentCosts, AgentPage, ConfigPage, Forms, History, LogPart, LogView, NewAgentPage};
pub use self::chart::{Chart, Part};
pub use self::diff::{Change, DiffLine, diff};
pub use self::fleet::{CostsPage, HostPage, HostsPage, ListPage};
pub use self::line::{Line, lines};
pub use self::mails::{ComposePage, ConversationPage, MailPage};
pub use self::settings::{ModelPage, ModelsPage, Shown, VariablesPage};
pub use self::tree::{Row, tree};

/// One of several pages that stand side by side.
#[derive(Clone, Debug)]
pub struct Tab {
    /// Its words.
    pub label: &'static str,
    /// Its address.
    pub path: String,
    /// Whether it is shown.
    pub here: bool,
}

/// A part of a list that can be chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its words.
    pub label: String,
    /// How many things belong to it.
    pub count: usize,
    /// Its address.
    pub path: String,
    /// Whether it is shown.
    pub here: bool,
}

/// How many agents there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub agents: usize,
    /// Those that run.
    pub active: usize,
    /// Those that could.
    pub available: usize,
    /// Those that may spend nothing.
    pub suspended: usize,
    /// Those that did not start the last time.
    pub failing: usize,
}

impl Counts {
    /// Counts agents.
    pub fn of(agents: &[Agent]) -> Self {
        let count = |is: &dyn Fn(&Agent) -> bool| agents.iter().filter(|agent| is(agent)).count();
        Self {
            agents: agents.len(),
            active: count(&|agent| agent.state == AgentState::Active),
            available: count(&|agent| agent.state == AgentState::Available),
            suspended: count(&|agent| agent.suspended.is_some()),
            failing: count(&|agent| agent.problem.is_some()),
        }
    }
}

/// The class of the dot of an agent.
pub fn dot(agent: &Agent) -> &'static str {
    match agent.state {
        AgentState::Active => "good",
        _ if agent.problem.is_some() => "bad",
        AgentState::Available => "busy",
        AgentState::Suspended => "warn",
        AgentState::Offline | AgentState::Disabled | AgentState::Archived => "",
    }
}

/// How an agent is, in words.
pub fn words_of(agent: &Agent) -> &'static str {
    match agent.state {
        AgentState::Active => "Active",
        AgentState::Available => "Available",
        AgentState::Suspended => "Suspended",
        AgentState::Offline => "Offline",
        AgentState::Disabled => "Disabled",
        AgentState::Archived => "Archived",
    }
}

/// Whether an agent is a person among agents.
pub fn is_human(agent: &Agent) -> bool {
    agent.model == "none"
}

/// Whether an agent could be started now.
pub fn may_start(agent: &Agent) -> bool {
    !is_human(agent)
        && matches!(agent.state, AgentState::Available | AgentState::Offline | AgentState::Suspended)
}

/// The address of an agent's page, by its name or its number.
pub fn path_of(agent: &str) -> String {
    format!("/agents/named/{}", segment(agent))
}

/// By what an agent is found: one that is archived has no name of its own any more.
pub fn key_of(agent: &Agent) -> String {
    if agent.state == AgentState::Archived { agent.id.to_string() } else { agent.name.clone() }
}

/// The address of an agent's page.
pub fn page_of(agent: &Agent) -> String {
    path_of(&key_of(agent))
}

/// The address of a host's page.
pub fn host_path(host: &str) -> String {
    format!("/agents/hosts/{}", segment(host))
}

/// The address of a model's page.
pub fn model_path(key: &str) -> String {
    format!("/agents/models/one?{}", query(&[("key", key)]))
}

/// The address of a conversation, as it is in somebody's mailbox, or in everybody's.
pub fn conversation_path(participants: &str, mailbox: &str) -> String {
    format!("/agents/mail/with?{}", query(&[("who", participants), ("agent", mailbox)]))
}

/// A text as one part of a path.
fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A query of those values that are not empty.
pub fn query(values: &[(&str, &str)]) -> String {
    let filled = values.iter().filter(|(_, value)| !value.is_empty());
    form_urlencoded::Serializer::new(String::new()).extend_pairs(filled).finish()
}

/// Nanodollars as people read them: to the cent, and what is less than one with two digits that say something.
pub fn money(amount: &i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let dollars = *amount as f64 / 1e9;
    let size = dollars.abs();
    match size {
        _ if *amount == 0 => "$0".to_owned(),
        _ if size >= 0.1 => format!("${dollars:.2}"),
        _ if size >= 0.001 => format!("${dollars:.4}"),
        _ => format!("${dollars:.6}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_any_name() {
        assert_eq!(path_of("a/b c"), "/agents/named/a%2Fb%20c");
        assert_eq!(conversation_path("ann,bob", ""), "/agents/mail/with?who=ann%2Cbob");
        assert_eq!(model_path("a&b"), "/agents/models/one?key=a%26b");
    }

    #[test]
    fn small_amounts_are_not_nothing() {
        let told = [0, 12_345_600_000, 100_000_000, 4_200_000, 12_000].map(|amount| money(&amount));
        assert_eq!(told, ["$0", "$12.35", "$0.10", "$0.0042", "$0.000012"]);
    }
}
