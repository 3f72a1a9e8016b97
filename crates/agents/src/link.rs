//! What the hub and a host of Nave say to each other, on a WebSocket of their own at [`PATH`], which the host opens as its
//! node. The framing is that of a node's link.

use std::collections::BTreeMap;

use nave_link::rpc::Method;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::api::{AgentConfig, LogRole, LogType, Mail, MailKind, RunKey};

/// Where the hub takes hosts.
pub const PATH: &str = "/nave/v1/agent-link";

/// What a host asks of the hub, by the names of the methods.
pub const HOST_METHODS: [&str; 7] = [
    HostHello::NAME,
    Heartbeat::NAME,
    OpenSession::NAME,
    WriteLogs::NAME,
    WriteCosts::NAME,
    UnreadMail::NAME,
    MarkRead::NAME,
];

/// The most bytes of one batch, as they are written in JSON: a message has at most a mebibyte.
pub const BATCH_BYTES: usize = 512 << 10;
/// The most entries of one batch.
pub const BATCH_ENTRIES: usize = 1_000;

/// Says who came, first of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostHello {
    /// Its program and version.
    pub version: String,
    /// The agents that it runs, by name; none for all that it may.
    pub agents: Option<Vec<String>>,
    /// Variables that its agents are given although they are not exported.
    #[serde(default)]
    pub variables: Vec<String>,
}

/// What the hub says to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What the hub calls the host.
    pub host: String,
}

impl Method for HostHello {
    const NAME: &'static str = "host.hello";
    type Answer = Welcome;
}

/// Says what runs, whenever that changes and every ten seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The agents that run.
    pub agents: Vec<i64>,
}

impl Method for Heartbeat {
    const NAME: &'static str = "host.heartbeat";
    type Answer = ();
}

/// Begins a run of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The agent.
    pub agent: i64,
    /// The model that it thinks with.
    pub model: String,
}

impl Method for OpenSession {
    const NAME: &'static str = "session.open";
    type Answer = RunKey;
}

/// A line of an agent's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLine {
    /// Whose.
    pub key: RunKey,
    /// Who speaks.
    pub role: LogRole,
    /// What kind it is.
    #[serde(default)]
    pub kind: Option<LogType>,
    /// What it says.
    pub message: String,
    /// When, by the host's clock. No two lines of a host have the same time, so that no two batches are alike.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// Writes lines. The answer says that they are durable; without one, the same lines are sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteLogs {
    /// The lines, in their order.
    pub lines: Vec<HostLine>,
}

impl Method for WriteLogs {
    const NAME: &'static str = "logs.write";
    type Answer = ();
}

/// What an agent says that it spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostCost {
    /// Whose.
    pub key: RunKey,
    /// With which model.
    pub model: String,
    /// How much.
    pub dollars: f64,
    /// Tokens read.
    #[serde(default)]
    pub input: i64,
    /// Tokens written.
    #[serde(default)]
    pub output: i64,
}

/// Writes costs. The answer says that they are durable; without one, the same costs are sent again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WriteCosts {
    /// What makes this batch another than one with the same costs.
    pub number: u64,
    /// The costs, in their order.
    pub costs: Vec<HostCost>,
}

impl Method for WriteCosts {
    const NAME: &'static str = "costs.write";
    type Answer = ();
}

/// Asks for what an agent has still to read, the oldest first; not always all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadMail {
    /// The agent.
    pub agent: i64,
}

impl Method for UnreadMail {
    const NAME: &'static str = "mail.unread";
    type Answer = Vec<Mail>;
}

/// Says that an agent was given a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRead {
    /// The agent.
    pub agent: i64,
    /// The message.
    pub mail: i64,
    /// What it is.
    pub kind: MailKind,
}

impl Method for MarkRead {
    const NAME: &'static str = "mail.read";
    type Answer = ();
}

/// Has an agent started. It carries secrets, so it cannot be printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct StartAgent {
    /// The agent.
    pub agent: i64,
    /// Whether it is woken because it has something to read, and nobody asked for it.
    pub woken: bool,
    /// Its configuration.
    pub config: AgentConfig,
    /// Variables: all that are exported, and those that the host named.
    pub variables: BTreeMap<String, HostVariable>,
    /// The agent's own key, by which it asks the hub for what is its own.
    pub key: String,
}

/// A variable with its value.
#[derive(Clone, Serialize, Deserialize)]
pub struct HostVariable {
    /// Its value.
    pub value: String,
    /// Whether every agent is given it.
    pub exported: bool,
}

/// What a host says to what it was asked to do with an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Why it was not done; none if it was.
    #[serde(default)]
    pub problem: Option<String>,
    /// What the agent has before it.
    #[serde(default)]
    pub lines: Vec<String>,
    /// How many lines there are.
    #[serde(default)]
    pub total: i64,
}

impl Method for StartAgent {
    const NAME: &'static str = "agent.start";
    type Answer = Answered;
}

/// Has an agent stopped; the answer comes when it has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopAgent {
    /// The agent.
    pub agent: i64,
    /// Why.
    pub reason: String,
}

impl Method for StopAgent {
    const NAME: &'static str = "agent.stop";
    type Answer = Answered;
}

/// Asks for the last lines of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeekAgent {
    /// The agent.
    pub agent: i64,
    /// How many lines to leave out at the beginning.
    pub skip: Option<i64>,
    /// How many lines are wanted.
    pub take: Option<i64>,
}

impl Method for PeekAgent {
    const NAME: &'static str = "agent.peek";
    type Answer = Answered;
}

/// Says that an agent has something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailWaits {
    /// The agent.
    pub agent: i64,
}

impl Method for MailWaits {
    const NAME: &'static str = "mail.waits";
    type Answer = ();
}

/// Says that an agent may spend nothing any more, or must not run there for another reason: it is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MustStop {
    /// The agent.
    pub agent: i64,
    /// Why.
    pub reason: String,
}

impl Method for MustStop {
    const NAME: &'static str = "agent.must_stop";
    type Answer = ();
}

/// Asks whether the host lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreYouThere {}

impl Method for AreYouThere {
    const NAME: &'static str = "host.alive";
    type Answer = ();
}
