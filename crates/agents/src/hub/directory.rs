//! Which agents and hosts there are, as the database says, kept in memory since every message asks for it. What runs where
//! is not known here: that is `live`.

pub(super) mod store;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use nave_core::hub::error::{Error, Result};
use nave_core::id::NodeId;
use time::OffsetDateTime;

use crate::api::{AgentConfig, HostKind, url_safe};

/// An agent's row.
#[derive(Clone, Debug)]
pub(super) struct AgentRow {
    pub(super) id: i64,
    pub(super) uuid: String,
    pub(super) config: AgentConfig,
    pub(super) revision: i64,
    pub(super) lead: Option<i64>,
    pub(super) enabled: bool,
    pub(super) archived: bool,
    /// Sealed.
    pub(super) api_key: String,
    pub(super) api_key_hash: String,
    pub(super) created_at: OffsetDateTime,
    pub(super) suspended: Option<String>,
    pub(super) spend_reset_at: Option<OffsetDateTime>,
    pub(super) last_active_at: Option<OffsetDateTime>,
}

impl AgentRow {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.config.username
    }

    /// Whether it may run at all.
    pub(super) fn may_run(&self) -> bool {
        self.enabled && !self.archived
    }

    /// Whether it is a person among agents, which no host runs by itself.
    pub(super) fn is_human(&self) -> bool {
        self.config.is_human()
    }
}

/// A host's row.
#[derive(Clone, Debug)]
pub(super) struct HostRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) kind: HostKind,
    pub(super) node: Option<NodeId>,
    pub(super) restricted: bool,
    pub(super) capacity: Option<i64>,
    pub(super) shared_key: bool,
    pub(super) version: Option<String>,
    pub(super) last_address: Option<String>,
    pub(super) last_active_at: Option<OffsetDateTime>,
    pub(super) created_at: OffsetDateTime,
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    agents: BTreeMap<i64, AgentRow>,
    names: HashMap<String, i64>,
    keys: HashMap<String, i64>,
    hosts: BTreeMap<i64, HostRow>,
    host_names: HashMap<String, i64>,
    /// Agent and host.
    assigned: BTreeSet<(i64, i64)>,
}

impl Rows {
    pub(super) fn new(
        agents: Vec<AgentRow>,
        hosts: Vec<HostRow>,
        assigned: impl IntoIterator<Item = (i64, i64)>,
    ) -> Self {
        let mut rows = Self { assigned: assigned.into_iter().collect(), ..Self::default() };
        for agent in agents {
            rows.put_agent(agent);
        }
        for host in hosts {
            rows.put_host(host);
        }
        rows
    }

    /// Puts an agent in the place of its earlier state.
    pub(super) fn put_agent(&mut self, agent: AgentRow) {
        if let Some(before) = self.agents.get(&agent.id) {
            self.names.remove(&before.name().to_lowercase());
            self.keys.remove(&before.api_key_hash);
        }
        if !agent.archived {
            self.names.insert(agent.name().to_lowercase(), agent.id);
            self.keys.insert(agent.api_key_hash.clone(), agent.id);
        }
        self.agents.insert(agent.id, agent);
    }

    /// Puts a host in the place of its earlier state.
    pub(super) fn put_host(&mut self, host: HostRow) {
        self.host_names.insert(host.name.clone(), host.id);
        self.hosts.insert(host.id, host);
    }

    /// Puts an agent's hosts in the place of those it had.
    pub(super) fn assign(&mut self, agent: i64, hosts: &[i64]) {
        self.assigned.retain(|(assigned, _)| *assigned != agent);
        self.assigned.extend(hosts.iter().map(|host| (agent, *host)));
    }

    pub(super) fn agents(&self) -> impl Iterator<Item = &AgentRow> {
        self.agents.values()
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = &HostRow> {
        self.hosts.values()
    }

    pub(super) fn agent(&self, id: i64) -> Option<&AgentRow> {
        self.agents.get(&id)
    }

    pub(super) fn agent_mut(&mut self, id: i64) -> Option<&mut AgentRow> {
        self.agents.get_mut(&id)
    }

    pub(super) fn host(&self, id: i64) -> Option<&HostRow> {
        self.hosts.get(&id)
    }

    pub(super) fn host_mut(&mut self, id: i64) -> Option<&mut HostRow> {
        self.hosts.get_mut(&id)
    }

    /// The agent of that name, or of that number.
    pub(super) fn agent_named(&self, name: &str) -> Result<&AgentRow> {
        let by_name = self.names.get(&name.to_lowercase()).copied();
        let id = by_name.or_else(|| name.parse().ok());
        id.and_then(|id| self.agents.get(&id)).ok_or_else(|| Error::not_found("agent", name))
    }

    /// The host of that name, as it is or as it was told.
    pub(super) fn host_named(&self, name: &str) -> Result<&HostRow> {
        let id = self.host_names.get(name).or_else(|| self.host_names.get(&url_safe(name)));
        id.and_then(|id| self.hosts.get(id)).ok_or_else(|| Error::not_found("host", name))
    }

    /// Whose own key has this hash.
    pub(super) fn agent_by_key(&self, hash: &str) -> Option<&AgentRow> {
        self.keys.get(hash).and_then(|id| self.agents.get(id))
    }

    /// The hosts that an agent is assigned to.
    pub(super) fn hosts_of(&self, agent: i64) -> impl Iterator<Item = i64> + '_ {
        self.assigned.range((agent, i64::MIN)..=(agent, i64::MAX)).map(|(_, host)| *host)
    }

    /// The agents that are assigned to a host.
    pub(super) fn agents_of(&self, host: i64) -> impl Iterator<Item = i64> + '_ {
        self.assigned.iter().filter(move |(_, assigned)| *assigned == host).map(|(agent, _)| *agent)
    }

    /// Whether an agent may be started on a host: it is assigned to it, or to none while the host takes all.
    pub(super) fn may_start_on(&self, agent: i64, host: i64) -> bool {
        let Some(row) = self.hosts.get(&host) else { return false };
        if row.kind == HostKind::Supervisor {
            return false;
        }
        if self.assigned.contains(&(agent, host)) {
            return true;
        }
        !row.restricted && self.hosts_of(agent).next().is_none()
    }
}

/// The rows, for everybody.
#[derive(Debug, Default)]
pub(super) struct Directory(RwLock<Rows>);

impl Directory {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::hub) fn agent(id: i64, name: &str) -> AgentRow {
        AgentRow {
            id,
            uuid: format!("uuid-{id}"),
            config: AgentConfig::new(name, "Somebody", "You are somebody.", 1000, "mock"),
            revision: 1,
            lead: None,
            enabled: true,
            archived: false,
            api_key: String::new(),
            api_key_hash: format!("hash-{id}"),
            created_at: OffsetDateTime::UNIX_EPOCH,
            suspended: None,
            spend_reset_at: None,
            last_active_at: None,
        }
    }

    pub(in crate::hub) fn host(id: i64, name: &str) -> HostRow {
        HostRow {
            id,
            name: name.to_owned(),
            kind: HostKind::Naisys,
            node: None,
            restricted: false,
            capacity: None,
            shared_key: false,
            version: None,
            last_address: None,
            last_active_at: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_agent_runs_where_it_is_assigned_or_else_where_everybody_may() {
        let closed = HostRow { restricted: true, ..host(2, "closed") };
        let mut rows =
            Rows::new(vec![agent(1, "ann"), agent(2, "bob")], vec![host(1, "open"), closed], [(2, 2)]);
        assert!(rows.may_start_on(1, 1) && !rows.may_start_on(1, 2));
        assert!(rows.may_start_on(2, 2) && !rows.may_start_on(2, 1));
        rows.assign(2, &[]);
        assert!(rows.may_start_on(2, 1) && !rows.may_start_on(2, 2));
        assert!(!rows.may_start_on(1, 3));
    }

    #[test]
    fn a_name_and_a_key_go_with_their_agent() {
        let mut rows = Rows::new(vec![agent(1, "Ann")], vec![], []);
        assert_eq!(rows.agent_named("ann").unwrap().id, 1);
        assert_eq!(rows.agent_named("1").unwrap().id, 1);
        let mut renamed = agent(1, "anna");
        renamed.api_key_hash = "new".to_owned();
        rows.put_agent(renamed);
        assert!(rows.agent_named("ann").is_err() && rows.agent_by_key("hash-1").is_none());
        assert_eq!(rows.agent_by_key("new").unwrap().name(), "anna");
        rows.put_agent(AgentRow { archived: true, ..agent(1, "anna") });
        assert!(rows.agent_named("anna").is_err(), "its name is free");
    }
}
