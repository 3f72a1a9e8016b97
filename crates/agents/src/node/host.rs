//! The host: keeps its link to the hub, and starts and stops agents as it is told. What one agent does is in `run`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use nave_core::clock::Clock;
use nave_core::node::{Attached, RunError};
use nave_link::dial;
use nave_link::random::Random;
use nave_link::rpc::{CallError, Handler, Limits, Method as _, Peer, RpcError, code};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::child::{self, HubAddress, Starter};
use super::config::{HostConfig, Program};
use super::run::{End, Run};
use super::spool::Spool;
use crate::api::LogType;
use crate::link::{
    Answered, AreYouThere, Heartbeat, HostHello, MailWaits, MustStop, OpenSession, PATH, PeekAgent,
    StartAgent, StopAgent,
};

/// How the link is watched.
const LIMITS: Limits =
    Limits { heartbeat: Some(Duration::from_secs(10)), lost_after: Duration::from_secs(30) };
/// How long the hub may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the hub is told what runs, if nothing changes; and how soon after a change once more, since an answer and a
/// heartbeat may pass each other.
const BEAT: Duration = Duration::from_secs(10);
const BEAT_AGAIN: Duration = Duration::from_millis(500);
/// How long the last lines of all agents may take on their way when the host ends.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// An agent that fails sooner than this is not woken again at once.
const SOON: Duration = Duration::from_secs(10);
/// For how long it is not; doubled with each time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// How a host is made.
pub struct HostSetup {
    /// The node of this machine.
    pub attached: Attached,
    /// What is run.
    pub config: HostConfig,
    /// Where the working folders lie, unless the configuration says otherwise.
    pub folder: PathBuf,
    /// The program and first arguments of a [`super::keeper`].
    pub keeper: Vec<OsString>,
    /// Folders with programs for agents' shells, that of `nave` among them, as `PATH` has them.
    pub path: OsString,
    /// Its program and version.
    pub version: String,
    /// Tells the time.
    pub clock: Clock,
    /// Where random numbers come from.
    pub random: Random,
}

/// What happens, for whoever shows it to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHappening {
    /// The hub knows the host, by this name.
    Connected(String),
    /// The hub is away; another attempt follows.
    Lost {
        /// Why.
        problem: String,
        /// When.
        retry_in: Duration,
    },
    /// An agent runs.
    Started(String),
    /// An agent runs no more.
    Ended {
        /// The agent.
        agent: String,
        /// How, in words.
        how: String,
    },
}

/// Agents that failed soon after their start.
#[derive(Clone, Copy)]
struct Failing {
    times: u32,
    until: Instant,
}

/// A host.
pub struct Host {
    attached: Attached,
    config: HostConfig,
    folder: PathBuf,
    keeper: Vec<OsString>,
    path: OsString,
    version: String,
    hub: HubAddress,
    starter: Starter,
    pub(super) spool: Spool,
    running: Mutex<BTreeMap<i64, Slot>>,
    failing: Mutex<BTreeMap<i64, Failing>>,
    changed: Notify,
    peer: watch::Sender<Option<Peer>>,
    happen: Box<dyn Fn(HostHappening) + Send + Sync>,
}

/// An agent that is there, or about to be.
#[derive(Clone)]
enum Slot {
    Starting,
    Running(Arc<Run>),
}

impl Host {
    /// A host that does not run yet. `happen` hears of what it does. To be called inside the runtime that it will run in.
    pub fn new(setup: HostSetup, happen: impl Fn(HostHappening) + Send + Sync + 'static) -> Arc<Self> {
        let known = setup.attached.known();
        let hub = HubAddress { url: known.url.to_string(), key: known.hub.to_string() };
        let number = u64::from_be_bytes(setup.random.bytes());
        Arc::new(Self {
            folder: setup.config.folder.clone().unwrap_or(setup.folder),
            attached: setup.attached,
            config: setup.config,
            keeper: setup.keeper,
            path: setup.path,
            version: setup.version,
            hub,
            starter: Starter::new(),
            spool: Spool::new(setup.clock, number),
            running: Mutex::default(),
            failing: Mutex::default(),
            changed: Notify::new(),
            peer: watch::Sender::new(None),
            happen: Box::new(happen),
        })
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<i64, Slot>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> Vec<Arc<Run>> {
        let slots = self.running();
        let run = |slot: &Slot| match slot {
            Slot::Running(run) => Some(Arc::clone(run)),
            Slot::Starting => None,
        };
        slots.values().filter_map(run).collect()
    }

    fn run_of(&self, agent: i64) -> Option<Arc<Run>> {
        match self.running().get(&agent) {
            Some(Slot::Running(run)) => Some(Arc::clone(run)),
            _ => None,
        }
    }

    /// The link, once it stands.
    pub(super) async fn peer(&self) -> Peer {
        loop {
            let mut peer = self.peer.subscribe();
            if let Ok(peer) = peer.wait_for(Option::is_some).await
                && let Some(peer) = &*peer
            {
                return peer.clone();
            }
        }
    }

    /// Runs until `stop`, or until the node is not this hub's any more; then all its agents have ended.
    ///
    /// # Errors
    ///
    /// What trying again would not help against.
    pub async fn run(self: &Arc<Self>, stop: CancellationToken) -> Result<(), RunError> {
        let mut link = pin!(self.keep_link());
        let outcome = tokio::select! {
            ended = &mut link => Some(ended),
            ended = self.keep_node() => Some(ended),
            () = stop.cancelled() => None,
        };
        let mut ending = pin!(async {
            self.stop_all("the host is stopping").await;
            // Without a hub, nobody takes them.
            let _ = tokio::time::timeout(LAST_WORDS, self.spool.drained()).await;
        });
        if let Some(outcome) = outcome {
            self.stop_all("the host has no hub any more").await;
            return outcome;
        }
        tokio::select! {
            () = &mut ending => {}
            _ = &mut link => ending.await,
        }
        Ok(())
    }

    async fn stop_all(&self, reason: &str) {
        let runs = self.runs();
        for run in &runs {
            run.stop(reason);
        }
        join_all(runs.iter().map(|run| run.ended.cancelled())).await;
    }

    /// The process that runs the node may be another one meanwhile.
    async fn keep_node(&self) -> Result<(), RunError> {
        loop {
            self.attached.link().await?.closed().await;
        }
    }

    async fn keep_link(self: &Arc<Self>) -> Result<(), RunError> {
        let schedule = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(10))
            .with_jitter()
            .without_max_times();
        let mut delays = schedule.build();
        loop {
            let problem = match dial::websocket(self.attached.known(), PATH).await {
                Ok(socket) => {
                    let peer = Peer::start(socket, Arc::new(Answers(Arc::downgrade(self))), LIMITS);
                    match self.serve(&peer).await {
                        Ok(why) => {
                            delays = schedule.build();
                            why
                        }
                        Err(error) => {
                            peer.close("the hub did not take this host");
                            error.to_string()
                        }
                    }
                }
                Err(error) if error.is_passing() => error.to_string(),
                Err(error) => return Err(RunError::Dial(error)),
            };
            let retry_in = delays.next().unwrap_or(Duration::from_secs(10));
            (self.happen)(HostHappening::Lost { problem, retry_in });
            tokio::time::sleep(retry_in).await;
        }
    }

    /// Serves a link until it ends; says why it did.
    async fn serve(&self, peer: &Peer) -> Result<String, CallError> {
        let (agents, variables) = self.config.takes();
        let hello = HostHello { version: self.version.clone(), agents, variables };
        let welcome = peer.call(&hello, PATIENCE).await?;
        let _ = peer.notify(&self.heartbeat()).await;
        (self.happen)(HostHappening::Connected(welcome.host));
        self.peer.send_replace(Some(peer.clone()));
        for run in self.runs() {
            run.mail.notify_one();
        }
        let why = tokio::select! {
            why = peer.closed() => why.to_string(),
            why = self.deliver(peer) => why,
            why = self.beat(peer) => why,
        };
        self.peer.send_replace(None);
        peer.close("the host begins anew");
        Ok(why)
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat { agents: self.running().keys().copied().collect() }
    }

    async fn beat(&self, peer: &Peer) -> String {
        loop {
            let wait = match tokio::time::timeout(BEAT, self.changed.notified()).await {
                Ok(()) => BEAT_AGAIN,
                Err(_) => Duration::ZERO,
            };
            for pause in [Duration::ZERO, wait] {
                tokio::time::sleep(pause).await;
                if let Err(why) = peer.notify(&self.heartbeat()).await {
                    return why.to_string();
                }
            }
        }
    }

    /// Sends lines and costs as long as the link stands; says why it does not any more.
    async fn deliver(&self, peer: &Peer) -> String {
        loop {
            self.spool.filled().await;
            if let Some(batch) = self.spool.costs() {
                match peer.call(&batch, PATIENCE).await {
                    Ok(()) => self.spool.costs_done(),
                    Err(CallError::Refused(error)) if !is_passing(&error) => {
                        if let Some(cost) = self.spool.costs_refused() {
                            tracing::error!(agent = cost.key.agent, dollars = cost.dollars, %error, "the hub does not take a cost");
                        }
                    }
                    Err(CallError::Refused(_)) => tokio::time::sleep(BEAT_AGAIN).await,
                    Err(error) => return error.to_string(),
                }
            }
            if let Some(batch) = self.spool.lines() {
                match peer.call(&batch, PATIENCE).await {
                    Ok(()) => self.spool.lines_done(),
                    Err(CallError::Refused(error)) if !is_passing(&error) => {
                        tracing::error!(lines = batch.lines.len(), %error, "the hub does not take lines");
                        self.spool.lines_done();
                    }
                    Err(CallError::Refused(_)) => tokio::time::sleep(BEAT_AGAIN).await,
                    Err(error) => return error.to_string(),
                }
            }
        }
    }

    async fn start(self: &Arc<Self>, start: StartAgent) -> Answered {
        let agent = start.agent;
        let name = start.config.username.clone();
        if self.running().contains_key(&agent) {
            return problem(format!("{name} runs here already"));
        }
        if start.woken
            && let Some(failing) = self.failing().get(&agent).copied()
            && failing.until > Instant::now()
        {
            return problem(format!(
                "{name} failed within {} seconds of its start, {} times in a row: its log says why",
                SOON.as_secs(),
                failing.times
            ));
        }
        let program = match self.config.program_of(&start.config) {
            Ok(program) => program,
            Err(words) => return problem(words),
        };
        if self.running().insert(agent, Slot::Starting).is_some() {
            return problem(format!("{name} is about to run here already"));
        }
        match self.begin(start, program).await {
            Ok(()) => Answered::default(),
            Err(words) => {
                self.running().remove(&agent);
                problem(words)
            }
        }
    }

    async fn begin(self: &Arc<Self>, start: StartAgent, program: Program) -> Result<(), String> {
        let (agent, config) = (start.agent, &start.config);
        let folder = child::folder(&self.folder, &config.username, &program)?;
        let command = child::command(&self.keeper, &start, &program, &self.hub, &folder, &self.path)?;
        let open = OpenSession { agent, model: config.shell_model.clone() };
        let peer = self.peer.borrow().clone().ok_or("the link to the hub has just ended")?;
        let key = peer.call(&open, PATIENCE).await.map_err(|error| error.to_string())?;
        let run = Run::new(&config.username, &config.shell_model, key, program, folder);
        let child = match self.starter.start(command).await {
            Ok(child) => child,
            Err(error) => {
                let words = format!("its command cannot be started: {error}");
                run.say(self, LogType::Error, words.clone());
                return Err(words);
            }
        };
        self.running().insert(agent, Slot::Running(Arc::clone(&run)));
        (self.happen)(HostHappening::Started(run.name.clone()));
        let (host, began) = (Arc::clone(self), Instant::now());
        tokio::spawn(async move {
            let end = run.carry(&host, child).await;
            host.note_end(agent, &end, began);
            host.running().remove(&agent);
            host.changed.notify_one();
            run.ended.cancel();
            (host.happen)(HostHappening::Ended { agent: run.name.clone(), how: end.words });
        });
        self.changed.notify_one();
        Ok(())
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<i64, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent that fails at once would be woken for its mail again and again.
    fn note_end(&self, agent: i64, end: &End, began: Instant) {
        let mut failing = self.failing();
        if !end.failed || began.elapsed() > SOON {
            failing.remove(&agent);
            return;
        }
        let times = failing.get(&agent).map_or(0, |failing| failing.times) + 1;
        let pause = (FIRST_PAUSE * 2_u32.pow((times - 1).min(10))).min(LONGEST_PAUSE);
        failing.insert(agent, Failing { times, until: Instant::now() + pause });
    }

    async fn stop(&self, asked: StopAgent) -> Answered {
        let Some(run) = self.run_of(asked.agent) else {
            return problem(format!("agent {} does not run here", asked.agent));
        };
        run.stop(&asked.reason);
        run.ended.cancelled().await;
        Answered::default()
    }

    fn peek(&self, asked: &PeekAgent) -> Answered {
        let Some(run) = self.run_of(asked.agent) else {
            return problem(format!("agent {} does not run here", asked.agent));
        };
        let tail = run.tail();
        let number =
            |number: Option<i64>, or| number.map_or(or, |number| usize::try_from(number).unwrap_or(0));
        let (skip, take) = (number(asked.skip, 0), number(asked.take, usize::MAX));
        let total = i64::try_from(tail.len()).unwrap_or(i64::MAX);
        Answered { problem: None, lines: tail.into_iter().skip(skip).take(take).collect(), total }
    }
}

fn problem(words: String) -> Answered {
    Answered { problem: Some(words), ..Answered::default() }
}

/// Whether the hub may take later what it does not take now.
fn is_passing(error: &RpcError) -> bool {
    error.code != code::REFUSED
        || matches!(error.reason.as_deref(), Some("unavailable" | "internal" | "throttled"))
}

/// Answers what the hub asks, as long as the host is there.
struct Answers(Weak<Host>);

impl Handler for Answers {
    fn call(
        &self,
        method: String,
        params: Box<RawValue>,
    ) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
        let host = self.0.upgrade();
        async move {
            let host = host.ok_or_else(|| RpcError::new(code::INTERNAL, "this host has ended"))?;
            match method.as_str() {
                StartAgent::NAME => raw(&host.start(read(&params)?).await),
                StopAgent::NAME => raw(&host.stop(read(&params)?).await),
                PeekAgent::NAME => raw(&host.peek(&read(&params)?)),
                AreYouThere::NAME => raw(&()),
                _ => Err(RpcError::unknown_method(&method)),
            }
        }
        .boxed()
    }

    fn notice(&self, method: &str, params: &RawValue) {
        let Some(host) = self.0.upgrade() else { return };
        match method {
            MailWaits::NAME => {
                if let Ok(MailWaits { agent }) = read(params)
                    && let Some(run) = host.run_of(agent)
                {
                    run.mail.notify_one();
                }
            }
            MustStop::NAME => {
                if let Ok(MustStop { agent, reason }) = read(params)
                    && let Some(run) = host.run_of(agent)
                {
                    run.stop(&reason);
                }
            }
            _ => tracing::debug!(method, "the hub sent a notice that is not understood"),
        }
    }
}

fn raw(answer: &impl Serialize) -> Result<Box<RawValue>, RpcError> {
    serde_json::value::to_raw_value(answer).map_err(|error| RpcError::new(code::INTERNAL, error.to_string()))
}

fn read<T: DeserializeOwned>(params: &RawValue) -> Result<T, RpcError> {
    serde_json::from_str(params.get()).map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))
}
