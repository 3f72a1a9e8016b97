//! Hosts: who they are when they come, what can be set about them, and how they are shown.

use std::net::IpAddr;
use std::sync::Arc;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event::Event;
use nave_core::hub::nodes;
use nave_core::hub::op::Op;
use nave_core::id::NodeId;
use serde_json::{Value, json};

use super::directory::{self, HostRow, Rows};
use super::live::Happening;
use super::{Agents, MANAGE, OWN, READ, RUN, keys};
use crate::api::{Host, HostChange, HostKind, url_safe};

/// The most hosts of a hub; each is told of all others.
const MOST: usize = 10_000;

/// What a host says of itself when it comes.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// Its name, as it says.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: HostKind,
    /// The node that its key is of.
    pub(super) node: NodeId,
    /// Whether it came with the key that all share.
    pub(super) shared_key: bool,
    /// Its program and version, where it tells them.
    pub(super) version: Option<String>,
    /// From where.
    pub(super) address: Option<IpAddr>,
}

/// Takes note of a host that came; its number. One that comes the first time is unrestricted.
pub(super) async fn arrive(op: &Op, hub: &Hub, agents: &Agents, arrival: Arrival) -> Result<i64> {
    access::require(op, RUN)?;
    let name = url_safe(&arrival.name);
    if name.is_empty() {
        return Err(Error::invalid("host", "its name needs a letter or a digit"));
    }
    let now = op.clock.now();
    let put = |row: HostRow| HostRow {
        kind: arrival.kind,
        node: Some(arrival.node),
        shared_key: arrival.shared_key,
        version: arrival.version.clone(),
        last_address: arrival.address.map(|address| address.to_string()),
        last_active_at: Some(now),
        ..row
    };
    let _turn = agents.turn().await;
    let mut act = hub.store.begin().await?;
    let known = agents.directory().read().host_named(&name).cloned();
    let row = match known {
        // Whoever runs agents does not become a supervisor by saying so, nor the other way round.
        Ok(row) if (row.kind == HostKind::Supervisor) != (arrival.kind == HostKind::Supervisor) => {
            return Err(Error::Conflict(format!("{name} is the name of a {}", row.kind.word())));
        }
        // Names that differ for nodes may be one for hosts: what is somebody else's is not taken over.
        Ok(row) if row.node.is_some_and(|node| node != arrival.node) && is_others(hub, &row).await? => {
            return Err(Error::Conflict(format!("the host {name} is another node's: use another name")));
        }
        Ok(before) => {
            let row = put(before.clone());
            // After a restart all come at once, and nearly all as they were: that they were heard of is noted later.
            if !is_same(&before, &row) {
                directory::store::update_host(&mut act, &row).await?;
            }
            row
        }
        Err(_) => {
            if agents.directory().read().hosts().count() >= MOST {
                return Err(Error::Conflict(format!("there are {MOST} hosts already")));
            }
            let row = put(HostRow {
                id: directory::store::next_host(&mut act).await?,
                name,
                kind: arrival.kind,
                node: None,
                restricted: false,
                capacity: None,
                shared_key: false,
                version: None,
                last_address: None,
                last_active_at: None,
                created_at: now,
            });
            directory::store::insert_host(&mut act, &row).await?;
            row
        }
    };
    act.commit().await?;
    let id = row.id;
    agents.directory().write().put_host(row);
    Ok(id)
}

/// Whether nothing but the time is another.
fn is_same(before: &HostRow, row: &HostRow) -> bool {
    let told =
        |row: &HostRow| (row.kind, row.node, row.shared_key, row.version.clone(), row.last_address.clone());
    told(before) == told(row)
}

/// Whether a host is of a node that is still a member.
async fn is_others(hub: &Hub, row: &HostRow) -> Result<bool> {
    match row.node {
        Some(node) => nodes::still_member(hub, node).await,
        None => Ok(false),
    }
}

/// Lists the hosts.
pub fn list(op: &Op, agents: &Agents) -> Result<Vec<Host>> {
    access::require(op, READ)?;
    let rows = agents.directory().read();
    let active = agents.live().active();
    let mut hosts: Vec<Host> = rows.hosts().map(|row| view(&rows, row, active.get(&row.id))).collect();
    hosts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(hosts)
}

fn view(rows: &Rows, row: &HostRow, active: Option<&Vec<i64>>) -> Host {
    let name_of = |agent: i64| rows.agent(agent).map(|row| row.name().to_owned());
    Host {
        id: row.id,
        name: row.name.clone(),
        kind: row.kind,
        online: active.is_some(),
        restricted: row.restricted,
        capacity: row.capacity,
        active: active.into_iter().flatten().copied().filter_map(name_of).collect(),
        assigned: rows.agents_of(row.id).filter_map(name_of).collect(),
        version: row.version.clone(),
        address: row.last_address.clone(),
        shared_key: row.shared_key,
        last_active_at: row.last_active_at,
    }
}

/// Shows a host.
pub fn show(op: &Op, agents: &Agents, name: &str) -> Result<Host> {
    access::require(op, READ)?;
    let rows = agents.directory().read();
    let row = rows.host_named(name)?;
    Ok(view(&rows, row, agents.live().active().get(&row.id)))
}

/// Changes what is set about a host.
pub async fn change(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    name: &str,
    change: HostChange,
) -> Result<Host> {
    access::require(op, MANAGE)?;
    if change.capacity.is_some_and(|capacity| !(0..=10_000).contains(&capacity)) {
        return Err(Error::invalid("capacity", "must be from 0 (as many as come) to 10000"));
    }
    let turn = agents.turn().await;
    let mut act = hub.store.begin().await?;
    let mut row = agents.directory().read().host_named(name)?.clone();
    row.restricted = change.restricted.unwrap_or(row.restricted);
    row.capacity = match change.capacity {
        None => row.capacity,
        Some(0) => None,
        some => some,
    };
    directory::store::update_host(&mut act, &row).await?;
    let detail = json!({ "restricted": row.restricted, "capacity": row.capacity });
    hub.record(&mut act, op, event("host.changed", &row, detail)).await?;
    act.commit().await?;
    let name = row.name.clone();
    agents.directory().write().put_host(row);
    drop(turn);
    agents.live().tell(&Happening::Hosts);
    show(op, agents, &name)
}

fn event(action: &'static str, row: &HostRow, detail: Value) -> Event {
    Event {
        action,
        object_kind: "host",
        object_id: row.id.to_string(),
        object_name: row.name.clone(),
        detail,
    }
}

/// Notes that what runs now was heard of, for the time when it does not; how many agents that are.
pub(super) async fn note_heard_of(op: &Op, hub: &Hub, agents: &Agents) -> Result<usize> {
    access::require(op, MANAGE)?;
    let now = op.clock.now();
    let active = agents.live().active();
    let hosts: Vec<i64> = active.keys().copied().collect();
    let mut running: Vec<i64> = active.into_values().flatten().collect();
    running.sort_unstable();
    running.dedup();
    if hosts.is_empty() {
        return Ok(0);
    }
    let mut act = hub.store.begin().await?;
    directory::store::heard_of(&mut act, &running, &hosts, now).await?;
    act.commit().await?;
    let mut rows = agents.directory().write();
    for agent in &running {
        if let Some(row) = rows.agent_mut(*agent) {
            row.last_active_at = Some(now);
        }
    }
    for host in &hosts {
        if let Some(row) = rows.host_mut(*host) {
            row.last_active_at = Some(now);
        }
    }
    Ok(running.len())
}

/// Lets pass who may act for an agent: whoever manages agents; the agent itself, by its own key; and a host on which it runs, or may be started.
pub(super) fn require_for(op: &Op, agents: &Agents, agent: i64) -> Result<()> {
    use nave_core::hub::op::Actor;
    if let Some(asking) = keys::asking(op) {
        access::require(op, OWN)?;
        return if asking == agent {
            Ok(())
        } else {
            Err(Error::Forbidden(format!("{} is another agent than {agent}", op.actor.name())))
        };
    }
    access::require(op, RUN)?;
    let Actor::Node { id: node, name, .. } = &op.actor else { return access::require(op, MANAGE) };
    let rows = agents.directory().read();
    let row = rows.agent(agent).ok_or_else(|| Error::not_found("agent", agent.to_string()))?;
    let mut own = rows.hosts().filter(|host| host.node == Some(*node));
    // That a person is there is what every host says: it gives it nothing.
    let runs = |host: i64| !row.is_human() && agents.live().is_active_on(agent, host);
    if own.any(|host| rows.may_start_on(agent, host.id) || runs(host.id)) {
        return Ok(());
    }
    Err(Error::Forbidden(format!("agent {agent} neither runs on {name} nor may be started there")))
}

/// Lets pass who may write down what an agent does: who may act for it; and for a person every host, since each runner has
/// one among its agents.
pub(super) fn require_to_run(op: &Op, agents: &Agents, agent: i64) -> Result<()> {
    access::require(op, RUN)?;
    if agents.directory().read().agent(agent).is_some_and(directory::AgentRow::is_human) {
        return Ok(());
    }
    require_for(op, agents, agent)
}

/// Lets pass who may see what an agent does: people, and hosts as far as they may act for it.
pub(super) fn require_to_read(op: &Op, agents: &Agents, agent: i64) -> Result<()> {
    access::require(op, READ)?;
    match &op.actor {
        nave_core::hub::op::Actor::Node { .. } => require_for(op, agents, agent),
        _ => Ok(()),
    }
}
