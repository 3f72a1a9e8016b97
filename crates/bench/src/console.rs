//! The console's pages on a hub with much on it: how soon each is there, on both engines.

use std::time::Instant;

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use nave_testkit::need::postgres_programs;
use nave_testkit::postgres::Postgres;

use crate::client::Visitor;
use crate::crowd::{Crowd, EVENTS, NODES, PEOPLE};
use crate::farm::Hub;
use crate::stats::{Row, Table, size, slow, spread};

/// How often each page is asked for.
const ASKED: usize = 300;
/// How often before that, so that caches are as they are on a hub that runs.
const BEFORE: usize = 10;
/// How often the audit log is exported.
const EXPORTS: usize = 5;
const AIM: &str = "p99 under 50 ms";

/// Each page by what it is and its address; `{person}` is somebody's id.
const PAGES: [(&str, &str); 22] = [
    ("overview", "/"),
    ("nodes", "/nodes"),
    ("nodes that are not connected", "/nodes?status=offline"),
    ("nodes, searched by name", "/nodes?q=node-29"),
    ("nodes by when they were seen, last page", "/nodes?sort=seen&page=60"),
    ("a node", "/nodes/node-7"),
    ("streams", "/streams"),
    ("people", "/people"),
    ("people, searched by address", "/people?q=person-29"),
    ("a person", "/people/{person}"),
    ("audit", "/audit"),
    ("audit, an action that is common", "/audit?action=stream.opened"),
    ("audit, an action that is rare", "/audit?action=person.disabled"),
    ("audit, an action that never was", "/audit?action=nothing"),
    ("audit, what one person did", "/audit?actor=Person+7"),
    ("audit, what happened to one node", "/audit?object=node-7"),
    ("audit, one node and a rare action", "/audit?object=node-7&action=person.disabled"),
    ("audit, the last day", "/audit?since={yesterday}"),
    ("audit, far back", "/audit?before=5000"),
    ("settings", "/settings"),
    ("status", "/status"),
    ("account", "/account"),
];

pub async fn run() -> anyhow::Result<Vec<Table>> {
    let hub = Hub::start(&[]).await?;
    let mut tables = vec![measure("Console, on SQLite", &hub, &Crowd::on(&hub, None).await?).await?];
    drop(hub);
    if postgres_programs().is_some() {
        let postgres = Postgres::start()?;
        let url = postgres.database()?;
        let hub = Hub::start(&["--database", &url]).await?;
        let crowd = Crowd::on(&hub, Some(&url)).await?;
        // What the server does by itself within a minute.
        let name = url.split(['/', '?']).nth(3).context("the database has a name")?;
        postgres.psql(name, "ANALYZE")?;
        tables.push(measure("Console, on PostgreSQL", &hub, &crowd).await?);
    }
    Ok(tables)
}

async fn measure(title: &'static str, hub: &Hub, crowd: &Crowd) -> anyhow::Result<Table> {
    let visitor = Visitor::with_cookie(&hub.url(), crowd.admin.cookie.clone()).await?;
    let mut rows = Vec::new();
    for (what, address) in PAGES {
        let path = address.replace("{person}", &crowd.person).replace("{yesterday}", &yesterday());
        let mut times = Vec::with_capacity(ASKED);
        let mut bytes = 0;
        for number in 0..BEFORE + ASKED {
            let begun = Instant::now();
            let page = visitor.page(&path).await.context(what)?;
            if number >= BEFORE {
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            bytes = page.len() as u64;
        }
        rows.push(Row::new(what, format!("{}; {}", slow(times), size(bytes)), AIM));
    }
    rows.extend(export(&visitor).await?);
    Ok(Table {
        title,
        note: format!(
            "{NODES} nodes, of which nine in ten are connected; {PEOPLE} people; {EVENTS} rows in the audit log. Each page {ASKED} times, whole, over one connection with TLS and HTTP/2, by an administrator. The nodes run on the same cores."
        ),
        rows,
    })
}

/// The audit log as a file: how soon it begins, and how long it takes.
async fn export(visitor: &Visitor) -> anyhow::Result<[Row; 2]> {
    let (mut first, mut whole, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..EXPORTS {
        let begun = Instant::now();
        let mut body = visitor.get("/audit/export.csv").await?.into_body();
        bytes = 0;
        while let Some(frame) = body.frame().await {
            if bytes == 0 {
                first.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        whole.push(begun.elapsed().as_secs_f64());
    }
    let what = "audit as CSV";
    let all = format!("{}; {:.1} MB", spread(whole).show("s"), bytes as f64 / 1e6);
    Ok([
        Row::new(format!("{what}, its first rows"), spread(first).show("ms"), "under 50 ms"),
        Row::new(format!("{what}, all rows"), all, ""),
    ])
}

fn yesterday() -> String {
    let at = nave_core::clock::Clock::system().now() - std::time::Duration::from_hours(24);
    format!("{}T{:02}:{:02}", at.date(), at.hour(), at.minute())
}
