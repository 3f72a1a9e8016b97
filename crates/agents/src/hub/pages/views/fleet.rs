//! The pages of the whole fleet: agents, costs, hosts.

use askama::Template;
use nave_web::shell::Shell;
use nave_web::ui::{self, Filled};
use nave_web::views::listing::{Listing, Pager};
use nave_web::words;

use super::{
    Chart, Choice, Counts, Row, Tab, dot, host_path, is_human, may_start, money, page_of, path_of, words_of,
};
use crate::api::{Agent, AgentState, BudgetView, Host, HostKind, SpendWindow};

/// All agents.
#[derive(Debug, Template)]
#[template(path = "agents/list.html")]
pub struct ListPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// What was asked of the list.
    pub listing: Listing,
    /// How many agents are how.
    pub counts: Counts,
    /// How many hosts there are.
    pub hosts: usize,
    /// The list's parts.
    pub choices: Vec<Choice>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Which rows these are.
    pub pager: Pager,
    /// Whether agents may be steered.
    pub may: bool,
    /// Whether there is the person among agents who gives tasks.
    pub has_admin: bool,
    /// What was wrong with what was asked of an agent.
    pub problem: Filled,
}

/// What agents cost.
#[derive(Debug, Template)]
#[template(path = "agents/costs.html")]
pub struct CostsPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// For how many days.
    pub choices: Vec<Choice>,
    /// By agent or by model.
    pub ways: Vec<Choice>,
    /// The page's address.
    pub here: String,
    /// What was spent.
    pub chart: Chart,
    /// Whether it is told by agent.
    pub by_agent: bool,
    /// What all may spend together.
    pub global: Option<SpendWindow>,
    /// Those with a limit of their own, and those who may spend nothing.
    pub budgets: Vec<BudgetView>,
    /// The form of the common limit.
    pub form: Filled,
    /// Whether it may be changed.
    pub may: bool,
}

impl CostsPage {
    /// Which part of a limit is spent, in percent.
    fn spent(window: &SpendWindow) -> f64 {
        (window.spent.dollars() / window.limit.dollars().max(1e-9) * 100.0).clamp(0.0, 100.0)
    }

    fn until(&self, window: &SpendWindow) -> String {
        window.until.map_or_else(
            || "for good".to_owned(),
            |until| format!("until it begins anew {}", words::ago(self.shell.now, until)),
        )
    }
}

/// All hosts.
#[derive(Debug, Template)]
#[template(path = "agents/hosts.html")]
pub struct HostsPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Whether they may be changed.
    pub may: bool,
}

/// One host.
#[derive(Debug, Template)]
#[template(path = "agents/host.html")]
pub struct HostPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The host.
    pub host: Host,
    /// The agents that run there.
    pub active: Vec<Agent>,
    /// The agents that are assigned to it.
    pub assigned: Vec<Agent>,
    /// The form.
    pub form: Filled,
    /// Whether it may be changed.
    pub may: bool,
}

/// The class of a host's dot.
fn host_dot(host: &Host) -> &'static str {
    if host.online { "good" } else { "" }
}

/// What a host is, in words.
fn kind(host: &Host) -> &'static str {
    match host.kind {
        HostKind::Naisys => "NAISYS",
        HostKind::Supervisor => "supervisor of NAISYS",
        HostKind::Nave => "runner of Nave",
    }
}

/// How many agents run on a host, of how many.
fn load(host: &Host) -> String {
    match host.capacity {
        Some(capacity) => format!("{} of {capacity}", host.active.len()),
        None => host.active.len().to_string(),
    }
}
