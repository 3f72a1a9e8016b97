//! How the hub is asked: with the agent's own key in its shell, else as the person who signed in, for the agent that is named. Each
//! question finds the hub anew, so that one that was away is found again.

use std::path::PathBuf;

use http::Method;
use hyper::body::Bytes;
use nave_agents::api::{
    Agent, AgentDetail, AgentSelf, BudgetView, Colleague, LogPage, Mail, NewMail, SpendWindow,
};
use nave_link::address::HubUrl;
use serde_json::json;
use tokio::sync::Mutex;

use super::super::files;
use super::super::mail::MAILS;
use super::super::path;
use crate::client::{HubClient, segment};

/// The hub, as far as it is an agent's.
pub(super) struct Asked {
    data: PathBuf,
    url: Option<HubUrl>,
    named: String,
    /// Whose key it is, once the hub said so.
    own: Mutex<Option<String>>,
}

/// Who the agent is.
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) lead: Option<String>,
    pub(super) suspended: Option<String>,
}

impl Asked {
    pub(super) fn new(data: PathBuf, url: Option<HubUrl>, named: String) -> Self {
        Self { data, url, named, own: Mutex::default() }
    }

    async fn hub(&self) -> anyhow::Result<HubClient> {
        HubClient::find(&self.data, self.url.as_ref()).await
    }

    /// The agent's name.
    pub(super) async fn name(&self) -> anyhow::Result<String> {
        self.name_by(&self.hub().await?).await
    }

    async fn name_by(&self, hub: &HubClient) -> anyhow::Result<String> {
        if !matches!(hub, HubClient::Agent(_)) {
            return Ok(self.named.clone());
        }
        let mut own = self.own.lock().await;
        if let Some(name) = &*own {
            return Ok(name.clone());
        }
        Ok(own.insert(about_self(hub).await?.name).clone())
    }

    /// Forgets whose key it is: agents can be renamed.
    pub(super) async fn forget(&self) {
        self.own.lock().await.take();
    }

    pub(super) async fn identity(&self) -> anyhow::Result<Identity> {
        let hub = self.hub().await?;
        if let HubClient::Agent(_) = hub {
            let AgentSelf { name, title, lead, suspended, .. } = about_self(&hub).await?;
            return Ok(Identity { name, title, lead, suspended });
        }
        let AgentDetail { agent, .. } = hub.get(&path(&self.named)).await?;
        let Agent { name, title, lead, suspended, .. } = agent;
        Ok(Identity { name, title, lead, suspended })
    }

    /// Everybody else, in the order of their names.
    pub(super) async fn colleagues(&self) -> anyhow::Result<Vec<Colleague>> {
        let hub = self.hub().await?;
        let mut all = if let HubClient::Agent(_) = hub {
            about_self(&hub).await?.colleagues
        } else {
            let agents: Vec<Agent> = hub.get("/nave/v1/agents").await?;
            let others = agents.into_iter().filter(|agent| agent.name != self.named);
            others.map(|agent| Colleague { name: agent.name, title: agent.title }).collect()
        };
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// The window that the agent's spending counts in, and why it may spend nothing.
    pub(super) async fn budget(&self) -> anyhow::Result<(Option<SpendWindow>, Option<String>)> {
        let hub = self.hub().await?;
        if let HubClient::Agent(_) = hub {
            let about = about_self(&hub).await?;
            return Ok((about.window, about.suspended));
        }
        let AgentDetail { agent, .. } = hub.get(&path(&self.named)).await?;
        let budgets: Vec<BudgetView> = hub.get("/nave/v1/agent-budgets").await?;
        let of = |whose: Option<&str>| {
            budgets
                .iter()
                .find(|budget| budget.agent.as_deref() == whose)
                .and_then(|budget| budget.window.clone())
        };
        Ok((of(Some(&agent.name)).or_else(|| of(None)), agent.suspended))
    }

    /// Messages of the agent; `query` is what the API takes beside the agent's name.
    pub(super) async fn mails(&self, query: &str) -> anyhow::Result<Vec<Mail>> {
        let hub = self.hub().await?;
        let name = self.name_by(&hub).await?;
        hub.get(&format!("{MAILS}?agent={}{query}", segment(&name))).await
    }

    /// A message of the agent, which counts as read if `marks` is set.
    pub(super) async fn mail(&self, id: i64, marks: bool) -> anyhow::Result<Mail> {
        let hub = self.hub().await?;
        let name = self.name_by(&hub).await?;
        hub.get(&format!("{MAILS}/{id}?agent={}&read={marks}", segment(&name))).await
    }

    /// What is in a file that hangs on one of the agent's messages.
    pub(super) async fn file(&self, id: &str) -> anyhow::Result<Bytes> {
        files::fetch(&self.hub().await?, id).await
    }

    /// Keeps a file on the hub that is to hang on a message; its id there.
    pub(super) async fn bring(&self, filename: &str, content: String) -> anyhow::Result<String> {
        let hub = self.hub().await?;
        let name = self.name_by(&hub).await?;
        files::keep(&hub, &name, filename, content.into_bytes()).await
    }

    pub(super) async fn send(&self, new: NewMail) -> anyhow::Result<Mail> {
        let hub = self.hub().await?;
        let from = Some(self.name_by(&hub).await?);
        hub.post(MAILS, &NewMail { from, ..new }).await
    }

    pub(super) async fn archive(&self, id: i64) -> anyhow::Result<()> {
        let hub = self.hub().await?;
        let name = self.name_by(&hub).await?;
        hub.act(Method::DELETE, &format!("{MAILS}/{id}?agent={}", segment(&name)), &json!({})).await
    }

    /// A page of the agent's log.
    pub(super) async fn log(&self, query: &str) -> anyhow::Result<LogPage> {
        let hub = self.hub().await?;
        let log = match hub {
            HubClient::Agent(_) => "/nave/v1/agent-self/log".to_owned(),
            _ => format!("{}/log", path(&self.named)),
        };
        hub.get(&format!("{log}?{query}")).await
    }
}

async fn about_self(hub: &HubClient) -> anyhow::Result<AgentSelf> {
    hub.get("/nave/v1/agent-self").await
}
