//! NAISYS's runners and supervisors, driven by their own library, at a hub with the fleet. The farm stands here, what it is
//! tried with in the modules.

mod bad_input;
mod flood;
mod identity;
mod later;
mod relay;
mod sessions;
mod table;
mod twice;

use std::sync::Arc;
use std::time::Duration;

use nave_agents::hub::Agents;
use nave_agents::hub::config::{AgentsConfig, NaisysConfig};
use nave_agents::hub::roster::{self, Seed};
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_core::hub::nodes;
use nave_core::hub::op::Op;
use nave_testkit::hub::{TestHub, TestHubSetup};
use serde_json::{Value, json};

use crate::clients::Clients;

/// A hub with agents, and clients of one process.
pub struct Farm {
    pub hub: TestHub,
    pub agents: Agents,
    pub clients: Clients,
}

/// What a farm is made of.
#[derive(Default)]
pub struct Setup {
    pub folder: Option<Arc<tempfile::TempDir>>,
    pub agents: AgentsConfig,
    pub hub: HubConfig,
    pub clock: Option<Clock>,
    /// Besides `mocky`, who is number 1; `admin` is the last.
    pub more: &'static [&'static str],
}

/// A fleet in which these nodes' keys let supervisors in.
pub fn supervised() -> AgentsConfig {
    let supervisors = vec!["SUPERVISOR".to_owned()];
    AgentsConfig {
        naisys: NaisysConfig { supervisors, ..NaisysConfig::default() },
        ..AgentsConfig::default()
    }
}

const MOCKY: &str = "username: mocky
title: Mock Agent
agentPrompt: |
  You are ${agent.username}
spendLimitDollars: 1
tokenMax: 20000
shellModel: mock
mailEnabled: true
chatEnabled: true
completeSessionEnabled: true
debugPauseSeconds: 1
wakeOnMessage: true
";

impl Farm {
    pub async fn with(setup: Setup) -> anyhow::Result<Self> {
        let agents = Agents::new(setup.agents);
        let test = TestHubSetup {
            config: setup.hub,
            fleets: vec![Arc::new(agents.clone())],
            clock: setup.clock,
            ..TestHubSetup::default()
        };
        let hub = match setup.folder {
            Some(folder) => TestHub::on(folder, test).await?,
            None => TestHub::with(test).await?,
        };
        let files = tempfile::tempdir()?;
        std::fs::write(files.path().join("a.yaml"), MOCKY)?;
        for name in setup.more {
            let more = MOCKY.replace("mocky", name).replace("spendLimitDollars: 1\n", "");
            std::fs::write(files.path().join(format!("b-{name}.yaml")), more)?;
        }
        roster::seed(&hub.operator(), hub.hub(), &agents, Seed::read(files.path())?).await?;
        let clients = Clients::of(&hub)?;
        Ok(Self { hub, agents, clients })
    }

    pub fn op(&self) -> Op {
        self.hub.operator()
    }

    /// The key that all share, as its file has it.
    pub fn shared_key(&self) -> anyhow::Result<String> {
        let text = std::fs::read_to_string(self.hub.path().join("cert/hub-access-key"))?;
        Ok(text.trim().to_owned())
    }

    /// A key of a node's own.
    pub async fn mint(&self, name: &str, grace: Duration) -> anyhow::Result<String> {
        let roles = ["host".to_owned()];
        let key = nodes::mint_key(&self.op(), self.hub.hub(), name, &roles, grace).await?;
        Ok(key.reveal().to_string())
    }

    /// Comes with a key, and is what it says; whether it is let in is to be seen.
    pub async fn come(&mut self, id: &str, key: &str, auth: Value) -> anyhow::Result<()> {
        come(&mut self.clients, id, key, auth).await
    }

    /// Is let in with a key of its own.
    pub async fn runner(&mut self, name: &str) -> anyhow::Result<String> {
        let key = self.mint(name, Duration::ZERO).await?;
        self.come(name, &key, auth(&key, name, "naisys")).await?;
        self.clients.sees(name, "connect").await?;
        Ok(key)
    }

    /// A supervisor that is let in.
    pub async fn supervisor(&mut self) -> anyhow::Result<String> {
        let key = self.mint("SUPERVISOR", Duration::ZERO).await?;
        self.come("SUPERVISOR", &key, auth(&key, "SUPERVISOR", "supervisor")).await?;
        self.clients.sees("SUPERVISOR", "connect").await?;
        Ok(key)
    }

    /// What a runner asks and is answered.
    pub async fn ask(&mut self, id: &str, event: &str, payload: Value) -> anyhow::Result<Value> {
        self.clients.ask(id, event, payload).await
    }

    /// Says that agents run on a host, and waits until the hub has heard it.
    pub async fn runs(&mut self, id: &str, agents: &[i64]) -> anyhow::Result<()> {
        self.clients.say(id, "heartbeat", json!({ "activeUserIds": agents })).await?;
        // What is asked later is answered later.
        self.ask(id, "mail_peek", json!({ "userId": 0, "messageId": 0 })).await?;
        Ok(())
    }
}

/// What a program shows when it comes.
pub fn auth(key: &str, name: &str, kind: &str) -> Value {
    json!({ "hubAccessKey": key, "hostName": name, "hostType": kind })
}

/// Connects as a runner does; every push is compared with the contract.
pub async fn come(clients: &mut Clients, id: &str, key: &str, auth: Value) -> anyhow::Result<()> {
    let more = json!({ "key": key, "namespace": "/naisys", "auth": auth, "options": {}, "strict": true });
    clients.connect_with(id, more).await
}
