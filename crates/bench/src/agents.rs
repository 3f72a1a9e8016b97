//! The agent fleet under the load of NAISYS's runners, which is made with their own library in a process of Node.js. That
//! process has one thread: where it is what limits, the note says so.

mod past;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nave_testkit::need::node_packages;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::client;
use crate::farm::Hub;
use crate::stats::{Row, Table, size, slow};

/// How many runners there are of what there are many of.
const MANY: usize = 1000;
const SOME: usize = 100;
/// Agents, which the runners share.
const AGENTS: usize = 100;
/// How long each load lasts, in seconds.
const SECONDS: u32 = 5;
/// Connections that are opened at once.
const AT_ONCE: usize = 32;

/// The process that makes the load.
struct Load {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

/// What it measured.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Measured {
    seconds: f64,
    bytes: u64,
    times: Vec<f64>,
    error: Option<String>,
}

impl Measured {
    fn a_second(&self) -> f64 {
        self.times.len() as f64 / self.seconds
    }
}

impl Load {
    fn at(hub: SocketAddr) -> anyhow::Result<Self> {
        let packages = node_packages().context("cargo's build folder cannot be found")?;
        let mut process = Command::new("node")
            .args(["--no-warnings", "--input-type=module", "--eval", include_str!("agents/load.mjs"), "--"])
            .args([hub.ip().to_string(), hub.port().to_string()])
            // The script's imports are looked for from here.
            .current_dir(packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("node could not be started")?;
        let input = process.stdin.take().context("standard input is piped")?;
        let output = BufReader::new(process.stdout.take().context("standard output is piped")?).lines();
        Ok(Self { input, output, _process: process })
    }

    async fn ask(&mut self, command: Value) -> anyhow::Result<Measured> {
        self.input.write_all(format!("{command}\n").as_bytes()).await?;
        let line = self.output.next_line().await?.context("the load has ended")?;
        let measured: Measured = serde_json::from_str(&line)?;
        match &measured.error {
            Some(error) => bail!("{command}: {error}"),
            None => Ok(measured),
        }
    }
}

/// Access keys of so many machines' own.
async fn keys(hub: &Hub, count: usize) -> anyhow::Result<Vec<String>> {
    let mut keys = Vec::with_capacity(count);
    for number in 0..count {
        let name = format!("bench-{number}");
        keys.push(hub.command(&["node", "add", &name, "--role", "host"]).await?.trim().to_owned());
    }
    Ok(keys)
}

/// Years of mail and of logs: how soon something in them is found.
async fn history(hub: &mut Hub, agents: &[i64], keys: &[String]) -> anyhow::Result<Vec<Row>> {
    const ASKED: usize = 400;
    const AIM: &str = "p99 under 100 ms";
    hub.kill().await?;
    past::write(&hub.data(), agents).await?;
    hub.launch().await?;
    let begun = Instant::now();
    past::until_found(hub).await?;
    let taken_up = format!("{:.0} s", begun.elapsed().as_secs_f64());

    let mut load = Load::at(hub.address)?;
    load.ask(json!({ "command": "connect", "type": "naisys", "keys": keys, "atOnce": 1 })).await?;
    load.ask(json!({ "command": "beat", "agents": agents })).await?;
    let mut rows = Vec::new();
    for (what, words) in past::SEARCHES {
        let asked = json!({ "command": "search", "count": ASKED, "agent": agents[0], "words": words });
        let times = load.ask(asked).await?.times;
        rows.push(Row::new(format!("searching {} mails for {what}", past::MAILS), slow(times), AIM));
    }
    rows.push(Row::new("until all those mails are in an index made anew", taken_up, ""));

    let admin = client::administrator(hub).await?;
    for (what, agent, filter) in [
        ("the last 200", 1, "limit=200"),
        ("the last 200 of an agent that was never busy", 0, "limit=200"),
        ("200 from the middle", 1, "limit=200&before=5000000"),
        ("the last 200 of a session", 1, "limit=200&run=7&session=1"),
    ] {
        let mut times = Vec::with_capacity(ASKED);
        for _ in 0..ASKED {
            let begun = Instant::now();
            admin.page(&format!("/nave/v1/agents/agent-{agent}/log?{filter}")).await?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        rows.push(Row::new(format!("of {} lines of logs, {what}", past::LINES), slow(times), AIM));
    }
    Ok(rows)
}

pub async fn run() -> anyhow::Result<Vec<Table>> {
    let more = "[agents]\nmails_per_minute = 1000000\n[agents.naisys]\nsupervisors = [\"boss\"]\n";
    let mut hub = Hub::start_in(&std::env::temp_dir(), more, &[]).await?;
    let idle = hub.memory()?;
    let mut ids = Vec::new();
    let folder = tempfile::tempdir()?;
    for number in 0..AGENTS {
        let file = folder.path().join("agent.yaml");
        let text = format!(
            "username: agent-{number}\ntitle: Load\nagentPrompt: Work.\ntokenMax: 20000\nshellModel: mock\n"
        );
        std::fs::write(&file, text)?;
        let made = hub.command(&["agent", "create", "--json", &file.display().to_string()]).await?;
        ids.push(serde_json::from_str::<Value>(&made)?["id"].as_i64().context("an agent has a number")?);
    }
    let keys = keys(&hub, MANY).await?;
    let boss = hub.command(&["node", "add", "boss", "--role", "host"]).await?.trim().to_owned();
    let mut load = Load::at(hub.address)?;
    let mut rows = vec![Row::new("a hub with nobody", size(idle * 1024), "")];

    let before = hub.memory()?;
    load.ask(json!({ "command": "connect", "type": "naisys", "keys": keys[..SOME], "atOnce": AT_ONCE }))
        .await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let each = hub.memory()?.saturating_sub(before) * 1024 / SOME as u64;
    rows.push(Row::new(format!("memory of each of {SOME} runners, TLS and WebSocket"), size(each), ""));
    drop(load);

    load = Load::at(hub.address)?;
    let before = hub.memory()?;
    let all =
        load.ask(json!({ "command": "connect", "type": "naisys", "keys": keys, "atOnce": AT_ONCE })).await?;
    rows.push(Row::new(
        format!("{MANY} runners connect, {AT_ONCE} at once"),
        format!("{:.0} a second", MANY as f64 / all.seconds),
        "",
    ));
    load.ask(json!({ "command": "beat", "agents": ids })).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let each = hub.memory()?.saturating_sub(before) * 1024 / MANY as u64;
    rows.push(Row::new(format!("memory of each of {MANY} runners"), size(each), ""));

    load.ask(
        json!({ "command": "connect", "type": "supervisor", "keys": vec![boss.clone(); 1], "atOnce": 1 }),
    )
    .await?;
    for clients in [10, 100, 1000] {
        let measured = load
            .ask(json!({ "command": "mail", "clients": clients, "seconds": SECONDS, "agents": ids }))
            .await?;
        let rate = format!("{:.0} a second; {}", measured.a_second(), slow(measured.times.clone()));
        let aim = if clients == 1000 { "5,000 a second" } else { "" };
        rows.push(Row::new(format!("mails from {clients} clients, each durable before its ack"), rate, aim));
    }
    for batch in [1, 100] {
        let asked =
            json!({ "command": "logs", "clients": 10, "seconds": SECONDS, "agents": ids, "batch": batch });
        let measured = load.ask(asked).await?;
        let lines = measured.a_second() * f64::from(batch);
        let told = format!("{lines:.0} a second; {}", slow(measured.times));
        rows.push(Row::new(
            format!("lines of logs in batches of {batch} from 10 clients, durable before their push"),
            told,
            "",
        ));
    }
    load.ask(
        json!({ "command": "connect", "type": "supervisor", "keys": vec![boss; SOME], "atOnce": AT_ONCE }),
    )
    .await?;
    let fan = load.ask(json!({ "command": "fan", "count": 50, "agents": ids })).await?;
    rows.push(Row::new(format!("a mail until the last of {SOME} supervisors knows"), slow(fan.times), ""));

    hub.kill().await?;
    load.ask(json!({ "command": "lost" })).await?;
    hub.launch().await?;
    let back = load.ask(json!({ "command": "back" })).await?;
    let told = format!("{:.1} s, {} to all of them", back.seconds, size(back.bytes));
    rows.push(Row::new(format!("{MANY} runners are back after the hub was killed"), told, ""));
    drop(load);
    rows.extend(history(&mut hub, &ids, &keys[..1]).await?);

    let mut note = String::new();
    let _ = write!(
        note,
        "The load is `socket.io-client` in one process of Node.js, on the same two cores as the hub; it connects, upgrades \
         and asks as NAISYS's runners do. {AGENTS} agents, which the runners share. A runner waits 1 to 5 s by itself before it \
         comes back. The original's own figures, measured elsewhere: 210 mails a second at a p50 of 3 ms and a p99 of 15 ms; \
         1,000 runners are back after 237 s, during which it sends 30 GB."
    );
    Ok(vec![Table { title: "Agents: a farm of NAISYS's runners", note, rows }])
}
