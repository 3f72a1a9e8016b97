//! Waking agents that have something to read. Each wake-up is a task for the host that shall start the agent: so one that
//! fails is tried again after a pause that grows, also when the hub was started anew in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nave_core::api::{Task, TaskFilter, TaskState};
use nave_core::hub::access;
use nave_core::hub::bus::Notice;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::nodes;
use nave_core::hub::op::Op;
use nave_core::hub::tasks::{self, BackOff, Failure, NewTask, Taken, TaskKind};
use nave_core::id::NodeId;
use serde_json::json;

use super::dispatch::{self, Start, choose};
use super::{Agents, MANAGE, RUN, mail};

/// Notices on this topic have agents woken that have something to read.
pub(super) const TOPIC: &str = "agents.wake";

/// One wake-up; its key is the agent's number.
pub(super) const KIND: TaskKind = TaskKind {
    name: "agents.wake",
    put: MANAGE,
    take: RUN,
    // A host answers when the agent runs, which takes a while where it has to be fetched first.
    time_limit: Duration::from_mins(15),
    // As long as there is mail to read, it is tried: about every quarter of an hour in the end.
    attempts: 10_000,
    back_off: BackOff { first: Duration::from_secs(10), longest: Duration::from_mins(15) },
    keep: Duration::from_hours(24 * 7),
};

/// Why agents did not start the last time, as was last seen.
#[derive(Default)]
pub(super) struct Wakes(Mutex<BTreeMap<i64, String>>);

impl Wakes {
    fn state(&self) -> MutexGuard<'_, BTreeMap<i64, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By agent: why it did not start the last time, and when that is tried again.
    pub(super) fn problems(&self) -> BTreeMap<i64, String> {
        self.state().clone()
    }
}

/// Has those woken soon that have something to read.
pub(super) fn soon(hub: &Hub) {
    hub.bus.publish(Notice { topic: TOPIC, key: String::new() });
}

/// Starts agents that have something to read; how many were asked.
pub(super) async fn wake(op: &Op, hub: &Arc<Hub>, agents: &Agents) -> Result<usize> {
    access::require(op, MANAGE)?;
    let mut waiting = unfinished(op, hub).await?;
    let here = connected(agents);
    let names = names(hub, &here, !waiting.is_empty()).await?;
    for agent in mail::unread(op, hub).await? {
        let Some(host) = wanted_on(agents, agent) else { continue };
        let task = waiting.remove(&agent);
        let waits = task.as_ref().is_some_and(|task| {
            task.state == TaskState::Taken || task.node.as_ref().is_some_and(|node| names.contains(node))
        });
        if waits {
            continue;
        }
        if let Some(task) = task {
            // Its host is gone, and another one is there.
            cancel(op, hub, &task).await?;
        }
        put(op, hub, agent, host).await?;
    }
    // Who has read everything, or shall not run any more, is woken no more.
    for (agent, task) in waiting {
        if task.state == TaskState::Queued && !is_wanted(agents, agent) {
            cancel(op, hub, &task).await?;
        }
    }
    let mut asked = 0;
    for (host, node) in here {
        for taken in tasks::take(op, hub, KIND.name, node, 10).await? {
            asked += 1;
            let (op, held, agents) = (op.clone(), Arc::clone(hub), agents.clone());
            hub.tasks.spawn(async move {
                if let Err(error) = carry(&op, &held, &agents, host, node, &taken).await {
                    tracing::warn!(agent = taken.key, %error, "what came of a wake-up cannot be written down");
                }
                if let Err(error) = look(&op, &held, &agents).await {
                    tracing::warn!(%error, "wake-ups cannot be looked at");
                }
            });
        }
    }
    look(op, hub, agents).await?;
    Ok(asked)
}

/// Wake-ups that are not finished, by agent.
async fn unfinished(op: &Op, hub: &Hub) -> Result<BTreeMap<i64, Task>> {
    let mut all = BTreeMap::new();
    for state in [TaskState::Queued, TaskState::Taken] {
        let mut filter = TaskFilter {
            state: Some(state),
            kind: Some(KIND.name.to_owned()),
            limit: Some(1000),
            ..TaskFilter::default()
        };
        loop {
            let page = tasks::list(op, hub, &filter).await?;
            let Some(last) = page.last() else { break };
            filter.before = Some(last.id.clone());
            all.extend(page.into_iter().filter_map(|task| Some((task.key.parse().ok()?, task))));
        }
    }
    Ok(all)
}

/// Whether an agent is to be woken at all.
fn is_wanted(agents: &Agents, agent: i64) -> bool {
    let rows = agents.directory().read();
    let may =
        rows.agent(agent).is_some_and(|row| row.may_run() && !row.is_human() && row.suspended.is_none());
    may && !agents.live().is_active(agent)
}

/// The host that shall start an agent, if it is to be woken and one is there.
fn wanted_on(agents: &Agents, agent: i64) -> Option<NodeId> {
    if !is_wanted(agents, agent) {
        return None;
    }
    let rows = agents.directory().read();
    let host = choose(agents, &rows, agent).ok()?;
    rows.host(host)?.node
}

/// The names of nodes; none where nobody asks.
async fn names(hub: &Hub, nodes: &[(i64, NodeId)], wanted: bool) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    if wanted {
        let mut reader = hub.store.read().await?;
        for (_, node) in nodes {
            names.extend(nodes::name_of(&mut reader, *node).await?);
        }
    }
    Ok(names)
}

async fn put(op: &Op, hub: &Hub, agent: i64, node: NodeId) -> Result<()> {
    let (key, payload) = (Some(agent.to_string()), json!({ "agent": agent }));
    let new = NewTask { kind: KIND.name, key, node: Some(node), payload, delay: Duration::ZERO };
    tasks::put(op, hub, new).await?;
    Ok(())
}

async fn cancel(op: &Op, hub: &Hub, task: &Task) -> Result<()> {
    match tasks::cancel(op, hub, &task.id).await {
        // It ended by itself meanwhile.
        Ok(()) | Err(Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The hosts that are there, each with its node.
fn connected(agents: &Agents) -> Vec<(i64, NodeId)> {
    let rows = agents.directory().read();
    let node = |host: i64| Some((host, rows.host(host)?.node?));
    agents.live().loads().into_keys().filter_map(node).collect()
}

/// Has a host start an agent, and notes what came of it.
async fn carry(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    host: i64,
    node: NodeId,
    taken: &Taken,
) -> Result<()> {
    let agent = taken.key.parse().unwrap_or_default();
    if !is_wanted(agents, agent) {
        let result = json!({ "started": false });
        return tasks::finish(op, hub, taken.id, taken.attempt, node, &result).await;
    }
    let start = Start { agent, host: Some(host), ..Start::default() };
    let reason = match dispatch::start(op, hub, agents, start).await {
        Ok(answer) if answer.success => {
            let result = json!({ "started": true, "host": answer.host });
            return tasks::finish(op, hub, taken.id, taken.attempt, node, &result).await;
        }
        Ok(answer) => answer.error.unwrap_or_else(|| "its host did not say why".to_owned()),
        Err(refusal) => Error::from(refusal).message(),
    };
    let failure = Failure { reason, again: true };
    tasks::fail(op, hub, taken.id, taken.attempt, node, &failure).await
}

/// Looks at what failed, for those who show it.
async fn look(op: &Op, hub: &Hub, agents: &Agents) -> Result<()> {
    let told = |task: &Task| {
        let error = task.error.as_deref()?;
        let again = task.due_at.map(|at| format!("; again at {:02}:{:02} UTC", at.hour(), at.minute()));
        let times = if task.attempt == 1 { "once".to_owned() } else { format!("{} times", task.attempt) };
        Some(format!("{error} (tried {times}{})", again.unwrap_or_default()))
    };
    let waiting = unfinished(op, hub).await?;
    let problems = waiting.iter().filter_map(|(agent, task)| Some((*agent, told(task)?))).collect();
    *agents.wakes().state() = problems;
    Ok(())
}
