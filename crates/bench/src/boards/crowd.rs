//! Many exporters and agents at one hub: how soon they are there, what they cost, and how soon a queue is served.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::task::JoinSet;

use super::client::{Door, Wire};
use super::hubs::Farm;
use crate::stats::{Row, Table, spread};

/// Connections that are opened at once: more would only wait for the same cores.
const AT_ONCE: usize = 32;
/// How many there are of what there are many of.
const MANY: usize = 1000;
const HOLDERS: usize = 100;
const ROUNDS: usize = 3;

/// Exporters with a place each.
pub struct Exporters {
    door: Door,
    obeying: JoinSet<anyhow::Result<()>>,
    /// The places' numbers.
    pub places: Vec<u64>,
}

impl Exporters {
    /// None yet.
    pub fn at(door: Door) -> Self {
        Self { door, obeying: JoinSet::new(), places: Vec::new() }
    }

    /// Adds exporters until there are so many.
    pub async fn grow(&mut self, places: usize) -> anyhow::Result<()> {
        let door = self.door;
        let coming = futures::stream::iter(self.places.len()..places).map(|number| async move {
            let mut exporter = Wire::connect(door).await?;
            let id = exporter.register(&format!("place-{number}")).await?;
            anyhow::Ok((exporter, id))
        });
        let mut coming = std::pin::pin!(coming.buffer_unordered(AT_ONCE));
        while let Some(one) = coming.next().await {
            let (exporter, id) = one?;
            self.places.push(id);
            self.obeying.spawn(exporter.obey());
        }
        Ok(())
    }

    /// What asks for any of the places.
    pub fn any(&self) -> String {
        let numbers: Vec<String> = self.places.iter().map(u64::to_string).collect();
        format!("[[{}]]", numbers.join(","))
    }

    /// All of them must be there still.
    pub fn check(&mut self) -> anyhow::Result<()> {
        ensure!(self.obeying.try_join_next().is_none(), "an exporter was sent away");
        Ok(())
    }
}

/// Agents that are connected.
pub async fn agents(door: Door, count: usize) -> anyhow::Result<Vec<Wire>> {
    let coming = futures::stream::iter(0..count).map(|_| Wire::connect(door));
    let coming: Vec<_> = coming.buffer_unordered(AT_ONCE).collect().await;
    coming.into_iter().collect()
}

/// What was seen of one hub.
#[derive(Default)]
struct Seen {
    /// kB.
    idle: Vec<f64>,
    per_agent: Vec<f64>,
    per_place: Vec<f64>,
    per_waiter: Vec<f64>,
    /// A second.
    registrations: Vec<f64>,
    handed_over: Vec<f64>,
}

pub async fn run() -> anyhow::Result<Table> {
    let (mut nave, mut python) = (Seen::default(), Seen::default());
    for _ in 0..ROUNDS {
        look(Farm::python(true).await?, &mut python).await.context("Python")?;
        look(Farm::nave(&std::env::temp_dir()).await?, &mut nave).await.context("Nave")?;
    }
    let mut rows = Vec::new();
    let mut both = |what: &str, unit: &str, aim: &'static str, of: fn(&Seen) -> &Vec<f64>| {
        let ratio = of(&nave).iter().zip(of(&python)).map(|(ours, theirs)| ours / theirs).collect();
        let ours = format!("{}; {}", spread(of(&nave).clone()).show(unit), spread(ratio).show("× Python"));
        rows.push(Row::new(format!("{what}: Nave"), ours, aim));
        rows.push(Row::new(format!("{what}: Python"), spread(of(&python).clone()).show(unit), ""));
    };
    both("memory, idle", "kB", "", |seen| &seen.idle);
    both("memory for a connected agent", "kB", "at most 0.17 × Python", |seen| &seen.per_agent);
    both("memory for an exporter with its place", "kB", "", |seen| &seen.per_place);
    both("exporters that connect and register", "a second", "", |seen| &seen.registrations);
    both("memory for an agent that waits for any of 1000 places", "kB", "", |seen| &seen.per_waiter);
    both("places that pass on to whoever waits", "a second", "", |seen| &seen.handed_over);
    rows.extend(super::matching::rows().await?);
    Ok(Table {
        title: "Boards: the hub",
        note: format!(
            "{ROUNDS} rounds, each on new hubs, in turns. Agents and exporters are one program that speaks not-my-board's protocol over TLS, the same for both hubs, on the same cores. Python's hub runs in uvicorn with TLS, as its guide to deployment says. Memory is what is resident; for one connection, by how much that grows with {MANY} of them, after the first 50. At last {HOLDERS} agents hold {MANY} places, {MANY} others wait for any of these, and all are returned. Deciding is timed in a hub inside the measuring program, from when the service is called until it begins to write what it decided."
        ),
        rows,
    })
}

async fn look(farm: Farm, seen: &mut Seen) -> anyhow::Result<()> {
    let door = farm.door();
    let kb = |farm: &Farm| anyhow::Ok(farm.memory()? as f64);
    seen.idle.push(kb(&farm)?);
    // The first ones pay for what is made once.
    let _warm = agents(door, 50).await?;
    let before = kb(&farm)?;
    let mut waiters = agents(door, MANY).await?;
    seen.per_agent.push((kb(&farm)? - before) / MANY as f64);

    let before = kb(&farm)?;
    let begun = Instant::now();
    let mut exporters = Exporters::at(door);
    exporters.grow(MANY).await?;
    seen.registrations.push(MANY as f64 / begun.elapsed().as_secs_f64());
    seen.per_place.push((kb(&farm)? - before) / MANY as f64);

    // Everything is taken.
    let mut holders = Vec::new();
    for (holder, places) in
        agents(door, HOLDERS).await?.into_iter().zip(exporters.places.chunks(MANY / HOLDERS))
    {
        holders.push((holder, places.to_vec()));
    }
    let mut taking: FuturesUnordered<_> = holders
        .into_iter()
        .map(|(mut holder, places)| async move {
            for place in &places {
                holder.number("reserve", &format!("[[{place}]]")).await?;
            }
            anyhow::Ok((holder, places))
        })
        .collect();
    let mut holders = Vec::new();
    while let Some(took) = taking.next().await {
        holders.push(took?);
    }
    drop(taking);

    let before = kb(&farm)?;
    let any = exporters.any();
    let mut waiting = JoinSet::new();
    for mut waiter in waiters.drain(..) {
        let any = any.clone();
        waiting.spawn(async move { waiter.number("reserve", &any).await.map(|place| (waiter, place)) });
    }
    farm.until_waiting(MANY).await?;
    seen.per_waiter.push((kb(&farm)? - before) / MANY as f64);

    let begun = Instant::now();
    let mut returning = JoinSet::new();
    for (mut holder, places) in holders {
        returning.spawn(async move {
            for place in places {
                holder.call("return_reservation", &format!("[{place}]")).await?;
            }
            anyhow::Ok(holder)
        });
    }
    let mut served = Vec::new();
    while let Some(one) = waiting.join_next().await {
        served.push(one??);
    }
    seen.handed_over.push(MANY as f64 / begun.elapsed().as_secs_f64());
    served.sort_by_key(|(_, place)| *place);
    served.dedup_by_key(|(_, place)| *place);
    ensure!(served.len() == MANY, "a place was given to two");
    while let Some(one) = returning.join_next().await {
        one??;
    }
    exporters.check()
}
