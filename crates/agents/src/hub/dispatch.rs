//! Starting, stopping and peeking at agents, wherever they run or may run. Who is woken by mail is `wake`'s affair.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::{Actor, Op};
use serde_json::{Value, json};

use super::directory::{AgentRow, Rows};
use super::live::{Answer, Order};
use super::mail::{self, Post};
use super::{Agents, MANAGE, RUN, hosts, roster};
use crate::api::MailKind;

/// Asks for an agent to be started.
#[derive(Clone, Debug, Default)]
pub(super) struct Start {
    pub(super) agent: i64,
    /// On whose behalf; none for a wake-up.
    pub(super) requester: Option<i64>,
    pub(super) task: Option<String>,
    /// The host that asks.
    pub(super) from_host: Option<i64>,
    /// Where, if that is decided.
    pub(super) host: Option<i64>,
}

/// Why an agent is not started, stopped or looked at. The words are for people; programs of NAISYS have their own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It shall not run, or is not there.
    #[error("{name} may not run: `nave agent enable {name}` lets it, unless it is archived")]
    Disabled { agent: i64, name: String },
    /// It runs, or is about to.
    #[error("{name} runs already, or is about to: `nave agent list` says where")]
    Running { name: String },
    /// No host is there that could run it.
    #[error(
        "no host is connected that may run {name}: `nave agent host list` shows those there are, and `nave agent assign {name}` lets it run on every host that is not restricted"
    )]
    NoHost { agent: i64, name: String },
    /// All that could run it have enough to do.
    #[error(
        "no host that may run {name} has room: stop an agent there, or let it run more of them with `nave agent host capacity`"
    )]
    NoRoom { agent: i64, name: String },
    /// It runs nowhere.
    #[error("{name} does not run: `nave agent start {name}` starts it")]
    Idle { agent: i64, name: String },
    /// The host that was asked to start it went away.
    #[error("the host that was to start it went away before it answered: try again")]
    Lost { host: i64 },
    /// The hosts on which it runs went away.
    #[error("the host on which it runs went away before it answered: try again")]
    Gone,
    /// Something else.
    #[error("{0}")]
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Other(error) => error,
            told => Self::Conflict(told.to_string()),
        }
    }
}

/// How an agent is called.
fn name_of(rows: &Rows, agent: i64) -> String {
    rows.agent(agent).map_or_else(|| agent.to_string(), |row| row.name().to_owned())
}

/// Starts an agent on the host that has the least to do.
///
/// # Errors
///
/// When it cannot be asked of any host; what a host says to it is an answer.
pub(super) async fn start(op: &Op, hub: &Arc<Hub>, agents: &Agents, start: Start) -> Result<Answer, Refusal> {
    access::require(op, RUN)?;
    match start.requester {
        Some(requester) => hosts::require_for(op, agents, requester)?,
        None => access::require(op, MANAGE)?,
    }
    let (name, host) = {
        let rows = agents.directory().read();
        let (agent, name) = (start.agent, name_of(&rows, start.agent));
        if !rows.agent(agent).is_some_and(AgentRow::may_run) {
            return Err(Refusal::Disabled { agent, name });
        }
        if agents.live().is_active(agent) {
            return Err(Refusal::Running { name });
        }
        let host = match start.host {
            Some(host) => host,
            None => choose(agents, &rows, agent)?,
        };
        (name, host)
    };
    let link = agents.live().link(host).ok_or(Refusal::Lost { host })?;
    if !agents.live().begin_start(start.agent, host) {
        return Err(Refusal::Running { name });
    }
    let begun = Begun { agents: agents.clone(), agent: start.agent, host, runs: false };
    let order = Order::Start { agent: start.agent, task: start.task.clone(), requester: start.requester };
    let asked = link.order(order, start.from_host);
    // Whoever asked may go away; what was begun is carried to its end.
    let (op, hub2, agents) = (op.clone(), Arc::clone(hub), agents.clone());
    let carried = hub.tasks.spawn(async move { carry(&op, &hub2, &agents, begun, asked, start).await });
    carried.await.map_err(|error| Refusal::Other(Error::internal(error)))?
}

/// A start that was begun; when it is dropped, the agent is about to run no more.
struct Begun {
    agents: Agents,
    agent: i64,
    host: i64,
    runs: bool,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.agents.live().end_start(self.agent, self.host, self.runs);
    }
}

async fn carry(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    mut begun: Begun,
    asked: impl Future<Output = Result<Answer, super::live::Lost>>,
    start: Start,
) -> Result<Answer, Refusal> {
    let host = begun.host;
    let answer = asked.await.map_err(|_| Refusal::Lost { host })?;
    begun.runs = answer.success;
    drop(begun);
    if !answer.success {
        return Ok(answer);
    }
    record(op, hub, agents, "agent.started", start.agent, json!({ "host": answer.host })).await?;
    if let (Some(from), Some(task)) = (start.requester, start.task.filter(|task| !task.is_empty())) {
        let (subject, to) = ("Agent Start".to_owned(), vec![start.agent]);
        let post = Post { from, to, kind: MailKind::Mail, subject, body: task, ..Post::default() };
        mail::send(&hub.op("agents.start"), hub, agents, post).await?;
    }
    Ok(answer)
}

/// An act of steering is told, whoever steers; what the hub does by itself shows in the agent's runs.
async fn record(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    action: &'static str,
    agent: i64,
    detail: Value,
) -> Result<()> {
    if matches!(op.actor, Actor::Hub(_)) {
        return Ok(());
    }
    let Some(row) = agents.directory().read().agent(agent).cloned() else { return Ok(()) };
    let mut act = hub.store.begin().await?;
    hub.record(&mut act, op, roster::event(action, &row, detail)).await?;
    act.commit().await
}

/// The host with the least to do among those that are there and may run the agent.
pub(super) fn choose(agents: &Agents, rows: &Rows, agent: i64) -> Result<i64, Refusal> {
    let name = name_of(rows, agent);
    // Every runner has a person among its agents, who takes no room.
    let mut loads = agents.live().loads_of(|agent| !rows.agent(agent).is_some_and(AgentRow::is_human));
    loads.retain(|host, _| agents.live().takes(*host, &name));
    let assigned: Vec<i64> = rows.hosts_of(agent).collect();
    let may = |(host, _): &(&i64, &usize)| {
        if assigned.is_empty() { rows.may_start_on(agent, **host) } else { assigned.contains(host) }
    };
    let there: Vec<(i64, usize)> = loads.iter().filter(may).map(|(host, load)| (*host, *load)).collect();
    if there.is_empty() {
        return Err(Refusal::NoHost { agent, name });
    }
    let has_room = |(host, load): &&(i64, usize)| {
        let capacity = rows.host(*host).and_then(|row| row.capacity);
        capacity.is_none_or(|capacity| i64::try_from(*load).is_ok_and(|load| load < capacity))
    };
    let free = there.iter().filter(has_room).min_by_key(|(host, load)| (*load, *host));
    free.map(|(host, _)| *host).ok_or(Refusal::NoRoom { agent, name })
}

/// Lets pass who may steer an agent: who may act for it, and hosts on which somebody runs for whom it works.
fn require_to_steer(op: &Op, agents: &Agents, agent: i64) -> Result<()> {
    let refused = match hosts::require_for(op, agents, agent) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let Actor::Node { id, .. } = &op.actor else { return Err(refused) };
    let rows = agents.directory().read();
    let own: Vec<i64> = rows.hosts().filter(|host| host.node == Some(*id)).map(|host| host.id).collect();
    let mut above = rows.agent(agent).and_then(|row| row.lead);
    for _ in 0..100 {
        let Some(lead) = above else { break };
        let is_human = rows.agent(lead).is_some_and(AgentRow::is_human);
        let runs = |host: &i64| {
            agents.live().is_active_on(lead, *host) && (!is_human || rows.may_start_on(lead, *host))
        };
        if own.iter().any(runs) {
            return Ok(());
        }
        above = rows.agent(lead).and_then(|row| row.lead);
    }
    Err(refused)
}

/// Stops an agent wherever it runs; the first host's answer counts. That may take as long as the agent's last step.
pub(super) async fn stop(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    agent: i64,
    reason: &str,
    from_host: Option<i64>,
) -> Result<Answer, Refusal> {
    require_to_steer(op, agents, agent)?;
    let on = agents.live().hosts_of(agent);
    if on.is_empty() {
        return Err(idle(agents, agent));
    }
    record(op, hub, agents, "agent.stopped", agent, json!({ "reason": reason })).await?;
    let order = Order::Stop { agent, reason: reason.to_owned() };
    let links = on.into_iter().filter_map(|host| agents.live().link(host));
    let mut asked: FuturesUnordered<_> = links.map(|link| link.order(order.clone(), from_host)).collect();
    while let Some(answer) = asked.next().await {
        if let Ok(answer) = answer {
            return Ok(answer);
        }
    }
    Err(Refusal::Gone)
}

fn idle(agents: &Agents, agent: i64) -> Refusal {
    Refusal::Idle { agent, name: name_of(&agents.directory().read(), agent) }
}

/// Stops an agent that shall run no more, without waiting for it.
pub(super) fn stop_in_background(op: &Op, hub: &Arc<Hub>, agents: &Agents, agent: i64, reason: &'static str) {
    if !agents.live().is_active(agent) {
        return;
    }
    let (op, held, agents) = (op.clone(), Arc::clone(hub), agents.clone());
    hub.tasks.spawn(async move {
        if let Err(error) = stop(&op, &held, &agents, agent, reason, None).await {
            tracing::warn!(agent, %error, "an agent that shall run no more was not stopped");
        }
    });
}

/// What an agent has before it.
pub(super) async fn peek(
    op: &Op,
    agents: &Agents,
    agent: i64,
    skip: Option<i64>,
    take: Option<i64>,
    from_host: Option<i64>,
) -> Result<Answer, Refusal> {
    require_to_steer(op, agents, agent)?;
    let on = agents.live().hosts_of(agent);
    let host = on.first().ok_or_else(|| idle(agents, agent))?;
    let link = agents.live().link(*host).ok_or(Refusal::Gone)?;
    link.order(Order::Peek { agent, skip, take }, from_host).await.map_err(|_| Refusal::Gone)
}
