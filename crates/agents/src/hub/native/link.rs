//! The link of a host of Nave: what it is asked to do, and what it brings. What is done with that is the services'.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::hub::access::Action;
use nave_core::hub::context::Hub;
use nave_core::hub::edge::Connection;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::nodes;
use nave_core::hub::nodes::fleet_link::{FleetLink, take_over};
use nave_core::hub::op::{Actor, Op};
use nave_core::id::NodeId;
use nave_link::rpc::{Handler, Method as _, Peer, RpcError, code};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::api::{CostEntry, CostSource, HostKind, LogSource, Mail, Nanodollars, NewLogLine, RunKey};
use crate::hub::hosts::{self, Arrival};
use crate::hub::live::{Answer, Happening, Hears, HostLink, Lost, Order};
use crate::hub::mail::{self, Wanted};
use crate::hub::runs::{self, CostBatch};
use crate::hub::{Agents, RUN, budgets, roster, settings, wake};
use crate::link::{
    Answered, AreYouThere, BATCH_BYTES, Heartbeat, HostHello, HostVariable, MailWaits, MarkRead, MustStop,
    OpenSession, PeekAgent, StartAgent, StopAgent, UnreadMail, Welcome, WriteCosts, WriteLogs,
};

/// How long a host may take to start an agent, or to tell what it has before it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a host may take to stop an agent: as long as that was given to end by itself.
const LONGEST_STOP: Duration = Duration::from_mins(30);
/// How long a connection may take to show that it lives, when its host comes a second time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// The longest text of a message that is handed on whole, in bytes.
const LONGEST_TEXT: usize = 128 << 10;
/// Our connections are counted from here, NAISYS's from 1: both are in one list.
const FIRST_CONNECTION: u64 = 1 << 32;

/// The links that stand. Cloning it is cheap; all clones are one.
#[derive(Clone, Default)]
pub(in crate::hub) struct Links(Arc<Standing>);

#[derive(Default)]
struct Standing {
    links: Mutex<Vec<Arc<Link>>>,
    last: AtomicU64,
}

impl Links {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.0.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link of a host that is in.
    fn of(&self, host: i64) -> Option<Arc<Link>> {
        self.all().iter().find(|link| link.entered.get().is_some_and(|in_as| in_as.host == host)).cloned()
    }
}

impl Hears for Links {
    fn hear(&self, happening: &Happening) {
        match happening {
            Happening::Mail(posted) => {
                for link in &*self.all() {
                    let Some(entered) = link.entered.get() else { continue };
                    let live = link.agents.live();
                    let has = |agent: &&i64| live.is_active_on(**agent, entered.host);
                    link.tell(|tells| tells.mail.extend(posted.post.to.iter().filter(has)));
                }
            }
            Happening::Budget { agent, enabled: false, reason } => {
                for link in &*self.all() {
                    let Some(entered) = link.entered.get() else { continue };
                    if link.agents.live().is_active_on(*agent, entered.host) {
                        link.must_stop(*agent, reason);
                    }
                }
            }
            _ => {}
        }
    }
}

/// As what a link's host is in.
#[derive(Clone, Copy)]
struct Entered {
    host: i64,
    connection: u64,
}

/// What the host is to be told when the line is free.
#[derive(Default)]
struct Tells {
    mail: BTreeSet<i64>,
    stops: BTreeMap<i64, String>,
}

struct Link {
    agents: Agents,
    hub: Arc<Hub>,
    op: Op,
    node: (NodeId, String),
    peer: OnceLock<Peer>,
    hello: OnceLock<HostHello>,
    entered: OnceLock<Entered>,
    tells: Mutex<Tells>,
    told: Notify,
}

/// Takes a host in.
pub(super) async fn open(
    agents: Agents,
    State(hub): State<Arc<Hub>>,
    op: Op,
    connection: Option<Extension<Connection>>,
    request: Request,
) -> Result<Response> {
    let Actor::Node { id, .. } = op.actor else {
        return Err(Error::Forbidden(
            "agents are run by nodes: `nave agent host` runs on a machine that has joined".to_owned(),
        ));
    };
    let mut reader = hub.store.read().await?;
    let name = nodes::name_of(&mut reader, id).await?.unwrap_or_default();
    drop(reader);
    let link = Link {
        agents,
        hub,
        op,
        node: (id, name),
        peer: OnceLock::new(),
        hello: OnceLock::new(),
        entered: OnceLock::new(),
        tells: Mutex::default(),
        told: Notify::new(),
    };
    take_over(Arc::new(link), connection, request)
}

impl FleetLink for Link {
    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn node(&self) -> NodeId {
        self.node.0
    }

    fn for_what(&self) -> Action {
        RUN
    }

    fn handler(self: &Arc<Self>) -> Arc<dyn Handler> {
        Arc::new(Answers(Arc::downgrade(self)))
    }

    fn begin(self: &Arc<Self>, peer: &Peer) {
        let _ = self.peer.set(peer.clone());
        self.agents.links().all().push(Arc::clone(self));
    }

    async fn tell(&self, peer: &Peer) {
        loop {
            self.told.notified().await;
            let tells = std::mem::take(&mut *self.tells.lock().unwrap_or_else(PoisonError::into_inner));
            for (agent, reason) in tells.stops {
                if peer.notify(&MustStop { agent, reason }).await.is_err() {
                    return;
                }
            }
            for agent in tells.mail {
                if peer.notify(&MailWaits { agent }).await.is_err() {
                    return;
                }
            }
        }
    }

    fn end(self: &Arc<Self>, _: &Peer) {
        self.agents.links().all().retain(|known| !Arc::ptr_eq(known, self));
        if let Some(entered) = self.entered.get() {
            self.agents.live().leave(entered.host, entered.connection);
        }
    }
}

impl Link {
    fn close_with(&self, reason: &str) {
        if let Some(peer) = self.peer.get() {
            peer.close(reason);
        }
    }

    fn tell(&self, add: impl FnOnce(&mut Tells)) {
        add(&mut self.tells.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.notify_one();
    }

    fn must_stop(&self, agent: i64, reason: &str) {
        self.tell(|tells| drop(tells.stops.insert(agent, reason.to_owned())));
    }

    async fn hello(self: &Arc<Self>, hello: HostHello) -> Result<Welcome> {
        let op = nodes::renewed(&self.op, &self.hub).await?;
        let (agents, (node, name)) = (&self.agents, &self.node);
        let version = hello.version.chars().filter(|letter| !letter.is_control()).take(100).collect();
        let arrival = Arrival {
            name: name.clone(),
            kind: HostKind::Nave,
            node: *node,
            shared_key: false,
            version: Some(version),
            address: op.source,
        };
        let host = hosts::arrive(&op, &self.hub, agents, arrival).await?;
        if let Some(before) = agents.links().of(host) {
            let peer = before.peer.get().filter(|_| !Arc::ptr_eq(&before, self));
            if let Some(peer) = peer
                && peer.call(&AreYouThere {}, SIGN_OF_LIFE).await.is_ok()
            {
                return Err(Error::Conflict(
                    "this machine runs `nave agent host` already: one is enough for all its agents"
                        .to_owned(),
                ));
            }
        } else if agents.live().is_online(host) {
            return Err(Error::Conflict(format!(
                "{name} is connected as a runner of NAISYS: a machine is one host of one kind at a time"
            )));
        }
        let connection = FIRST_CONNECTION + agents.links().0.last.fetch_add(1, Ordering::Relaxed);
        if self.hello.set(hello).is_err() || self.entered.set(Entered { host, connection }).is_err() {
            return Err(Error::Conflict("this link has said who it is already".to_owned()));
        }
        if let Some(before) = agents.live().enter(host, connection, Arc::new(Way(Arc::downgrade(self)))) {
            before.close("a newer connection took its place");
        }
        wake::soon(&self.hub);
        tracing::info!(host = name, "a host is there");
        Ok(Welcome { host: name.clone() })
    }

    fn entered(&self) -> Result<Entered> {
        let missing = || Error::Conflict("the first request of a host is host.hello".to_owned());
        self.entered.get().copied().ok_or_else(missing)
    }

    /// A host says what runs there. It runs what it may run; whatever else it says gives it no right to anything, and has
    /// that stopped.
    fn heartbeat(&self, said: &Heartbeat) -> Result<()> {
        let Entered { host, connection } = self.entered()?;
        let live = self.agents.live();
        let (mut allowed, mut stops) = (Vec::new(), Vec::new());
        {
            let rows = self.agents.directory().read();
            for agent in &said.agents {
                let row = rows.agent(*agent).filter(|row| row.may_run());
                let may = rows.may_start_on(*agent, host) || live.is_active_on(*agent, host);
                let elsewhere = live.hosts_of(*agent).into_iter().any(|on| on != host);
                match row {
                    _ if elsewhere => stops.push((*agent, "It runs on another host".to_owned())),
                    Some(row) if may => {
                        allowed.push(*agent);
                        stops.extend(row.suspended.clone().map(|reason| (*agent, reason)));
                    }
                    _ => stops.push((*agent, "It may not run here any more".to_owned())),
                }
            }
        }
        for (agent, reason) in stops {
            self.must_stop(agent, &reason);
        }
        let (_, gone) = live.heartbeat(host, connection, &allowed);
        if !gone.is_empty() {
            // There is room for somebody, or one has ended before it read everything.
            wake::soon(&self.hub);
        }
        Ok(())
    }

    async fn open_session(&self, asked: OpenSession) -> Result<RunKey> {
        let host = self.entered()?.host;
        let op = nodes::renewed(&self.op, &self.hub).await?;
        runs::open_run(&op, &self.hub, &self.agents, asked.agent, Some(host), &asked.model).await
    }

    async fn logs(&self, batch: WriteLogs) -> Result<()> {
        let host = self.entered()?.host;
        let op = nodes::renewed(&self.op, &self.hub).await?;
        let line = |line: crate::link::HostLine| NewLogLine {
            key: line.key,
            role: line.role,
            source: Some(LogSource::Console),
            kind: line.kind,
            message: line.message,
            created_at: line.at,
            attachment: None,
        };
        let lines = batch.lines.into_iter().map(line).collect();
        let left_out = runs::write_logs(&op, &self.hub, &self.agents, Some(host), lines).await?;
        if left_out > 0 {
            tracing::warn!(
                host = self.node.1,
                left_out,
                "lines of agents that do not run there were left out"
            );
        }
        Ok(())
    }

    async fn costs(&self, batch: WriteCosts) -> Result<()> {
        let host = self.entered()?.host;
        let op = nodes::renewed(&self.op, &self.hub).await?;
        let entry = |cost: crate::link::HostCost| CostEntry {
            key: cost.key,
            source: CostSource::Console,
            model: cost.model,
            cost: Nanodollars::from_dollars(cost.dollars),
            input: cost.input.max(0),
            output: cost.output.max(0),
            cache_write: 0,
            cache_read: 0,
        };
        let batch = CostBatch {
            host: Some(host),
            entries: batch.costs.into_iter().map(entry).collect(),
            number: Some(batch.number),
            may_be_again: true,
        };
        let whose = runs::write_costs(&op, &self.hub, &self.agents, batch).await?;
        budgets::review_of(&self.hub, &self.agents, &whose).await
    }

    async fn unread(&self, agent: i64) -> Result<Vec<Mail>> {
        let op = nodes::renewed(&self.op, &self.hub).await?;
        let wanted =
            Wanted { unread: true, archived: true, limit: 50, oldest_first: true, ..Wanted::default() };
        let mut mails = mail::list(&op, &self.hub, &self.agents, agent, &wanted).await?;
        let mut bytes = 0;
        let fits = |mail: &mut Mail| {
            if mail.body.len() > LONGEST_TEXT {
                mail.body.truncate(mail.body.floor_char_boundary(LONGEST_TEXT));
                mail.body.push_str(&format!(
                    "\n(it goes on: `nave agent mail read {}` shows all of it)",
                    mail.head.id
                ));
            }
            let before = bytes;
            bytes += written_size(mail);
            before == 0 || bytes <= BATCH_BYTES
        };
        let fitting = mails.iter_mut().map(fits).take_while(|fits| *fits).count();
        mails.truncate(fitting);
        Ok(mails)
    }

    async fn mark_read(&self, read: MarkRead) -> Result<()> {
        let op = nodes::renewed(&self.op, &self.hub).await?;
        mail::mark_read(&op, &self.hub, &self.agents, read.agent, &[read.mail], read.kind).await
    }

    /// What a host is told to start an agent; an answer that says why it is not asked, otherwise.
    async fn start(&self, agent: i64, woken: bool) -> Result<std::result::Result<StartAgent, String>> {
        let (hub, agents, host) = (&self.hub, &self.agents, self.entered()?.host);
        let row = agents.directory().read().agent(agent).cloned();
        let row = row.ok_or_else(|| Error::not_found("agent", agent.to_string()))?;
        if let Some(reason) = row.suspended {
            return Ok(Err(format!("{} is suspended: {reason}", row.config.username)));
        }
        if row.is_human() {
            return Ok(Err(format!("{} stands for a person, whom no host runs", row.config.username)));
        }
        let op = hub.op("agents.link");
        let (revealed, models) = (settings::reveal(&op, hub).await?, settings::models(&op, hub).await?);
        let needed = settings::needed_by(agents, host, &revealed, &models);
        let named = self.hello.get().map(|hello| hello.variables.as_slice()).unwrap_or_default();
        let is_given = |key: &str, exported: bool| {
            needed.contains_key(key) && (exported || named.iter().any(|name| name == key))
        };
        let given = revealed.iter().filter(|variable| is_given(&variable.key, variable.exported));
        let given = given.map(|variable| {
            let (value, exported) = (variable.value.expose_secret().to_owned(), variable.exported);
            (variable.key.clone(), HostVariable { value, exported })
        });
        let variables = given.collect();
        let key = roster::api_key(hub, &row.api_key).await?.expose_secret().to_owned();
        let start = StartAgent { agent, woken, config: row.config, variables, key };
        if written_size(&start) > BATCH_BYTES {
            return Ok(Err(
                "its configuration and the exported variables are more than a host takes".to_owned()
            ));
        }
        Ok(Ok(start))
    }

    async fn order(&self, order: Order) -> std::result::Result<Answer, Lost> {
        let peer = self.peer.get().ok_or(Lost)?;
        let answer = match order {
            Order::Start { agent, requester, .. } => match self.start(agent, requester.is_none()).await {
                Ok(Ok(start)) => peer.call(&start, PATIENCE).await,
                Ok(Err(problem)) => Ok(Answered { problem: Some(problem), ..Answered::default() }),
                Err(error) => Ok(Answered { problem: Some(error.message()), ..Answered::default() }),
            },
            Order::Stop { agent, reason } => peer.call(&StopAgent { agent, reason }, LONGEST_STOP).await,
            Order::Peek { agent, skip, take } => peer.call(&PeekAgent { agent, skip, take }, PATIENCE).await,
        };
        let answered = answer.map_err(|error| {
            tracing::warn!(host = self.node.1, %error, "a host did not answer");
            Lost
        })?;
        Ok(Answer {
            success: answered.problem.is_none(),
            error: answered.problem,
            host: Some(self.node.1.clone()),
            lines: Some(answered.lines),
            total: Some(answered.total),
        })
    }

    async fn answer(self: &Arc<Self>, method: &str, params: &RawValue) -> Result<Box<RawValue>> {
        match method {
            HostHello::NAME => raw(&self.hello(read(params)?).await?),
            OpenSession::NAME => raw(&self.open_session(read(params)?).await?),
            WriteLogs::NAME => raw(&self.logs(read(params)?).await?),
            WriteCosts::NAME => raw(&self.costs(read(params)?).await?),
            UnreadMail::NAME => raw(&self.unread(read::<UnreadMail>(params)?.agent).await?),
            MarkRead::NAME => raw(&self.mark_read(read(params)?).await?),
            Heartbeat::NAME => raw(&self.heartbeat(&read(params)?)?),
            _ => Err(Error::invalid("method", format!("there is no method named {method:?}"))),
        }
    }
}

/// How many bytes something has as it is sent.
fn written_size(what: &impl Serialize) -> usize {
    serde_json::to_string(what).map_or(usize::MAX, |text| text.len())
}

fn raw(answer: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(answer).map_err(Error::internal)
}

fn read<T: DeserializeOwned>(params: &RawValue) -> Result<T> {
    serde_json::from_str(params.get()).map_err(|error| Error::invalid("params", error.to_string()))
}

/// Answers what the host asks, as long as its link stands.
struct Answers(Weak<Link>);

impl Handler for Answers {
    fn call(
        &self,
        method: String,
        params: Box<RawValue>,
    ) -> BoxFuture<'static, std::result::Result<Box<RawValue>, RpcError>> {
        let link = self.0.upgrade();
        async move {
            let link = link.ok_or_else(|| RpcError::new(code::INTERNAL, "this link has ended"))?;
            let answer = link.answer(&method, &params).await;
            answer.map_err(|error| {
                if let Error::Internal(_) = error {
                    tracing::error!(%error, method, "a host could not be answered");
                }
                RpcError::refused(error.code(), error.message())
            })
        }
        .boxed()
    }

    fn notice(&self, method: &str, params: &RawValue) {
        let Some(link) = self.0.upgrade() else { return };
        let done = match method {
            Heartbeat::NAME => read(params).and_then(|said| link.heartbeat(&said)),
            _ => Err(Error::invalid("method", "there is no such notice")),
        };
        if let Err(error) = done {
            tracing::debug!(method, %error, "a host sent a notice that is not understood");
        }
    }
}

/// The way to a host, for whoever has agents started and stopped.
struct Way(Weak<Link>);

impl HostLink for Way {
    fn order(&self, order: Order, _: Option<i64>) -> BoxFuture<'static, std::result::Result<Answer, Lost>> {
        let link = self.0.upgrade();
        async move { link.ok_or(Lost)?.order(order).await }.boxed()
    }

    fn close(&self, reason: &'static str) {
        if let Some(link) = self.0.upgrade() {
            link.close_with(reason);
        }
    }

    fn takes(&self, agent: &str) -> bool {
        let Some(link) = self.0.upgrade() else { return false };
        let named = link.hello.get().and_then(|hello| hello.agents.as_ref());
        named.is_none_or(|named| named.iter().any(|name| name.eq_ignore_ascii_case(agent)))
    }
}
