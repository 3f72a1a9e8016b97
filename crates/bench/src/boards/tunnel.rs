//! What goes through an attached place: how much, how late, how soon. Then what the processes on both sides hold.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::site::{Attached, NaveSite, PythonSite};
use crate::forward::{self, BYTES, PINGS};
use crate::stats::{Row, Table, micros, spread};

const ROUNDS: usize = 3;
/// Connections that are opened one after the other, in a round.
const OPENED: usize = 50;

/// One way to the services.
struct Way {
    what: &'static str,
    at: Attached,
    /// MiB a second.
    speeds: Vec<f64>,
    /// Microseconds.
    delays: Vec<f64>,
    opened: Vec<f64>,
}

impl Way {
    fn new(what: &'static str, at: Attached) -> Self {
        Self { what, at, speeds: Vec::new(), delays: Vec::new(), opened: Vec::new() }
    }

    async fn round(&mut self) -> anyhow::Result<()> {
        self.speeds.push(forward::throughput(self.at.sink).await?);
        self.delays.push(forward::latency(self.at.echo).await?);
        for _ in 0..OPENED {
            self.opened.push(open(self.at.echo).await?);
        }
        Ok(())
    }
}

/// Microseconds until the first byte came back on a new connection.
async fn open(address: SocketAddr) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut io = TcpStream::connect(address).await?;
    io.set_nodelay(true)?;
    io.write_u8(1).await?;
    io.read_u8().await?;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}

pub async fn run(services: Attached, python: &PythonSite, nave: &NaveSite) -> anyhow::Result<Table> {
    let mut memory = Vec::new();
    let members = [
        ("exporter of Python", &python.exporter),
        ("agent of Python", &python.agent),
        ("exporter of Nave, direct", &nave.exporters[0]),
        ("exporter of Nave, relayed", &nave.exporters[1]),
        ("agent of Nave", &nave.agent),
    ];
    for (_, member) in members {
        memory.push(member.memory()?);
    }
    let mut ways = [
        Way::new("raw loopback TCP", services),
        Way::new("Python, plain", python.attached),
        Way::new("Nave, direct", nave.direct),
        Way::new("Nave, relayed", nave.relayed),
    ];
    for _ in 0..ROUNDS {
        for way in &mut ways {
            way.round().await.context(way.what)?;
        }
    }
    let [raw, plain, ..] = &ways;
    let mut rows = Vec::new();
    for (at, way) in ways.iter().enumerate() {
        let ratio = way.speeds.iter().zip(&plain.speeds).map(|(ours, plain)| ours / plain).collect();
        let (against, aim) = if at < 2 {
            (String::new(), "")
        } else {
            (format!("; {}", spread(ratio).show("× Python")), "at least 2 × Python")
        };
        let speed = format!("{}{against}", spread(way.speeds.clone()).show("MiB/s"));
        rows.push(Row::new(format!("{}: throughput", way.what), speed, aim));
    }
    rows.push(Row::new("raw loopback TCP: a byte there and back", spread(raw.delays.clone()).show("µs"), ""));
    let added =
        |way: &Way| -> Vec<f64> { way.delays.iter().zip(&raw.delays).map(|(way, raw)| way - raw).collect() };
    for (at, way) in ways.iter().enumerate().skip(1) {
        let ratio = added(way).iter().zip(added(plain)).map(|(ours, plain)| ours / plain).collect();
        let (against, aim) = if at < 2 {
            (String::new(), "")
        } else {
            (format!("; {}", spread(ratio).show("× Python")), "at most 0.25 × Python")
        };
        let delay = format!("{}{against}", spread(added(way)).show("µs"));
        rows.push(Row::new(format!("{}: what it adds to that", way.what), delay, aim));
    }
    for way in &ways {
        rows.push(Row::new(
            format!("{}: the first byte back on a new connection", way.what),
            micros(way.opened.clone()),
            "",
        ));
    }
    for (at, (what, member)) in members.iter().enumerate() {
        let aim = if what.contains("Nave") { "under 12 MB" } else { "" };
        let mb = |kb: u64| kb as f64 * 1024.0 / 1e6;
        let held = format!(
            "{:.1} MB, {:.1} MB after all that, of which {:.1} MB is no part of a file",
            mb(memory[at]),
            mb(member.memory()?),
            mb(member.own_memory()?)
        );
        rows.push(Row::new(format!("{what}: memory"), held, aim));
    }
    Ok(Table {
        title: "Boards: what goes through an attached place",
        note: format!(
            "A place with two TCP services, attached by an agent: with Python's exporter and agent, which do not encrypt, and with Nave's, directly and through the hub, which encrypt from end to end. {ROUNDS} rounds, each way once a round: {} MiB one way until the other end has them all, the median of {PINGS} single bytes there and back, and {OPENED} new connections. All processes share the cores.",
            BYTES >> 20
        ),
        rows,
    })
}
