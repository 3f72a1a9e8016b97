//! The link of Nave's hosts in the hands of those who may not use it: each of its methods, as everybody else than the host
//! that an agent is assigned to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::future::BoxFuture;
use nave_agents::api::{
    AgentConfig, Assignment, LogFilter, LogRole, MailFilter, MailKind, NewAgent, NewMail, RunKey,
};
use nave_agents::hub::{Agents, letters, roster, runs};
use nave_agents::link::{
    HOST_METHODS, Heartbeat, HostCost, HostHello, HostLine, MarkRead, MustStop, OpenSession, PATH,
    UnreadMail, WriteCosts, WriteLogs,
};
use nave_core::api::NodeChange;
use nave_core::hub::nodes;
use nave_core::node::attach;
use nave_link::dial;
use nave_link::random::Random;
use nave_link::rpc::{CallError, Handler, Limits, Method as _, Peer, RpcError};
use nave_testkit::hub::TestHub;
use nave_testkit::node::TestNode;
use nave_testkit::wait::until;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::farm::farm;

const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: Limits = Limits { heartbeat: None, lost_after: Duration::from_secs(30) };

/// What the hub told a host to stop.
#[derive(Default)]
struct Hears(Mutex<Vec<i64>>);

impl Handler for Hears {
    fn call(&self, method: String, _: Box<RawValue>) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
        Box::pin(async move { Err(RpcError::unknown_method(&method)) })
    }

    fn notice(&self, method: &str, params: &RawValue) {
        if method == MustStop::NAME
            && let Ok(stop) = serde_json::from_str::<MustStop>(params.get())
        {
            self.0.lock().unwrap().push(stop.agent);
        }
    }
}

/// A link as a machine opens it.
struct Host {
    peer: Peer,
    hears: Arc<Hears>,
}

impl Host {
    async fn open(node: &TestNode) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let attached = attach(node.folder.clone(), Random::system(), stop, |_| {}, |_| {})?;
        let socket = dial::websocket(attached.known(), PATH).await?;
        let hears = Arc::<Hears>::default();
        Ok(Self { peer: Peer::start(socket, Arc::clone(&hears) as _, LIMITS), hears })
    }

    async fn enter(node: &TestNode) -> anyhow::Result<Self> {
        let host = Self::open(node).await?;
        host.peer.call(&HostHello::default(), PATIENCE).await?;
        Ok(host)
    }

    /// Calls a method about an agent and a message of its.
    async fn call(&self, method: &str, agent: i64, mail: i64) -> anyhow::Result<Result<(), CallError>> {
        let (peer, key) = (&self.peer, RunKey { agent, run: 1, session: 1 });
        let (model, message) = ("m".to_owned(), "what it never said".to_owned());
        let at = OffsetDateTime::UNIX_EPOCH;
        let line = HostLine { key, role: LogRole::Llm, kind: None, message, at };
        let cost = HostCost { key, model: model.clone(), dollars: 1.0, input: 1, output: 1 };
        Ok(match method {
            HostHello::NAME => peer.call(&HostHello::default(), PATIENCE).await.map(drop),
            Heartbeat::NAME => peer.call(&Heartbeat { agents: vec![agent] }, PATIENCE).await,
            OpenSession::NAME => peer.call(&OpenSession { agent, model }, PATIENCE).await.map(drop),
            WriteLogs::NAME => peer.call(&WriteLogs { lines: vec![line] }, PATIENCE).await,
            WriteCosts::NAME => peer.call(&WriteCosts { number: 1, costs: vec![cost] }, PATIENCE).await,
            UnreadMail::NAME => peer.call(&UnreadMail { agent }, PATIENCE).await.map(drop),
            MarkRead::NAME => peer.call(&MarkRead { agent, mail, kind: MailKind::Mail }, PATIENCE).await,
            other => bail!("nobody tries {other}"),
        })
    }
}

struct Farm {
    hub: TestHub,
    agents: Agents,
}

impl Farm {
    async fn machine(&self, name: &str, role: &str) -> anyhow::Result<TestNode> {
        let node = TestNode::join(&self.hub, name, &[], &[]).await?;
        self.is(name, role).await?;
        Ok(node)
    }

    /// Gives a machine this role and no other.
    async fn is(&self, name: &str, role: &str) -> anyhow::Result<()> {
        let change = NodeChange { roles: Some(vec![role.to_owned()]), ..NodeChange::default() };
        Ok(nodes::change(&self.hub.operator(), self.hub.hub(), name, &change).await?)
    }

    /// An agent with a message to it; the numbers of both.
    async fn agent(&self, name: &str) -> anyhow::Result<(i64, i64)> {
        let (op, hub) = (self.hub.operator(), self.hub.hub());
        let config = AgentConfig::new(name, "T", "You are somebody.", 1000, "mock");
        let agent = roster::create(&op, hub, &self.agents, NewAgent { config, lead: None }).await?;
        let new = NewMail { to: vec![name.to_owned()], subject: "Secret".to_owned(), ..NewMail::default() };
        let mail = letters::send(&op, hub, &self.agents, new).await?;
        Ok((agent.agent.id, mail.head.id))
    }

    async fn assign(&self, agent: &str, host: &str) -> anyhow::Result<()> {
        let (op, hub) = (self.hub.operator(), self.hub.hub());
        let assignment = Assignment { hosts: vec![host.to_owned()] };
        roster::assign(&op, hub, &self.agents, agent, assignment).await?;
        Ok(())
    }

    fn hosts_of(&self, agent: &str) -> anyhow::Result<Vec<String>> {
        Ok(roster::show(&self.hub.operator(), &self.agents, agent)?.agent.hosts)
    }
}

#[tokio::test]
async fn nobody_else_uses_the_methods_of_a_hosts_link() -> anyhow::Result<()> {
    let (hub, agents) = farm().await?;
    let farm = Farm { hub, agents };
    let (op, hub) = (farm.hub.operator(), farm.hub.hub());
    let admin = NewAgent { config: AgentConfig::human("admin", "Admin"), lead: None };
    roster::create(&op, hub, &farm.agents, admin).await?;
    let box1 = farm.machine("box-1", "host").await?;
    let own = Host::enter(&box1).await?;
    // One that runs on box-1, one that may only run there, and one that may run anywhere.
    let (ann, bob, cat) = (farm.agent("ann").await?, farm.agent("bob").await?, farm.agent("cat").await?);
    farm.assign("ann", "box-1").await?;
    farm.assign("bob", "box-1").await?;
    own.call(Heartbeat::NAME, ann.0, ann.1).await??;
    ensure!(farm.hosts_of("ann")? == ["box-1"]);

    let another = Host::enter(&farm.machine("box-2", "host").await?).await?;
    let silent = Host::open(&farm.machine("box-3", "host").await?).await?;
    let (deprived, revoked) = (farm.machine("box-4", "host").await?, farm.machine("box-5", "host").await?);
    let (was_host, was_member) = (Host::enter(&deprived).await?, Host::enter(&revoked).await?);
    farm.is("box-4", "exporter").await?;
    nodes::revoke(&op, hub, "box-5").await?;

    let table = [
        ("another host", &another, ann),
        ("a host that it is not assigned to", &another, bob),
        ("a host that has not said that it is there", &silent, ann),
        ("a node that was a host", &was_host, cat),
        ("a node that was revoked", &was_member, cat),
    ];
    for (who, host, (agent, mail)) in table {
        for method in HOST_METHODS {
            let place = format!("{method} by {who}");
            if host.peer.is(&silent.peer) && method == HostHello::NAME {
                continue;
            }
            match host.call(method, agent, mail).await.context(place.clone())? {
                Err(_) => {}
                // What a host that is there says of agents that are none of its own is left out.
                Ok(())
                    if host.peer.is(&another.peer)
                        && [Heartbeat::NAME, WriteLogs::NAME].contains(&method) => {}
                Ok(()) => bail!("{place} is not refused"),
            }
        }
    }
    until("the other host is told to stop both", async || {
        let told = another.hears.0.lock().unwrap().clone();
        (told.contains(&ann.0) && told.contains(&bob.0)).then_some(())
    })
    .await?;

    // Nothing came of any of it.
    ensure!(farm.hosts_of("ann")? == ["box-1"] && farm.hosts_of("bob")?.is_empty());
    ensure!(farm.hosts_of("cat")?.is_empty());
    for agent in ["ann", "bob", "cat"] {
        let log = runs::log(&op, hub, &farm.agents, agent, &LogFilter::default()).await?;
        ensure!(log.lines.is_empty(), "{agent}: {:?}", log.lines);
        let sessions = runs::sessions(&op, hub, &farm.agents, agent, None, 10).await?;
        ensure!(sessions.is_empty(), "{agent}: {sessions:?}");
        let filter = MailFilter { agent: agent.to_owned(), unread: true, ..MailFilter::default() };
        ensure!(letters::list(&op, hub, &farm.agents, &filter).await?.len() == 1, "{agent} has read it");
    }
    ensure!(runs::costs_of(&op, hub, None, None).await?.0 == 0);

    // Those who may not open the link at all.
    let exporter = farm.machine("box-6", "exporter").await?;
    for node in [&deprived, &revoked, &exporter] {
        ensure!(Host::open(node).await.is_err(), "{} opens the link", node.data().display());
    }
    // And whoever may, does: nothing above is refused for another reason.
    for method in HOST_METHODS.into_iter().filter(|method| *method != HostHello::NAME) {
        own.call(method, ann.0, ann.1).await?.context(method)?;
    }
    let log = runs::log(&op, hub, &farm.agents, "ann", &LogFilter::default()).await?;
    ensure!(log.lines.len() == 1, "{:?}", log.lines);
    Ok(())
}
