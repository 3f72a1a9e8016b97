//! The board fleet beside not-my-board's own programs, which run as they come from the Python registry.

mod client;
mod commands;
mod crowd;
mod hubs;
mod matching;
mod pairs;
mod site;
mod tunnel;

use crate::forward;
use crate::stats::Table;

pub async fn run() -> anyhow::Result<Vec<Table>> {
    let mut tables = vec![crowd::run().await?, pairs::run().await?];
    let (echo, sink) = forward::services().await?;
    let services = site::Attached { echo, sink };
    let python = site::PythonSite::start(services).await?;
    let nave = site::NaveSite::start(services).await?;
    tables.push(tunnel::run(services, &python, &nave).await?);
    tables.push(commands::run(&python, &nave).await?);
    Ok(tables)
}
