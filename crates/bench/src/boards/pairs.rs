//! Reserving and returning under load.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::client::Wire;
use super::crowd::{self, Exporters};
use super::hubs::Farm;
use crate::stats::{Row, Spread, Table, slow, spread};

const AGENTS: usize = 100;
const PLACES: [usize; 3] = [10, 100, 1000];
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);

/// A hub with places and agents.
struct Loaded {
    what: &'static str,
    farm: Farm,
    exporters: Exporters,
    agents: Vec<Wire>,
    seen: Vec<Round>,
}

/// What came of a round.
struct Round {
    reserving: Vec<f64>,
    returning: Vec<f64>,
    /// Pairs a second.
    rate: f64,
    /// Microseconds of the processors' time that the hub took for one.
    cost: f64,
}

impl Loaded {
    async fn new(what: &'static str, farm: Farm) -> anyhow::Result<Self> {
        let door = farm.door();
        let agents = crowd::agents(door, AGENTS).await?;
        Ok(Self { what, farm, exporters: Exporters::at(door), agents, seen: Vec::new() })
    }

    /// Every agent reserves any place and returns it, again and again.
    async fn round(&mut self) -> anyhow::Result<()> {
        let wanted = self.exporters.any();
        let (begun, used) = (Instant::now(), self.farm.cpu()?);
        let mut working = JoinSet::new();
        for mut agent in self.agents.drain(..) {
            let wanted = wanted.clone();
            working.spawn(async move {
                let (mut reserving, mut returning) = (Vec::new(), Vec::new());
                while begun.elapsed() < ROUND {
                    let asked = Instant::now();
                    let place = agent.number("reserve", &wanted).await?;
                    reserving.push(asked.elapsed().as_secs_f64() * 1e3);
                    let asked = Instant::now();
                    agent.call("return_reservation", &format!("[{place}]")).await?;
                    returning.push(asked.elapsed().as_secs_f64() * 1e3);
                }
                anyhow::Ok((agent, reserving, returning))
            });
        }
        let (mut reserving, mut returning) = (Vec::new(), Vec::new());
        while let Some(worked) = working.join_next().await {
            let (agent, reserved, returned) = worked?.with_context(|| self.what.to_owned())?;
            self.agents.push(agent);
            reserving.extend(reserved);
            returning.extend(returned);
        }
        let pairs = reserving.len() as f64;
        let rate = pairs / begun.elapsed().as_secs_f64();
        let cost = self.farm.cpu()?.saturating_sub(used).as_secs_f64() * 1e6 / pairs;
        self.exporters.check().with_context(|| self.what.to_owned())?;
        self.seen.push(Round { reserving, returning, rate, cost });
        Ok(())
    }
}

/// How many times the other's, round by round.
fn times(ours: &[Round], theirs: &[Round]) -> Spread {
    spread(ours.iter().zip(theirs).map(|(ours, theirs)| ours.rate / theirs.rate).collect())
}

pub async fn run() -> anyhow::Result<Table> {
    let mut hubs = vec![
        Loaded::new("Python", Farm::python(true).await?).await?,
        Loaded::new("Nave", Farm::nave(&std::env::temp_dir()).await?).await?,
        Loaded::new("Nave, database in memory", Farm::nave(Path::new("/dev/shm")).await?).await?,
    ];
    let mut rows = Vec::new();
    for places in PLACES {
        for hub in &mut hubs {
            hub.exporters.grow(places).await?;
            hub.seen.clear();
        }
        for _ in 0..ROUNDS {
            for hub in &mut hubs {
                hub.round().await?;
            }
        }
        let aims = ["", "at least 2 × Python", "at least 10 × Python"];
        for (hub, aim) in hubs.iter().zip(aims) {
            let rate = spread(hub.seen.iter().map(|round| round.rate).collect());
            let against = match aim {
                "" => String::new(),
                _ => format!("; {}", times(&hub.seen, &hubs[0].seen).show("× Python")),
            };
            let what = format!("{places} places, {}", hub.what);
            rows.push(Row::new(
                format!("{what}: pairs a second"),
                format!("{}{against}", rate.show("")),
                aim,
            ));
            let reserving = slow(hub.seen.iter().flat_map(|round| round.reserving.iter().copied()).collect());
            let returning = slow(hub.seen.iter().flat_map(|round| round.returning.iter().copied()).collect());
            rows.push(Row::new(format!("{what}: reserve"), reserving, ""));
            rows.push(Row::new(format!("{what}: return"), returning, ""));
            let cost = spread(hub.seen.iter().map(|round| round.cost).collect());
            rows.push(Row::new(format!("{what}: the hub's processor time for a pair"), cost.show("µs"), ""));
        }
    }
    Ok(Table {
        title: "Boards: reserving and returning",
        note: format!(
            "{AGENTS} agents, each of which reserves any place and returns it, again and again; {ROUNDS} rounds of {} s for each hub, in turns. Agents and exporters are one program that speaks not-my-board's protocol over TLS, the same for all hubs, on the same cores. Python's hub runs in uvicorn with TLS, as its guide to deployment says, and keeps reservations in memory only. Nave answers when a reservation is in its database; with the database in memory, that is on a tmpfs, where writing it through costs nothing.",
            ROUND.as_secs()
        ),
        rows,
    })
}
