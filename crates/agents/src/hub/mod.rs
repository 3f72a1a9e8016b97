//! The hub's half: which agents there are, on which hosts they run, what they say, write and cost.

pub mod config;
pub mod dialect;
mod fleet;

use std::sync::Arc;

use nave_core::api::NodeRole;
use nave_core::hub::access::{Action, NodeRoles, Roles};

use self::config::AgentsConfig;

/// Seeing the agents, their hosts, and how both are.
pub const READ: Action = Action::new("agent.read", Roles::ANY).and_nodes(NodeRoles::of(&[NodeRole::Host]));
/// Running agents: taking them over, and writing their logs, costs and mail.
pub const RUN: Action =
    Action::new("agent.run", Roles::OPERATORS).and_nodes(NodeRoles::of(&[NodeRole::Host]));
/// Starting and stopping agents, and everything else that steers them.
pub const MANAGE: Action = Action::new("agent.manage", Roles::OPERATORS);

/// The name of the fleet.
const NAME: &str = "agents";

/// The agent fleet. Cloning it is cheap; all clones are one.
#[derive(Clone)]
pub struct Agents(Arc<Shared>);

struct Shared {
    config: AgentsConfig,
}

impl Agents {
    /// A fleet without hosts.
    pub fn new(config: AgentsConfig) -> Self {
        Self(Arc::new(Shared { config }))
    }

    fn config(&self) -> &AgentsConfig {
        &self.0.config
    }
}
