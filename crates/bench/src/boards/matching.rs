//! How long deciding takes, in memory: from when the service is called until it begins to write what it decided. The
//! hub is in this process, so that no network is in between.

use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use futures::poll;
use nave_boards::api::{ReserveRequest, WantedPart};
use nave_boards::hub::config::BoardsConfig;
use nave_boards::hub::{Boards, wish};
use nave_testkit::hub::{TestHub, TestHubSetup};
use serde_json::json;

use super::client::Door;
use super::crowd::Exporters;
use super::hubs::SETTINGS;
use crate::stats::{Row, micros};

const PLACES: [usize; 3] = [10, 100, 1000];
const TIMES: usize = 1000;

pub async fn rows() -> anyhow::Result<Vec<Row>> {
    let boards = Boards::new(BoardsConfig::read(&SETTINGS.parse()?)?)?;
    let setup = TestHubSetup { fleets: vec![Arc::new(boards.clone())], ..TestHubSetup::default() };
    let hub = TestHub::with(setup).await?;
    let mut exporters = Exporters::at(Door { address: hub.address(), tls: true });
    let mut rows = Vec::new();
    for places in PLACES {
        exporters.grow(places).await?;
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            times.push(decide(&hub, &boards).await?);
        }
        rows.push(Row::new(
            format!("finding out which of {places} places have what is wanted, and choosing one"),
            micros(times),
            "p50 under 100 µs",
        ));
    }
    hub.stop().await;
    Ok(rows)
}

/// Microseconds until a place is chosen. Then it is reserved, and returned.
async fn decide(hub: &TestHub, boards: &Boards) -> anyhow::Result<f64> {
    let part = WantedPart {
        compatible: vec!["board".to_owned()],
        tcp: vec!["serial".to_owned()],
        ..WantedPart::default()
    };
    let request: ReserveRequest = serde_json::from_value(json!({ "parts": [part] }))?;
    let op = hub.operator();
    let mut reserving = std::pin::pin!(wish::reserve(&op, hub.hub(), boards, request));
    let begun = Instant::now();
    let at_once = poll!(reserving.as_mut());
    let time = begun.elapsed().as_secs_f64() * 1e6;
    if at_once.is_ready() {
        bail!("a place was given before that was written: {at_once:?}");
    }
    let place = reserving.await?.place;
    wish::give_back(&op, hub.hub(), boards, &place).await?;
    Ok(time)
}
