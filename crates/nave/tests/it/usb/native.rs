//! The board between Nave's own exporter and agent, each behind a NAT of its own: USB/IP inside streams that are encrypted
//! from one to the other and pass the hub.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nave_testkit::net::{Host, Net};
use nave_testkit::wait::until;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::process::Command;

use super::board;
use super::pairs::{By, EXPORT, IMPORT, end, plug_in};
use crate::program::{Background, NAVE, run};

pub(super) fn nave(host: &Host, args: &[&str]) -> Command {
    let mut command = host.command(NAVE);
    command.args(args);
    command
}

pub(super) async fn said(host: &Host, args: &[&str]) -> anyhow::Result<String> {
    run(&mut nave(host, args)).await?.ok()
}

async fn join(net: &Net, host: &Host, name: &str, role: &str) -> anyhow::Result<Background> {
    let line = said(&net.server, &["invite", "--name", name, "--role", role]).await?;
    let pasted: Vec<&str> = line.split_whitespace().skip(1).collect();
    let node = Background::start(&mut nave(host, &pasted))?;
    node.says(&format!("connected as {name}")).await?;
    Ok(node)
}

/// Waits until the board is attached to the laptop or not, and gives where.
async fn is(net: &Net, attached: bool) -> anyhow::Result<String> {
    let shown = || async {
        let status = said(&net.laptop, &["board", "status", "--json"]).await.ok()?;
        let status: Value = serde_json::from_str(&status).ok()?;
        let interface = status.get(0).filter(|interface| interface["attached"] == attached)?;
        Some(interface["port"].as_str()?.to_owned())
    };
    until(if attached { "the board is up" } else { "the board is down" }, shown).await
}

/// Nave's halves, which have joined the hub and run.
pub(super) struct Halves {
    exporter: Background,
    agent: Background,
    _nodes: [Background; 2],
}

/// Starts both halves: the board hangs on the lab, and the laptop's user wants it.
pub(super) async fn start(net: &Net) -> anyhow::Result<Halves> {
    let nodes =
        [join(net, &net.lab, "lab", "exporter").await?, join(net, &net.laptop, "laptop", "importer").await?];
    fs::create_dir_all(net.lab.home().join("places"))?;
    fs::write(net.lab.home().join("places/bench.toml"), EXPORT)?;
    let wishes = net.laptop.home().join(".config/not-my-board");
    fs::create_dir_all(&wishes)?;
    fs::write(wishes.join("demo.toml"), IMPORT)?;
    board::has_driver("usb").await?;
    let exporter = Background::start(&mut nave(&net.lab, &["board", "export", "places"]))?;
    exporter.says("bench is in the farm").await?;
    let agent = Background::start(&mut nave(&net.laptop, &["board", "agent"]))?;
    agent.says("ready").await?;
    Ok(Halves { exporter, agent, _nodes: nodes })
}

/// What a person does with a board: it is reserved, attached, read, talked to, flashed, unplugged while it is read, plugged
/// in again, and returned.
pub(super) async fn use_board(net: &Net, halves: Halves) -> anyhow::Result<()> {
    said(&net.laptop, &["board", "reserve", "demo"]).await?;
    said(&net.laptop, &["board", "attach", "demo"]).await?;
    let busid = is(net, true).await?;
    board::read_disk(&busid).await?;
    board::talk(&busid).await?;
    board::flash(&busid).await?;
    let streams: Value = serde_json::from_str(&said(&net.server, &["stream", "list", "--json"]).await?)?;
    let target = streams[0]["target"].as_str().context("no stream carries it")?;
    ensure!(target == "1-1.usb.nave.localhost:3240" && streams[0]["path"] == "relayed", "{streams}");
    tracing::info!("used as {busid}, by way of the hub");

    let reading = board::read_until_it_fails(&busid).await?;
    board::unplug()?;
    is(net, false).await?;
    let failed = reading.await?;
    tracing::info!("unplugged in the middle of reading: {failed}");
    plug_in(By::Nave).await?;
    ensure!(is(net, true).await? == busid, "it has another name");
    board::read_flashed(&busid).await?;
    tracing::info!("plugged in again");

    said(&net.laptop, &["board", "detach", "demo"]).await?;
    let device = PathBuf::from("/sys/bus/usb/devices").join(&busid);
    let gone = || async { (!Path::new(&device).exists()).then_some(()) };
    until("the board is detached", gone).await?;
    let list = said(&net.laptop, &["board", "list", "--json"]).await?;
    ensure!(list.trim() == "[]", "it is still reserved: {list}");
    end(halves.agent, Signal::SIGTERM).await?;
    end(halves.exporter, Signal::SIGTERM).await?;
    board::has_driver("usb").await
}

pub async fn scenario() -> anyhow::Result<()> {
    board::build().await?;
    let net = Net::server_lab_laptop()?;
    let hub = Background::start(&mut nave(&net.server, &["hub"]))?;
    hub.says("the hub is ready").await?;
    let halves = start(&net).await?;
    use_board(&net, halves).await
}
