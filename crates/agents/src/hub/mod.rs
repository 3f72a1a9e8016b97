//! The hub's half: which agents there are, on which hosts they run, what they say, write and cost.

pub mod budgets;
pub mod config;
mod counters;
pub mod dialect;
mod directory;
mod dispatch;
mod files;
mod fleet;
pub mod hosts;
pub mod import;
mod keys;
pub mod letters;
mod live;
mod mail;
mod native;
pub mod pages;
pub mod roster;
pub mod runs;
pub mod settings;
#[cfg(test)]
mod tests;
mod wake;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use nave_core::api::NodeRole;
use nave_core::hub::access::{Action, NodeRoles, Roles};
use nave_core::hub::context::Hub;
use nave_core::hub::store::{Store, Together};

use self::budgets::Budgets;
use self::config::AgentsConfig;
use self::counters::Counters;
use self::dialect::naisys::Naisys;
use self::directory::Directory;
use self::live::Live;
use self::mail::{Posted, Rates, WordIndex};
use self::native::Links;
use self::runs::LogBatch;
use self::wake::Wakes;

/// Seeing the agents, their hosts, and how both are.
pub const READ: Action = Action::new("agent.read", Roles::ANY).and_nodes(NodeRoles::of(&[NodeRole::Host]));
/// Running agents: taking them over, and writing their logs, costs and mail.
pub const RUN: Action =
    Action::new("agent.run", Roles::OPERATORS).and_nodes(NodeRoles::of(&[NodeRole::Host]));
/// Starting and stopping agents, and everything else that steers them.
pub const MANAGE: Action = Action::new("agent.manage", Roles::OPERATORS);

/// What an agent may do with its own key, and others on its behalf: its mail, and what is known of it.
pub const OWN: Action =
    Action::new("agent.own", Roles::OPERATORS).and_nodes(NodeRoles::of(&[NodeRole::Host]));

/// The name of the fleet.
const NAME: &str = "agents";
/// How an agent is called that comes with its own key.
const AGENT: &str = "agent";

/// The agent fleet. Cloning it is cheap; all clones are one.
#[derive(Clone)]
pub struct Agents(Arc<Shared>);

struct Shared {
    config: AgentsConfig,
    directory: Directory,
    live: Live,
    budgets: Budgets,
    wakes: Wakes,
    counters: Counters,
    rates: Rates,
    file_rates: Rates,
    posts: Together<Arc<Posted>>,
    word_index: WordIndex,
    logs: Together<Arc<LogBatch>>,
    links: Links,
    naisys: OnceLock<Naisys>,
    turn: tokio::sync::Mutex<()>,
}

impl Agents {
    /// A fleet without hosts.
    pub fn new(config: AgentsConfig) -> Self {
        Self(Arc::new(Shared {
            config,
            directory: Directory::default(),
            live: Live::default(),
            budgets: Budgets::default(),
            wakes: Wakes::default(),
            counters: Counters::default(),
            rates: Rates::default(),
            file_rates: Rates::default(),
            posts: Together::default(),
            word_index: WordIndex::default(),
            logs: Together::default(),
            links: Links::default(),
            naisys: OnceLock::new(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// A turn to change agents or hosts: from looking at them to putting them back, so that two changes at once do not undo
    /// each other.
    async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.turn.lock().await
    }

    fn naisys(&self) -> &Naisys {
        self.0.naisys.get_or_init(|| Naisys::new(self))
    }

    fn config(&self) -> &AgentsConfig {
        &self.0.config
    }

    fn directory(&self) -> &Directory {
        &self.0.directory
    }

    fn word_index(&self) -> &WordIndex {
        &self.0.word_index
    }

    fn live(&self) -> &Live {
        &self.0.live
    }

    fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }

    fn wakes(&self) -> &Wakes {
        &self.0.wakes
    }

    fn links(&self) -> &Links {
        &self.0.links
    }

    fn rates(&self) -> &Rates {
        &self.0.rates
    }

    fn file_rates(&self) -> &Rates {
        &self.0.file_rates
    }

    fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Where logs lie.
    #[expect(clippy::unused_self, reason = "it is asked of the fleet")]
    fn bulk<'a>(&self, hub: &'a Hub) -> &'a Store {
        &hub.bulk
    }
}

/// A text as it can be kept: PostgreSQL cannot store NUL, which terminals may print.
fn kept(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
