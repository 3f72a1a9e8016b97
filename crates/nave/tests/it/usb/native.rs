//! The board between Nave's own exporter and agent: USB/IP inside streams that are encrypted from one to the other and pass
//! the hub.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nave_testkit::wait::until;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::process::Command;

use super::board;
use super::pairs::{By, EXPORT, HOME, end, plug_in, start_hub};
use crate::program::{Background, NAVE, run};

/// One of several machines in one: each has a data folder of its own.
fn nave(machine: &str, args: &[&str]) -> Command {
    let mut command = Command::new(NAVE);
    command.args(args).env("NAVE_DIR", format!("{HOME}/{machine}"));
    command.env("HOME", HOME).current_dir(HOME).kill_on_drop(true);
    command
}

async fn said(machine: &str, args: &[&str]) -> anyhow::Result<String> {
    run(&mut nave(machine, args)).await?.ok()
}

async fn join(name: &str, role: &str) -> anyhow::Result<Background> {
    let line = said("nave", &["invite", "--name", name, "--role", role]).await?;
    let pasted: Vec<&str> = line.split_whitespace().skip(1).collect();
    let node = Background::start(&mut nave(name, &pasted))?;
    node.says(&format!("connected as {name}")).await?;
    Ok(node)
}

/// Waits until the board is attached to this machine or not, and gives where.
async fn is(attached: bool) -> anyhow::Result<String> {
    let shown = || async {
        let status: Value =
            serde_json::from_str(&said("laptop", &["board", "status", "--json"]).await.ok()?).ok()?;
        let interface = status.get(0).filter(|interface| interface["attached"] == attached)?;
        Some(interface["port"].as_str()?.to_owned())
    };
    until(if attached { "the board is up" } else { "the board is down" }, shown).await
}

pub async fn scenario() -> anyhow::Result<()> {
    board::build().await?;
    let _hub = start_hub().await?;
    let _lab = join("lab", "exporter").await?;
    let _laptop = join("laptop", "importer").await?;
    fs::create_dir_all(format!("{HOME}/places"))?;
    fs::write(format!("{HOME}/places/bench.toml"), EXPORT)?;
    board::has_driver("usb").await?;
    let exporter = Background::start(&mut nave("lab", &["board", "export", "places"]))?;
    exporter.says("bench is in the farm").await?;
    let agent = Background::start(&mut nave("laptop", &["board", "agent"]))?;
    agent.says("ready").await?;

    said("laptop", &["board", "attach", "demo"]).await?;
    let busid = is(true).await?;
    board::read_disk(&busid).await?;
    board::talk(&busid).await?;
    let streams: Value = serde_json::from_str(&said("nave", &["stream", "list", "--json"]).await?)?;
    let target = streams[0]["target"].as_str().context("no stream carries it")?;
    ensure!(target == "1-1.usb.nave.localhost:3240" && streams[0]["path"] == "relayed", "{streams}");
    tracing::info!("used as {busid}, by way of the hub");

    board::unplug()?;
    is(false).await?;
    plug_in(By::Nave).await?;
    ensure!(is(true).await? == busid, "it has another name");
    board::read_disk(&busid).await?;
    tracing::info!("plugged in again");

    said("laptop", &["board", "detach", "demo"]).await?;
    let device = PathBuf::from("/sys/bus/usb/devices").join(&busid);
    let gone = || async { (!Path::new(&device).exists()).then_some(()) };
    until("the board is detached", gone).await?;
    ensure!(said("laptop", &["board", "list", "--json"]).await?.trim() == "[]", "it is still reserved");
    end(agent, Signal::SIGTERM).await?;
    end(exporter, Signal::SIGTERM).await?;
    board::has_driver("usb").await
}
