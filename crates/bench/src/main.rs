//! The measurements: `nave` as it is packaged, as real processes, beside raw TCP and the tools that people use
//! instead, in one run. Prints Markdown; what is compared is the ratio, since machines differ.

#![expect(clippy::cast_precision_loss, reason = "figures are shown with one digit after the point")]

mod agents;
mod api;
mod boards;
mod browser;
mod client;
mod console;
mod crowd;
mod farm;
mod forward;
mod live;
mod nodes;
mod process;
mod sign_in;
mod start;
mod stats;
mod visit;

use anyhow::Context as _;
use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::stats::Table;

/// What there is to measure, in the order of the page.
const THEMES: [&str; 12] = [
    "start", "nodes", "storm", "forward", "api", "console", "visit", "browser", "live", "sign-in", "boards",
    "agents",
];

#[derive(Parser)]
struct Cli {
    /// Only these
    #[arg(value_parser = PossibleValuesParser::new(THEMES))]
    only: Vec<String>,
    /// Write docs/performance.md instead of printing; it holds every theme
    #[arg(long, conflicts_with = "only")]
    write: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let mut tables = Vec::new();
    for theme in THEMES {
        if cli.only.is_empty() || cli.only.iter().any(|only| only == theme) {
            tables.extend(measure(theme).await.context(theme)?);
        }
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

async fn measure(theme: &str) -> anyhow::Result<Vec<Table>> {
    let table = match theme {
        "start" => start::run().await,
        "nodes" => nodes::memory().await,
        "storm" => nodes::storm().await,
        "forward" => forward::run().await,
        "api" => api::run().await,
        "console" => return console::run().await,
        "visit" => visit::run().await,
        "browser" => browser::run().await,
        "live" => live::run().await,
        "boards" => return boards::run().await,
        "agents" => return agents::run().await,
        _ => sign_in::run().await,
    };
    Ok(vec![table?])
}

#[expect(clippy::print_stdout, reason = "the tables are what the program is run for")]
fn say(page: &str) {
    println!("{page}");
}
