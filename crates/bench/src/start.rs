//! From exec to ready, and memory at rest.

use crate::farm::Hub;
use crate::stats::{Row, Table, spread};

const RUNS: usize = 11;

pub async fn run() -> anyhow::Result<Table> {
    let mut hub = Hub::start(&[]).await?;
    let (mut times, mut memory, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        hub.kill().await?;
        times.push(hub.launch().await?.as_secs_f64() * 1e3);
        // The hub is at rest once it has answered something.
        hub.command(&["status"]).await.ok();
        memory.push(hub.memory()? as f64 / 1024.0);
        own.push(hub.own_memory()? as f64 / 1024.0);
    }
    Ok(Table {
        title: "Start",
        note: format!(
            "{RUNS} starts on an existing folder, each after `kill -9`: from exec to the first accepted connection. What is \
             resident includes those parts of the program's file that were used, which Linux gives up when memory is short."
        ),
        rows: vec![
            Row::new("from exec to ready", spread(times).show("ms"), "under 100 ms"),
            Row::new("resident memory, idle", spread(memory).show("MiB"), "under 30 MB"),
            Row::new("of that, what is no part of a file", spread(own).show("MiB"), ""),
        ],
    })
}
