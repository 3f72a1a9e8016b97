//! Runs and sessions of agents, the lines of their logs, and what they cost. What a host brings in one message is written in
//! one transaction, in its order, once.

mod costs;
mod logs;
mod store;

use std::sync::Arc;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::Op;
use time::OffsetDateTime;

pub(super) use self::costs::{CostBatch, write_costs};
pub use self::costs::{cost_sums, costs_of};
pub use self::logs::log;
pub(super) use self::logs::log_of;
pub(super) use self::logs::{LogBatch, NumberedLine, write_logs};
pub(super) use self::store::{LOGS, line_count};
use super::live::Happening;
use super::{Agents, READ, hosts};
use crate::api::{RunKey, Session};

/// A session that began.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) key: RunKey,
    pub(super) model: String,
    pub(super) created_at: OffsetDateTime,
}

/// Reads the greatest numbers, so that counting goes on there.
pub(super) async fn begin(op: &Op, hub: &Hub, agents: &Agents) -> Result<()> {
    access::require(op, super::MANAGE)?;
    let mut reader = hub.store.read().await?;
    let (run, cost) = store::last_numbers(&mut reader).await?;
    drop(reader);
    let mut reader = agents.bulk(hub).read().await?;
    let line = store::last_line(&mut reader).await?;
    for (agent, latest) in store::latest_lines(&mut reader).await? {
        agents.live().set_latest(agent, |known| known.log = latest);
    }
    agents.counters().run.set(run);
    agents.counters().cost.set(cost);
    agents.counters().line.set(line);
    Ok(())
}

/// Begins a run of an agent with its first session.
pub(super) async fn open_run(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    agent: i64,
    host: Option<i64>,
    model: &str,
) -> Result<RunKey> {
    hosts::require_to_run(op, agents, agent)?;
    let key = RunKey { agent, run: agents.counters().run.next(), session: 1 };
    open(op, hub, agents, key, host, model).await
}

/// Begins the next session of a run.
pub(super) async fn open_session(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    agent: i64,
    run: i64,
    host: Option<i64>,
    model: &str,
) -> Result<RunKey> {
    hosts::require_to_run(op, agents, agent)?;
    let last = store::last_session(&mut hub.store.read().await?, agent, run).await?;
    open(op, hub, agents, RunKey { agent, run, session: last + 1 }, host, model).await
}

async fn open(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    key: RunKey,
    host: Option<i64>,
    model: &str,
) -> Result<RunKey> {
    if key.run < 1 || model.len() > 200 {
        return Err(Error::invalid("run", "must be 1 or more, with a model of at most 200 characters"));
    }
    let opened = Opened { key, model: super::kept(model).into_owned(), created_at: op.clock.now() };
    let mut act = hub.store.begin().await?;
    store::insert_session(&mut act, &opened, host).await?;
    act.commit().await?;
    agents.live().tell(&Happening::Session(Arc::new(opened)));
    Ok(key)
}

/// The sessions of an agent, the newest first; `before` is a run.
pub async fn sessions(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    agent: &str,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Session>> {
    access::require(op, READ)?;
    let id = agents.directory().read().agent_named(agent)?.id;
    let limit = limit.clamp(1, 200);
    let mut sessions = store::sessions(&mut hub.store.read().await?, id, before, limit).await?;
    let logs = store::logs(&mut agents.bulk(hub).read().await?, id, before, limit).await?;
    // A log of a session that the hub was never told of is shown too.
    for (key, (lines, at)) in logs {
        if let Some(session) = sessions.iter_mut().find(|session| session.key == key) {
            session.lines = lines;
            session.last_active_at = session.last_active_at.max(at);
        } else {
            let (model, host) = (String::new(), None);
            sessions.push(Session { key, model, host, created_at: at, last_active_at: at, lines, cost: 0 });
        }
    }
    sessions.sort_by_key(|session| std::cmp::Reverse(session.key));
    sessions.truncate(limit as usize);
    Ok(sessions)
}
