//! Agents: making and changing them, assigning them to hosts, showing how they are. Who runs where is `dispatch`'s.

mod seed;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event::Event;
use nave_core::hub::op::Op;
use nave_core::id::NodeId;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

pub use self::seed::{ADMIN, Difference, Seed, compare, seed};
pub(super) use self::seed::{from_yaml, to_yaml};
use super::directory::{self, AgentRow, HostRow, Rows};
use super::live::Happening;
use super::{Agents, MANAGE, READ};
use crate::api::{
    Agent, AgentChange, AgentDetail, AgentState, Assignment, ConfigProblem, HostKind, NewAgent, Revision,
};

/// What the agent's own key is sealed as.
const KEY: &str = "agents.api_key";
/// The most agents of a hub; each is told to every host.
const MOST: usize = 10_000;

impl From<ConfigProblem> for Error {
    fn from(problem: ConfigProblem) -> Self {
        Self::invalid(problem.field, problem.problem)
    }
}

/// Lists the agents.
pub fn list(op: &Op, agents: &Agents, archived: bool) -> Result<Vec<Agent>> {
    access::require(op, READ)?;
    let wakes = agents.wakes().problems();
    let rows = agents.directory().read();
    let shown = rows.agents().filter(|row| archived || !row.archived);
    Ok(shown.map(|row| view(agents, &rows, row, wakes.get(&row.id).cloned())).collect())
}

/// Shows an agent.
pub fn show(op: &Op, agents: &Agents, name: &str) -> Result<AgentDetail> {
    access::require(op, READ)?;
    let wakes = agents.wakes().problems();
    let rows = agents.directory().read();
    let row = rows.agent_named(name)?;
    Ok(AgentDetail {
        agent: view(agents, &rows, row, wakes.get(&row.id).cloned()),
        config: row.config.clone(),
        revision: row.revision,
    })
}

fn view(agents: &Agents, rows: &Rows, row: &AgentRow, problem: Option<String>) -> Agent {
    let name_of = |host: i64| rows.host(host).map(|host| host.name.clone());
    let hosts: Vec<String> = agents.live().hosts_of(row.id).into_iter().filter_map(name_of).collect();
    Agent {
        id: row.id,
        name: row.name().to_owned(),
        title: row.config.title.clone(),
        state: state(agents, rows, row),
        hosts,
        assigned: rows.hosts_of(row.id).filter_map(name_of).collect(),
        lead: row.lead.and_then(|lead| rows.agent(lead)).map(|lead| lead.name().to_owned()),
        model: row.config.shell_model.clone(),
        budget_left: agents.budgets().left(row.id).map(|left| left.0),
        suspended: row.suspended.clone(),
        problem,
        last_active_at: row.last_active_at,
    }
}

fn state(agents: &Agents, rows: &Rows, row: &AgentRow) -> AgentState {
    let live = agents.live();
    if row.archived {
        AgentState::Archived
    } else if !row.enabled {
        AgentState::Disabled
    } else if live.is_active(row.id) {
        AgentState::Active
    } else if row.suspended.is_some() {
        AgentState::Suspended
    } else if live
        .loads()
        .keys()
        .any(|host| rows.may_start_on(row.id, *host) && live.takes(*host, row.name()))
    {
        AgentState::Available
    } else {
        AgentState::Offline
    }
}

/// Makes an agent.
pub async fn create(op: &Op, hub: &Arc<Hub>, agents: &Agents, new: NewAgent) -> Result<AgentDetail> {
    access::require(op, MANAGE)?;
    new.config.check()?;
    let lead = match new.lead.as_deref().filter(|lead| !lead.is_empty()) {
        Some(lead) => Some(agents.directory().read().agent_named(lead)?.id),
        None => None,
    };
    if agents.directory().read().agents().filter(|row| !row.archived).count() >= MOST {
        return Err(Error::Conflict(format!("there are {MOST} agents already: archive some")));
    }
    let name = new.config.username.clone();
    let turn = agents.turn().await;
    let mut act = hub.store.begin().await?;
    let id = directory::store::next_agent(&mut act).await?;
    let row = make(op, hub, id, new.config, lead);
    directory::store::insert_agent(&mut act, &row).await?;
    directory::store::insert_revision(&mut act, &row, &op.actor.name(), op.clock.now()).await?;
    hub.record(&mut act, op, event("agent.created", &row, json!({ "lead": new.lead }))).await?;
    act.commit().await?;
    agents.directory().write().put_agent(row);
    drop(turn);
    agents.live().tell(&Happening::Agents);
    super::budgets::review(&hub.op("agents.budgets"), hub, agents).await?;
    show(op, agents, &name)
}

/// A new agent's row, with a key of its own.
fn make(op: &Op, hub: &Hub, id: i64, config: crate::api::AgentConfig, lead: Option<i64>) -> AgentRow {
    let key = hex::encode(hub.random.bytes::<32>());
    row_with_key(op, hub, id, config, lead, &key)
}

pub(super) fn row_with_key(
    op: &Op,
    hub: &Hub,
    id: i64,
    config: crate::api::AgentConfig,
    lead: Option<i64>,
    key: &str,
) -> AgentRow {
    AgentRow {
        id,
        uuid: uuid::Uuid::now_v7().to_string(),
        config,
        revision: 1,
        lead,
        enabled: true,
        archived: false,
        api_key: hub.sealer.seal(KEY, key.as_bytes()),
        api_key_hash: hash(key),
        created_at: op.clock.now(),
        suspended: None,
        spend_reset_at: None,
        last_active_at: None,
    }
}

/// The hash by which a key is found.
pub(super) fn hash(key: &str) -> String {
    hex::encode(digest(&SHA256, key.as_bytes()))
}

/// An agent's own key, for its runner.
pub(super) async fn api_key(hub: &Hub, sealed: &str) -> Result<SecretString> {
    let key = hub.sealer.unseal(KEY, sealed).await?;
    let text = String::from_utf8(key.expose_secret().to_vec()).map_err(Error::internal)?;
    Ok(SecretString::from(text))
}

/// Gives the agents new keys whose keys a node was told that is a member no longer: those that ran on it, and of a runner of
/// NAISYS, which is told all at once, those that it could have started. How many that were.
pub(super) async fn renew_keys(op: &Op, hub: &Hub, agents: &Agents, node: NodeId) -> Result<usize> {
    access::require(op, MANAGE)?;
    let _turn = agents.turn().await;
    let hosts: Vec<HostRow> = {
        let rows = agents.directory().read();
        rows.hosts().filter(|host| host.node == Some(node)).cloned().collect()
    };
    if hosts.is_empty() {
        return Ok(0);
    }
    let numbers: Vec<i64> = hosts.iter().map(|host| host.id).collect();
    let ran = directory::store::ran_on(&mut hub.store.read().await?, &numbers).await?;
    let told: Vec<AgentRow> = {
        let rows = agents.directory().read();
        let could = |agent: i64| {
            hosts.iter().any(|host| host.kind == HostKind::Naisys && rows.may_start_on(agent, host.id))
        };
        rows.agents().filter(|row| ran.contains(&row.id) || could(row.id)).cloned().collect()
    };
    let mut act = hub.store.begin().await?;
    let mut renewed = Vec::with_capacity(told.len());
    for mut row in told {
        let key = hex::encode(hub.random.bytes::<32>());
        (row.api_key, row.api_key_hash) = (hub.sealer.seal(KEY, key.as_bytes()), hash(&key));
        directory::store::update_key(&mut act, &row).await?;
        hub.record(&mut act, op, event("agent.key_renewed", &row, json!({ "revoked": node.to_string() })))
            .await?;
        renewed.push(row);
    }
    // The host is nobody's any more, which also says that this is done.
    let left: Vec<HostRow> = hosts.into_iter().map(|host| HostRow { node: None, ..host }).collect();
    for host in &left {
        directory::store::update_host(&mut act, host).await?;
    }
    act.commit().await?;
    let count = renewed.len();
    {
        let mut rows = agents.directory().write();
        for host in left {
            rows.put_host(host);
        }
        for row in renewed {
            rows.put_agent(row);
        }
    }
    // The hosts that are left are told the new ones.
    agents.live().tell(&Happening::Agents);
    Ok(count)
}

/// Changes an agent.
pub async fn change(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    name: &str,
    change: AgentChange,
) -> Result<AgentDetail> {
    access::require(op, MANAGE)?;
    let now = op.clock.now();
    let turn = agents.turn().await;
    let mut act = hub.store.begin().await?;
    let mut row = agents.directory().read().agent_named(name)?.clone();
    let mut detail = serde_json::Map::new();
    if let Some(config) = change.config.filter(|config| *config != row.config) {
        config.check()?;
        if change.from_revision.is_some_and(|from| from != row.revision) {
            return Err(Error::Conflict(format!(
                "the configuration of {} was changed meanwhile (it is at revision {}): look at it again, then change it",
                row.name(),
                row.revision
            )));
        }
        detail.insert("fields".to_owned(), json!(differences(&row.config, &config)));
        row.config = config;
        row.revision += 1;
        directory::store::insert_revision(&mut act, &row, &op.actor.name(), now).await?;
        detail.insert("revision".to_owned(), json!(row.revision));
    }
    if let Some(enabled) = change.enabled.filter(|enabled| *enabled != row.enabled) {
        row.enabled = enabled;
        detail.insert("enabled".to_owned(), json!(enabled));
    }
    if let Some(archived) = change.archived.filter(|archived| *archived != row.archived) {
        row.archived = archived;
        detail.insert("archived".to_owned(), json!(archived));
    }
    if let Some(lead) = change.lead {
        let id = match lead.as_str() {
            "" => None,
            lead => Some(checked_lead(&agents.directory().read(), row.id, lead)?),
        };
        if id != row.lead {
            row.lead = id;
            detail.insert("lead".to_owned(), json!(lead));
        }
    }
    if detail.is_empty() {
        drop(act);
        return show(op, agents, name);
    }
    directory::store::update_agent(&mut act, &row).await?;
    hub.record(&mut act, op, event("agent.changed", &row, Value::Object(detail))).await?;
    act.commit().await?;
    let (id, name) = (row.id, row.name().to_owned());
    let stops = !row.may_run();
    agents.directory().write().put_agent(row);
    drop(turn);
    agents.live().tell(&Happening::Agents);
    super::budgets::review(&hub.op("agents.budgets"), hub, agents).await?;
    if stops {
        super::dispatch::stop_in_background(op, hub, agents, id, "It was disabled");
    }
    // An archived agent has no name any more, but its number.
    let key = if agents.directory().read().agent_named(&name).is_ok() { name } else { id.to_string() };
    show(op, agents, &key)
}

/// The fields in which two configurations differ.
pub(super) fn differences(before: &crate::api::AgentConfig, after: &crate::api::AgentConfig) -> Vec<String> {
    let fields = |config| match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    names
}

/// A lead that does not, in the end, work for the agent itself.
fn checked_lead(rows: &Rows, agent: i64, lead: &str) -> Result<i64> {
    let id = rows.agent_named(lead)?.id;
    let mut above = Some(id);
    for _ in 0..MOST {
        match above {
            None => return Ok(id),
            Some(one) if one == agent => break,
            Some(one) => above = rows.agent(one).and_then(|row| row.lead),
        }
    }
    Err(Error::invalid("lead", format!("{lead} works for this agent itself: choose another")))
}

/// Says on which hosts an agent may run.
pub async fn assign(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    name: &str,
    assignment: Assignment,
) -> Result<AgentDetail> {
    access::require(op, MANAGE)?;
    let turn = agents.turn().await;
    let mut act = hub.store.begin().await?;
    let (row, hosts) = {
        let rows = agents.directory().read();
        let row = rows.agent_named(name)?.clone();
        let hosts = assignment.hosts.iter().map(|host| rows.host_named(host).map(|host| host.id));
        (row, hosts.collect::<Result<std::collections::BTreeSet<i64>>>()?)
    };
    let hosts: Vec<i64> = hosts.into_iter().collect();
    directory::store::assign(&mut act, row.id, &hosts).await?;
    let detail = json!({ "hosts": assignment.hosts });
    hub.record(&mut act, op, event("agent.assigned", &row, detail)).await?;
    act.commit().await?;
    agents.directory().write().assign(row.id, &hosts);
    drop(turn);
    agents.live().tell(&Happening::Agents);
    show(op, agents, name)
}

/// The earlier configurations of an agent, the newest first.
pub async fn revisions(op: &Op, hub: &Hub, agents: &Agents, name: &str) -> Result<Vec<Revision>> {
    access::require(op, READ)?;
    let id = agents.directory().read().agent_named(name)?.id;
    directory::store::revisions(&mut hub.store.read().await?, id, 200).await
}

pub(super) fn event(action: &'static str, row: &AgentRow, detail: Value) -> Event {
    Event {
        action,
        object_kind: "agent",
        object_id: row.id.to_string(),
        object_name: row.name().to_owned(),
        detail,
    }
}
