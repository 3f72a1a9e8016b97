//! Real clients of Socket.IO in a process of Node.js; and a hub with an application that writes down what they do.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_agents::hub::dialect::socket_io::{
    Application, Asking, Endpoint, Event, Gone, Server, Settings, Socket, Verdict,
};
use nave_core::api::Check;
use nave_core::hub::access::Action;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result as HubResult;
use nave_core::hub::fleet::{Fleet, Measure, NodeHappening};
use nave_core::hub::http::Routes;
use nave_core::hub::job::Job;
use nave_core::hub::leases::PoolKind;
use nave_core::hub::op::{Client, Op};
use nave_core::hub::people::idp::Program;
use nave_core::hub::store::MigrationSet;
use nave_core::hub::tasks::TaskKind;
use nave_core::id::NodeId;
use nave_link::address::Target;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need::node_packages;
use nave_testkit::wait::{PATIENCE, until};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

const ENDPOINTS: &[Endpoint] = &[
    Endpoint { path: "/socket.io/", namespaces: &["/naisys", "//naisys"] },
    Endpoint { path: "/hub/socket.io/", namespaces: &["/"] },
];

/// What the hub's configuration has unless somebody changes it.
pub fn settings() -> Settings {
    Settings::new(ENDPOINTS, 4 << 20)
}

/// Clients of one process.
pub struct Clients {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    process: Child,
    hub: SocketAddr,
    /// What was read and not asked for yet.
    seen: HashMap<String, Vec<Value>>,
    asked: u64,
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

impl Clients {
    /// None yet.
    pub fn of(hub: &TestHub) -> anyhow::Result<Self> {
        let packages = node_packages().context("cargo's build folder cannot be found")?;
        let mut process = Command::new("node")
            .args([
                "--no-warnings",
                "--input-type=module",
                "--eval",
                concat!(include_str!("contract.mjs"), include_str!("runner.mjs")),
            ])
            // The script's imports are looked for from here.
            .current_dir(packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("node could not be started")?;
        let input = process.stdin.take().context("standard input is piped")?;
        let output = BufReader::new(process.stdout.take().context("standard output is piped")?).lines();
        Ok(Self { input, output, process, hub: hub.address(), seen: HashMap::new(), asked: 0 })
    }

    /// The process, to be stopped by signals.
    pub fn process(&self) -> anyhow::Result<u32> {
        self.process.id().context("node has ended")
    }

    pub async fn tell(&mut self, command: Value) -> anyhow::Result<()> {
        self.input.write_all(format!("{command}\n").as_bytes()).await?;
        Ok(())
    }

    /// Connects as a runner does.
    pub async fn connect(&mut self, id: &str) -> anyhow::Result<()> {
        self.connect_to(id, "/naisys", json!({})).await
    }

    /// Connects to a namespace, with more of the library's options.
    pub async fn connect_to(&mut self, id: &str, namespace: &str, options: Value) -> anyhow::Result<()> {
        let auth = json!({ "hubAccessKey": "+secret", "hostName": id, "hostType": "naisys" });
        let more = json!({ "key": "+secret", "namespace": namespace, "auth": auth, "options": options });
        self.connect_with(id, more).await
    }

    /// Connects with all that the script can be told.
    pub async fn connect_with(&mut self, id: &str, more: Value) -> anyhow::Result<()> {
        let hub = self.hub;
        let mut command = json!({ "do": "connect", "id": id, "host": hub.ip(), "port": hub.port() });
        merge(&mut command, more);
        self.tell(command).await
    }

    /// Says something and waits for nothing.
    pub async fn say(&mut self, id: &str, event: &str, payload: Value) -> anyhow::Result<()> {
        self.tell(json!({ "do": "emit", "id": id, "event": event, "payload": [payload] })).await
    }

    /// Asks for something; [`Self::answer`] has what comes of it.
    pub async fn begin(&mut self, id: &str, event: &str, payload: Value) -> anyhow::Result<u64> {
        self.asked += 1;
        let n = self.asked;
        self.tell(json!({ "do": "ask", "id": id, "event": event, "payload": [payload], "n": n })).await?;
        Ok(n)
    }

    /// Asks the same many times at once. The answer says which were taken, and why how many others were refused.
    pub async fn begin_many(
        &mut self,
        id: &str,
        event: &str,
        payload: Value,
        times: usize,
    ) -> anyhow::Result<u64> {
        self.asked += 1;
        let n = self.asked;
        let command =
            json!({ "do": "askMany", "id": id, "event": event, "payload": payload, "times": times, "n": n });
        self.tell(command).await?;
        Ok(n)
    }

    /// The answer to a question.
    pub async fn answer(&mut self, id: &str, n: u64) -> anyhow::Result<Value> {
        let answer =
            self.sees_that(id, "an answer", |line| line["saw"] == "answer" && line["n"] == n).await?;
        Ok(answer["answer"].clone())
    }

    /// Asks and waits for the answer.
    pub async fn ask(&mut self, id: &str, event: &str, payload: Value) -> anyhow::Result<Value> {
        let n = self.begin(id, event, payload).await?;
        self.answer(id, n).await
    }

    /// Waits for an event; what it carries.
    pub async fn hears(&mut self, id: &str, event: &str) -> anyhow::Result<Value> {
        self.hears_that(id, event, |_| true).await
    }

    /// Waits for an event that carries this; earlier ones of that name are forgotten.
    pub async fn hears_that(
        &mut self,
        id: &str,
        event: &str,
        is: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        loop {
            let line =
                self.sees_that(id, event, |line| line["saw"] == "event" && line["event"] == event).await?;
            if is(&line["payload"][0]) {
                return Ok(line["payload"][0].clone());
            }
        }
    }

    /// Something over HTTP: the status, the headers, and what is in it.
    pub async fn http(&mut self, key: &str, request: Value) -> anyhow::Result<Value> {
        self.asked += 1;
        let (n, hub) = (self.asked, self.hub);
        let mut command =
            json!({ "do": "http", "id": "HTTP", "n": n, "host": hub.ip(), "port": hub.port(), "key": key });
        merge(&mut command, request);
        self.tell(command).await?;
        self.sees_that("HTTP", "an answer", |line| line["n"] == n).await
    }

    /// Reads on until a client sees something. What it sees besides is kept.
    pub async fn sees(&mut self, id: &str, saw: &str) -> anyhow::Result<Value> {
        self.sees_that(id, saw, |line| line["saw"] == saw).await
    }

    async fn sees_that(
        &mut self,
        id: &str,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let found = tokio::time::timeout(PATIENCE, self.find(id, is)).await;
        found.unwrap_or_else(|_| Err(anyhow::anyhow!("{id} never saw {what:?}; {:?}", self.seen.get(id))))
    }

    async fn find(&mut self, id: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        loop {
            let lines = self.seen.entry(id.to_owned()).or_default();
            if let Some(at) = lines.iter().position(&is) {
                return Ok(lines.remove(at));
            }
            let line = self.output.next_line().await?.context("node has ended")?;
            let line: Value = serde_json::from_str(&line)?;
            anyhow::ensure!(line["saw"] != "malformed", "a program of NAISYS would end: {line}");
            let id = line["id"].as_str().context("an id")?.to_owned();
            self.seen.entry(id).or_default().push(line);
        }
    }

    /// Goes on at another address.
    pub fn go_to(&mut self, hub: SocketAddr) {
        self.hub = hub;
    }

    /// All that a client has heard of an event until now, and keeps.
    pub fn heard(&self, id: &str, event: &str) -> Vec<Value> {
        let lines = self.seen.get(id).into_iter().flatten();
        let of = lines.filter(|line| line["saw"] == "event" && line["event"] == event);
        of.map(|line| line["payload"][0].clone()).collect()
    }

    /// Whether a client has seen something that nobody asked for yet.
    pub fn has_seen(&self, id: &str, saw: &str) -> bool {
        self.seen.get(id).into_iter().flatten().any(|line| line["saw"] == saw)
    }
}

/// What is to be done with who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Open,
    Refuses,
    Closes,
    /// Thinks, until the door is another.
    Holds,
}

/// An application that writes down what happens.
pub struct Book {
    pub door: watch::Sender<Door>,
    /// Whether events may be dealt with.
    pub flows: watch::Sender<bool>,
    pub sockets: Mutex<HashMap<String, Socket>>,
    pub came: Mutex<Vec<(String, IpAddr, &'static str, &'static str)>>,
    pub heard: Mutex<Vec<(String, String, Value)>>,
    pub gone: Mutex<Vec<(String, Gone)>>,
}

impl Book {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            door: watch::Sender::new(Door::Open),
            flows: watch::Sender::new(true),
            sockets: Mutex::default(),
            came: Mutex::default(),
            heard: Mutex::default(),
            gone: Mutex::default(),
        })
    }

    /// The newest socket of a client.
    pub async fn socket(&self, name: &str) -> anyhow::Result<Socket> {
        until("a client is in", async || {
            self.sockets.lock().unwrap().get(name).filter(|socket| !socket.is_over()).cloned()
        })
        .await
    }

    /// Waits for the end of a socket.
    pub async fn ended(&self, name: &str) -> anyhow::Result<Gone> {
        until("a socket has ended", async || {
            let mut gone = self.gone.lock().unwrap();
            let at = gone.iter().position(|(who, _)| who == name)?;
            Some(gone.remove(at).1)
        })
        .await
    }

    /// What a client said, once it said so much.
    pub async fn said(&self, name: &str, count: usize) -> anyhow::Result<Vec<(String, Value)>> {
        until("a client has said it", async || {
            let heard = self.heard.lock().unwrap();
            let of: Vec<_> = heard
                .iter()
                .filter(|(who, ..)| who == name)
                .map(|(_, event, payload)| (event.clone(), payload.clone()))
                .collect();
            (of.len() >= count).then_some(of)
        })
        .await
    }
}

impl Application for Book {
    type Session = String;

    async fn connect(&self, asking: Asking) -> Verdict<String> {
        let name = asking.auth.get("hostName").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.came.lock().unwrap().push((name.clone(), asking.source, asking.path, asking.namespace));
        let mut door = self.door.subscribe();
        let door = door.wait_for(|door| *door != Door::Holds).await.map(|door| *door);
        match door {
            Ok(Door::Refuses) => Verdict::Refuse {
                message: "Invalid access key".to_owned(),
                data: Some(json!({ "fatal": true })),
            },
            Ok(Door::Open) => {
                // It is known from here on: what it is told must not overtake its being let in.
                asking.socket.emit("hosts_updated", &json!({ "hosts": [] })).unwrap();
                self.sockets.lock().unwrap().insert(name.clone(), asking.socket);
                Verdict::Accept(name)
            }
            _ => Verdict::Close,
        }
    }

    async fn event(&self, session: &String, event: Event) {
        let _ = self.flows.subscribe().wait_for(|flows| *flows).await;
        let payload = event.payload.map_or(json!("none"), |raw| serde_json::from_str(raw.get()).unwrap());
        self.heard.lock().unwrap().push((session.clone(), event.name.clone(), payload.clone()));
        match event.ack {
            Some(ack) if event.name == "echo" => ack.answer(&payload),
            // Anything else is left without an answer.
            _ => {}
        }
    }

    async fn gone(&self, session: String, why: Gone) {
        self.gone.lock().unwrap().push((session, why));
    }
}

/// A hub that serves the book's clients.
pub async fn hub_with(settings: Settings) -> anyhow::Result<(TestHub, Arc<Book>, Server)> {
    let book = Book::new();
    let server = Server::shared(Arc::clone(&book), settings);
    let fleet = Arc::new(Only(server.clone()));
    let hub = TestHub::with(TestHubSetup { fleets: vec![fleet], ..TestHubSetup::default() }).await?;
    Ok((hub, book, server))
}

/// A fleet of nothing but these routes.
struct Only(Server);

impl Fleet for Only {
    fn name(&self) -> &'static str {
        "sockets"
    }

    fn migrations(&self) -> MigrationSet {
        MigrationSet { name: "sockets", tables: &[], migrations: &[] }
    }

    fn bulk_migrations(&self) -> MigrationSet {
        MigrationSet::none("sockets")
    }

    fn tasks(&self) -> Vec<TaskKind> {
        Vec::new()
    }

    fn begin(&self, _: Arc<Hub>) -> BoxFuture<'static, HubResult<()>> {
        std::future::ready(Ok(())).boxed()
    }

    fn actions(&self) -> &'static [Action] {
        &[]
    }

    fn pools(&self) -> Vec<PoolKind> {
        Vec::new()
    }

    fn routes(&self, routes: Routes) -> Routes {
        self.0.routes(routes)
    }

    fn jobs(&self) -> Vec<Job> {
        Vec::new()
    }

    fn measures(&self, _: &Hub) -> Vec<Measure> {
        Vec::new()
    }

    fn shows_measures_to(&self, _: IpAddr) -> bool {
        false
    }

    fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    fn lets_open(&self, _: &Hub, _: &Op, _: NodeId, _: &Target) -> bool {
        false
    }

    fn program(&self) -> Option<Program> {
        None
    }

    fn knows(&self, _: &str) -> Option<Client> {
        None
    }

    fn waits_for(&self, _: &str) -> Option<IpAddr> {
        None
    }

    fn lets_end_here(&self, _: &Hub, _: &Op, _: NodeId, _: &Target) -> bool {
        false
    }

    fn hear(&self, _: Arc<Hub>, _: NodeHappening) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}
