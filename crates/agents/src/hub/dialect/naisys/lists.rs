//! The lists that every client is told whole: hosts, variables, models, agents, and what runs where. Each is written once for
//! all who are told the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::super::socket_io::{Prepared, Socket};
use super::Naisys;
use crate::api::{HostKind, Model};
use crate::hub::directory::AgentRow;
use crate::hub::roster;
use crate::hub::settings::{self, Revealed};

/// What was read for lists, until it changes.
#[derive(Default)]
pub(super) struct Lists(Mutex<Known>);

#[derive(Default)]
struct Known {
    settings: Option<Arc<Settings>>,
    /// Agents' own keys, by how they are sealed.
    keys: HashMap<String, Arc<SecretString>>,
}

/// Variables and models.
struct Settings {
    variables: Vec<Revealed>,
    models: Vec<Model>,
}

impl Lists {
    /// Variables or models are others now.
    pub(super) fn forget_settings(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).settings = None;
    }
}

impl Naisys {
    async fn settings(&self, hub: &Hub) -> Result<Arc<Settings>> {
        let lock = || self.0.lists.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().settings.clone() {
            return Ok(known);
        }
        let op = hub.op("naisys.lists");
        let variables = settings::reveal(&op, hub).await?;
        let models = settings::models(&op, hub).await?;
        let settings = Arc::new(Settings { variables, models });
        lock().settings = Some(Arc::clone(&settings));
        Ok(settings)
    }

    /// Tells somebody who came everything.
    pub(super) async fn greet(&self, socket: &Socket, host: Option<i64>) -> Result<()> {
        let hub = &self.hub()?;
        let lists = [
            self.hosts_list(),
            self.variables_list(hub, host).await?,
            self.models_list(hub).await?,
            self.agents_list(hub, host).await?,
            self.status_list(),
        ];
        for list in lists {
            if socket.emit_prepared(&list).is_err() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn hosts_list(&self) -> Prepared {
        let agents = &self.0.agents;
        let rows = agents.directory().read();
        let host = |row: &crate::hub::directory::HostRow| {
            // Runners know these two kinds, and end when they are told another.
            let is_supervisor = row.kind == HostKind::Supervisor;
            json!({
                "hostId": row.id,
                "hostName": row.name,
                "restricted": row.restricted,
                "hostType": if is_supervisor { "supervisor" } else { "naisys" },
                "online": !is_supervisor && agents.live().is_online(row.id),
            })
        };
        Prepared::new("hosts_updated", &json!({ "hosts": rows.hosts().map(host).collect::<Vec<_>>() }))
    }

    pub(super) async fn models_list(&self, hub: &Hub) -> Result<Prepared> {
        let settings = self.settings(hub).await?;
        let (mut llm, mut image) = (Vec::new(), Vec::new());
        for model in &settings.models {
            match model {
                Model::Llm(model) => llm.push(json!(model)),
                Model::Image(model) => image.push(json!(model)),
            }
        }
        let list = json!({ "success": true, "llmModels": llm, "imageModels": image });
        Ok(Prepared::new("models_updated", &list))
    }

    /// The variables that a host needs; a supervisor needs the fleet's settings.
    pub(super) async fn variables_list(&self, hub: &Hub, host: Option<i64>) -> Result<Prepared> {
        let settings = self.settings(hub).await?;
        let needed = match host {
            Some(host) => settings::needed_by(&self.0.agents, host, &settings.variables, &settings.models),
            None => BTreeMap::new(),
        };
        let (mut all, mut shell) = (Map::new(), Map::new());
        for variable in &settings.variables {
            let Some(exported) = needed.get(&variable.key) else { continue };
            let value = Value::from(variable.value.expose_secret());
            if *exported {
                shell.insert(variable.key.clone(), value.clone());
            }
            all.insert(variable.key.clone(), value);
        }
        let mut config = json!({
            "shellCommand": { "outputTokenMax": 7500, "timeoutSeconds": 10, "maxTimeoutSeconds": 300 },
            "retrySecondsMax": 1800,
            "webTokenMax": 5000,
            "compactSessionEnabled": true,
            "preemptiveCompactEnabled": true,
            "variableMap": all,
            "shellVariableMap": shell,
            "useToolsForLlmConsoleResponses": true,
            "autoStartAgentsOnMessage": true,
        });
        let engine = settings.variables.iter().find(|variable| variable.key == "GOOGLE_SEARCH_ENGINE_ID");
        if let Some(engine) = engine {
            config["googleSearchEngineId"] = engine.value.expose_secret().into();
        }
        for (field, key) in
            [("spendLimitDollars", "SPEND_LIMIT_DOLLARS"), ("spendLimitHours", "SPEND_LIMIT_HOURS")]
        {
            if let Some(number) = settings::number(&settings.variables, key) {
                config[field] = json!(number);
            }
        }
        Ok(Prepared::new("variables_updated", &json!({ "success": true, "config": config })))
    }

    /// The agents that a host may start or runs, whose keys it is told.
    pub(super) fn own_agents(&self, host: Option<i64>) -> Vec<i64> {
        let Some(host) = host else { return Vec::new() };
        let (rows, live) = (self.0.agents.directory().read(), self.0.agents.live());
        // Every host says that a person is there, which gives it no key.
        let runs = |row: &AgentRow| !row.is_human() && live.is_active_on(row.id, host);
        let is_own = |row: &&AgentRow| !row.archived && (rows.may_start_on(row.id, host) || runs(row));
        rows.agents().filter(is_own).map(|row| row.id).collect()
    }

    pub(super) async fn agents_list(&self, hub: &Hub, host: Option<i64>) -> Result<Prepared> {
        self.agents_list_for(hub, &self.own_agents(host)).await
    }

    pub(super) async fn agents_list_for(&self, hub: &Hub, own: &[i64]) -> Result<Prepared> {
        let sealed: BTreeMap<i64, String> = {
            let rows = self.0.agents.directory().read();
            own.iter().filter_map(|id| rows.agent(*id)).map(|row| (row.id, row.api_key.clone())).collect()
        };
        let mut keys = BTreeMap::new();
        for (agent, sealed) in sealed {
            keys.insert(agent, self.key(hub, &sealed).await?);
        }
        let rows = self.0.agents.directory().read();
        let mut list = Vec::new();
        for row in rows.agents().filter(|row| !row.archived) {
            // One agent that a runner cannot read would cost it all of them.
            if let Err(problem) = row.config.check() {
                tracing::warn!(agent = row.name(), %problem, "runners are not told of this agent");
                continue;
            }
            let mut user = json!({
                "userId": row.id,
                "username": row.name(),
                "enabled": row.enabled,
                "config": row.config,
            });
            if let Some(lead) = row.lead {
                user["leadUserId"] = lead.into();
            }
            let assigned: Vec<i64> = rows.hosts_of(row.id).collect();
            if !assigned.is_empty() {
                user["assignedHostIds"] = json!(assigned);
            }
            if let Some(key) = keys.get(&row.id) {
                user["apiKey"] = key.expose_secret().into();
            }
            list.push(user);
        }
        Ok(Prepared::new("users_updated", &json!({ "success": true, "users": list })))
    }

    async fn key(&self, hub: &Hub, sealed: &str) -> Result<Arc<SecretString>> {
        let lock = || self.0.lists.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = lock().keys.get(sealed) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(roster::api_key(hub, sealed).await?);
        lock().keys.insert(sealed.to_owned(), Arc::clone(&key));
        Ok(key)
    }

    /// What runs where, and what is new for whom.
    pub(super) fn status(&self) -> Value {
        let live = self.0.agents.live();
        let active: Map<String, Value> =
            live.active().into_iter().map(|(host, agents)| (host.to_string(), json!(agents))).collect();
        let latest: Map<String, Value> = live
            .latest()
            .into_iter()
            .map(|(agent, latest)| {
                let ids =
                    json!({ "latestLogId": latest.log, "latestMailId": latest.mail, "latestChatId": latest.chat });
                (agent.to_string(), ids)
            })
            .collect();
        json!({ "hostActiveAgents": active, "agentNotifications": latest })
    }

    fn status_list(&self) -> Prepared {
        Prepared::new("agents_status", &self.status())
    }
}
