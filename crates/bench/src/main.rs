//! The measurements: the release build of `nave` as real processes, beside raw TCP and the tools that people use
//! instead, in one run. Prints Markdown; what is compared is the ratio, since machines differ.

#![expect(clippy::cast_precision_loss, reason = "figures are shown with one digit after the point")]

mod api;
mod farm;
mod forward;
mod nodes;
mod start;
mod stats;

use anyhow::Context as _;
use clap::Parser;

use crate::stats::Table;

#[derive(Parser)]
struct Cli {
    /// Only these: start, nodes, storm, forward, api
    only: Vec<String>,
    /// Write docs/performance.md instead of printing
    #[arg(long)]
    write: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let wanted = |name: &str| cli.only.is_empty() || cli.only.iter().any(|only| only == name);
    let mut tables: Vec<Table> = Vec::new();
    if wanted("start") {
        tables.push(start::run().await.context("start")?);
    }
    if wanted("nodes") {
        tables.push(nodes::memory().await.context("nodes")?);
    }
    if wanted("storm") {
        tables.push(nodes::storm().await.context("storm")?);
    }
    if wanted("forward") {
        tables.push(forward::run().await.context("forward")?);
    }
    if wanted("api") {
        tables.push(api::run().await.context("api")?);
    }
    let page = stats::page(&tables);
    if cli.write {
        let path = farm::root().join("docs/performance.md");
        std::fs::write(&path, page).with_context(|| path.display().to_string())?;
    } else {
        say(&page);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the tables are what the program is run for")]
fn say(page: &str) {
    println!("{page}");
}
