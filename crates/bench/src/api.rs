//! An authenticated call of the native API from many clients at once, on both engines.

use std::sync::Arc;
use std::time::Instant;

use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use nave_core::node::{Invitation, JoinRequest};
use nave_link::certificate;
use nave_link::dial::{self, Known};
use nave_link::random::Random;
use nave_testkit::postgres::Postgres;

use crate::farm::Hub;
use crate::stats::{Row, Table, at};

const CLIENTS: usize = 100;
const CALLS: usize = 200;

async fn measure(hub: &Hub) -> anyhow::Result<(f64, f64, f64)> {
    let request = JoinRequest {
        data: hub.folder.path().join("client"),
        url: hub.url(),
        invitation: Invitation::Token(hub.invite(&["--name", "client"]).await?),
        name: None,
        allow: Vec::new(),
        direct: None,
        labels: std::collections::BTreeMap::new(),
    };
    let joined = nave_core::node::join(request, &Random::system(), |_| {}).await?;
    let known = Arc::new(Known {
        url: hub.url(),
        hub: joined.membership.hub_keys[0],
        key: joined.folder.key(&Random::system())?,
        tls: certificate::by_key(),
    });
    let mut clients = Vec::new();
    let begun = Instant::now();
    for _ in 0..CLIENTS {
        let known = Arc::clone(&known);
        clients.push(tokio::spawn(async move {
            let mut connection = dial::api(&known).await?;
            let mut times = Vec::with_capacity(CALLS);
            for _ in 0..CALLS {
                let request = Request::get("/nave/v1/streams").body(Full::new(Bytes::new()))?;
                let begun = Instant::now();
                let answer = connection.send(request).await?;
                anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
                answer.into_body().collect().await?;
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await??);
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Ok((at(&times, 50), at(&times, 99), rate))
}

pub async fn run() -> anyhow::Result<Table> {
    let mut rows = Vec::new();
    let postgres = Postgres::start()?;
    let url = postgres.database()?;
    for (engine, extra) in [("SQLite", vec![]), ("PostgreSQL", vec!["--database", url.as_str()])] {
        let hub = Hub::start(&extra).await?;
        let (p50, p99, rate) = measure(&hub).await?;
        rows.push(Row::new(
            engine,
            format!("p50 {p50:.1} ms, p99 {p99:.1} ms, {rate:.0} calls a second"),
            "",
        ));
    }
    Ok(Table {
        title: "API",
        note: format!(
            "`GET /nave/v1/streams` over TLS with a node's key, {CLIENTS} clients at once, {CALLS} calls each; every call looks the key up in the database."
        ),
        rows,
    })
}
