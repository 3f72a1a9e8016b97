//! Agents that come with their own key: what is theirs, and nothing else. What of that is mail is done by `letters`.

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::{Actor, Client, Op};

use super::directory::AgentRow;
use super::{AGENT, Agents, OWN, roster, runs};
use crate::api::{AgentSelf, Colleague, LogFilter, LogPage};

/// How long an agent's key is, in characters: nothing else is looked up.
const LENGTH: usize = 64;

/// Whose key this is.
pub(super) fn client(agents: &Agents, secret: &str) -> Option<Client> {
    if secret.len() != LENGTH {
        return None;
    }
    let rows = agents.directory().read();
    let row = rows.agent_by_key(&roster::hash(secret)).filter(|row| !row.archived)?;
    Some(Client { dialect: AGENT, id: row.id.to_string(), name: row.name().to_owned(), may: vec![OWN] })
}

/// The agent that asks, if it is one with its own key.
pub(super) fn asking(op: &Op) -> Option<i64> {
    match &op.actor {
        Actor::Client(client) if client.dialect == AGENT => client.id.parse().ok(),
        _ => None,
    }
}

fn require_agent(op: &Op) -> Result<i64> {
    access::require(op, OWN)?;
    asking(op).ok_or_else(|| {
        Error::Forbidden(
            "this is for an agent that comes with its own key: ask for the agent by name".to_owned(),
        )
    })
}

/// What an agent may know of itself and of others.
pub fn about_self(op: &Op, agents: &Agents) -> Result<AgentSelf> {
    let id = require_agent(op)?;
    let rows = agents.directory().read();
    let row = rows.agent(id).ok_or_else(|| Error::not_found("agent", id.to_string()))?;
    let others = rows.agents().filter(|other| !other.archived && other.id != id);
    let colleague =
        |other: &AgentRow| Colleague { name: other.name().to_owned(), title: other.config.title.clone() };
    Ok(AgentSelf {
        name: row.name().to_owned(),
        title: row.config.title.clone(),
        lead: row.lead.and_then(|lead| rows.agent(lead)).map(|lead| lead.name().to_owned()),
        colleagues: others.map(colleague).collect(),
        budget_left: agents.budgets().left(id).map(|left| left.0),
        window: agents.budgets().window(id),
        suspended: row.suspended.clone(),
    })
}

/// The log of the agent that asks.
pub async fn own_log(op: &Op, hub: &Hub, agents: &Agents, filter: &LogFilter) -> Result<LogPage> {
    let id = require_agent(op)?;
    runs::log_of(op, hub, agents, id, filter).await
}
