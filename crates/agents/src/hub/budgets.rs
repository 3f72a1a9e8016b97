//! Budgets: what agents may spend in a window of time, and who may spend nothing at the moment. A limit of an agent's own
//! counts for it alone; all others share the global one.

mod window;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::Op;
use serde_json::json;
use time::OffsetDateTime;

use self::window::Window;
use super::directory::{self, AgentRow};
use super::live::Happening;
use super::{Agents, MANAGE, READ, roster, runs, settings};
use crate::api::{AgentChange, BudgetChange, BudgetView, Nanodollars, NewVariable, SpendWindow};

/// The variables that hold the global limit.
const DOLLARS: &str = "SPEND_LIMIT_DOLLARS";
const HOURS: &str = "SPEND_LIMIT_HOURS";

/// What may be spent in a window, and what was.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Budget {
    limit: Nanodollars,
    window: Window,
    spent: Nanodollars,
}

impl Budget {
    fn left(&self) -> Nanodollars {
        Nanodollars(self.limit.0.saturating_sub(self.spent.0).max(0))
    }

    fn is_spent(&self) -> bool {
        self.spent >= self.limit
    }

    fn view(&self) -> SpendWindow {
        SpendWindow { limit: self.limit, spent: self.spent, from: self.window.from, until: self.window.until }
    }
}

#[derive(Default)]
struct State {
    /// Of agents with a limit of their own.
    own: BTreeMap<i64, Budget>,
    global: Option<Budget>,
}

/// What is known of all budgets.
#[derive(Default)]
pub(super) struct Budgets {
    state: Mutex<State>,
    /// Costs are counted while they are written; adding up waits for those, so that nothing is counted twice.
    counting: tokio::sync::RwLock<()>,
}

impl Budgets {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held from before costs are durable until they are counted.
    pub(super) async fn counting(&self) -> tokio::sync::RwLockReadGuard<'_, ()> {
        self.counting.read().await
    }

    /// What an agent may still spend; none where nothing limits it.
    pub(super) fn left(&self, agent: i64) -> Option<Nanodollars> {
        let state = self.state();
        state.own.get(&agent).or(state.global.as_ref()).map(Budget::left)
    }

    /// The window that an agent's spending counts in; none where nothing limits it.
    pub(super) fn window(&self, agent: i64) -> Option<SpendWindow> {
        let state = self.state();
        state.own.get(&agent).or(state.global.as_ref()).map(Budget::view)
    }

    /// An agent spent something.
    pub(super) fn spent(&self, agent: i64, cost: Nanodollars, at: OffsetDateTime) {
        let mut state = self.state();
        let add = |budget: &mut Budget| {
            if budget.window.contains(at) {
                budget.spent.0 = budget.spent.0.saturating_add(cost.0);
            }
        };
        state.global.as_mut().map(add);
        state.own.get_mut(&agent).map(add);
    }
}

/// Looks at all budgets: adds up anew where a window or a limit is another, and says who may spend nothing any more, and who
/// may again. How many agents that changed for.
pub(super) async fn review(op: &Op, hub: &Arc<Hub>, agents: &Agents) -> Result<usize> {
    access::require(op, MANAGE)?;
    let now = op.clock.now();
    let variables = settings::reveal(op, hub).await?;
    let global = settings::number(&variables, DOLLARS).map(|dollars| {
        (Nanodollars::from_dollars(dollars), Window::at(now, settings::number(&variables, HOURS), None))
    });
    let rows: Vec<AgentRow> =
        agents.directory().read().agents().filter(|row| !row.archived).cloned().collect();
    let alone = agents.budgets().counting.write().await;
    let known = agents.budgets().state().global;
    let global = added_up(op, hub, None, global, known).await?;
    let mut own = BTreeMap::new();
    for row in &rows {
        let Some(dollars) = row.config.spend_limit_dollars else { continue };
        let window = Window::at(now, row.config.spend_limit_hours, row.spend_reset_at);
        let known = agents.budgets().state().own.get(&row.id).copied();
        let wanted = Some((Nanodollars::from_dollars(dollars), window));
        if let Some(budget) = added_up(op, hub, Some(row.id), wanted, known).await? {
            own.insert(row.id, budget);
        }
    }
    let mut changes = Vec::new();
    for row in &rows {
        let budget = own.get(&row.id).or(global.as_ref());
        let is_own = own.contains_key(&row.id);
        let reason = budget.filter(|budget| budget.is_spent()).map(|budget| reached(budget, is_own));
        if reason.is_some() != row.suspended.is_some() {
            let told = reason.clone().unwrap_or_else(|| again(budget, is_own, row.suspended.as_deref()));
            changes.push((row.id, reason, told));
        }
    }
    *agents.budgets().state() = State { own, global };
    drop(alone);
    for (agent, reason, told) in &changes {
        suspend(op, hub, agents, *agent, reason.clone(), told).await?;
    }
    Ok(changes.len())
}

/// Looks at all budgets if one of these agents, who have just spent something, has nothing left.
pub(super) async fn review_of(hub: &Arc<Hub>, agents: &Agents, spent: &[i64]) -> Result<()> {
    if spent.iter().any(|agent| agents.budgets().left(*agent).is_some_and(|left| left.0 == 0)) {
        review(&hub.op("agents.budgets"), hub, agents).await?;
    }
    Ok(())
}

/// The budget for a limit and a window; what was spent is added up unless that is known.
async fn added_up(
    op: &Op,
    hub: &Hub,
    agent: Option<i64>,
    wanted: Option<(Nanodollars, Window)>,
    known: Option<Budget>,
) -> Result<Option<Budget>> {
    let Some((limit, window)) = wanted else { return Ok(None) };
    let spent = match known {
        Some(known) if known.window == window => known.spent,
        _ => runs::costs_of(op, hub, agent, window.from).await?,
    };
    Ok(Some(Budget { limit, window, spent }))
}

/// As runners and people read it.
fn reached(budget: &Budget, is_own: bool) -> String {
    let (limit, spent) = (plain(budget.limit), budget.spent);
    if is_own {
        format!("Spend limit of ${limit} reached (current: {spent})")
    } else {
        format!("Global spend limit of ${limit} reached (total: {spent})")
    }
}

fn again(budget: Option<&Budget>, is_own: bool, before: Option<&str>) -> String {
    let was_global = before.is_some_and(|reason| reason.starts_with("Global"));
    match budget {
        Some(_) if is_own && was_global => "Agent has per-agent spend limit".to_owned(),
        Some(budget) if is_own => {
            format!("Spend limit period reset (current: {}, limit: ${})", budget.spent, plain(budget.limit))
        }
        Some(budget) => {
            format!(
                "Global spend limit period reset (total: {}, limit: ${})",
                budget.spent,
                plain(budget.limit)
            )
        }
        None => "Nothing limits what it spends any more".to_owned(),
    }
}

/// Dollars without the zeros at the end.
fn plain(amount: Nanodollars) -> String {
    amount.dollars().to_string()
}

/// Notes that an agent may spend nothing, or again, and tells whoever runs it.
async fn suspend(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    agent: i64,
    reason: Option<String>,
    told: &str,
) -> Result<()> {
    let turn = agents.turn().await;
    let mut act = hub.store.begin().await?;
    let Some(mut row) = agents.directory().read().agent(agent).cloned() else { return Ok(()) };
    row.suspended.clone_from(&reason);
    directory::store::update_agent(&mut act, &row).await?;
    let action = if reason.is_some() { "agent.suspended" } else { "agent.resumed" };
    hub.record(&mut act, op, roster::event(action, &row, json!({ "reason": told }))).await?;
    act.commit().await?;
    if let Some(row) = agents.directory().write().agent_mut(agent) {
        row.suspended.clone_from(&reason);
    }
    drop(turn);
    agents.live().tell(&Happening::Budget { agent, enabled: reason.is_none(), reason: told.into() });
    agents.live().tell(&Happening::Status);
    Ok(())
}

/// Shows the budgets: the global one first, then those of agents, as far as something limits them.
pub fn list(op: &Op, agents: &Agents) -> Result<Vec<BudgetView>> {
    access::require(op, READ)?;
    let rows = agents.directory().read();
    let state = agents.budgets().state();
    let global = BudgetView { agent: None, window: state.global.as_ref().map(Budget::view), suspended: None };
    let of = |row: &AgentRow| BudgetView {
        agent: Some(row.name().to_owned()),
        window: state.own.get(&row.id).map(Budget::view),
        suspended: row.suspended.clone(),
    };
    let agents = rows.agents().filter(|row| !row.archived).map(of);
    let shown = agents.filter(|budget| budget.window.is_some() || budget.suspended.is_some());
    Ok(std::iter::once(global).chain(shown).collect())
}

/// Changes a budget: an agent's own, or without one the global.
pub async fn change(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    agent: Option<&str>,
    change: BudgetChange,
) -> Result<Vec<BudgetView>> {
    access::require(op, MANAGE)?;
    for (field, number) in [("dollars", change.dollars), ("hours", change.hours)] {
        if number.is_some_and(|number| !number.is_finite() || number < 0.0) {
            return Err(Error::invalid(field, "must be 0 or more"));
        }
    }
    match agent {
        Some(agent) => change_own(op, hub, agents, agent, change).await?,
        None => change_global(op, hub, agents, change).await?,
    }
    review(&hub.op("agents.budgets"), hub, agents).await?;
    list(op, agents)
}

async fn change_own(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    agent: &str,
    change: BudgetChange,
) -> Result<()> {
    let mut config = agents.directory().read().agent_named(agent)?.config.clone();
    let or_none = |number: Option<f64>, before: Option<f64>| match number {
        None => before,
        Some(0.0) => None,
        some => some,
    };
    config.spend_limit_dollars = or_none(change.dollars, config.spend_limit_dollars);
    config.spend_limit_hours = or_none(change.hours, config.spend_limit_hours);
    let changed = AgentChange { config: Some(config), ..AgentChange::default() };
    roster::change(op, hub, agents, agent, changed).await?;
    if change.reset {
        let _turn = agents.turn().await;
        let mut act = hub.store.begin().await?;
        let mut row = agents.directory().read().agent_named(agent)?.clone();
        row.spend_reset_at = Some(op.clock.now());
        directory::store::update_agent(&mut act, &row).await?;
        hub.record(&mut act, op, roster::event("agent.spend_reset", &row, serde_json::Value::Null)).await?;
        act.commit().await?;
        agents.directory().write().put_agent(row);
    }
    Ok(())
}

async fn change_global(op: &Op, hub: &Arc<Hub>, agents: &Agents, change: BudgetChange) -> Result<()> {
    if change.reset {
        return Err(Error::invalid(
            "reset",
            "is for an agent with a limit of its own: the global window begins anew by itself, or with other hours",
        ));
    }
    for (key, number) in [(DOLLARS, change.dollars), (HOURS, change.hours)] {
        match number {
            None => {}
            Some(0.0) => match settings::unset_variable(op, hub, agents, key).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            },
            Some(number) => {
                let new = NewVariable { value: Some(number.to_string()), exported: None };
                settings::set_variable(op, hub, agents, key, new).await?;
            }
        }
    }
    Ok(())
}
