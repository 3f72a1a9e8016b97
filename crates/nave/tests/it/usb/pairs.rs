//! The board between exporters and agents, Nave's own and not-my-board's from the Python registry, at Nave's hub: what
//! their users do and see.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nave_testkit::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use super::board::{self, DEVPATH};
use crate::program::{Background, NAVE, Output, run};

const CONFIG: &str = r#"
    [boards.not_my_board]
    enabled = true
    open_to = ["127.0.0.0/8", "::1"]
"#;
pub(super) const EXPORT: &str =
    "port = 2192\n[[parts]]\ncompatible = [\"demo\"]\nusb.flash = { usbid = \"1-1\" }\n";
pub(super) const IMPORT: &str = "[parts.dut]\ncompatible = [\"demo\"]\nusb.flash = { port_num = 2 }\n";
const URL: &str = "https://localhost:3101";
/// Everything here is the virtual machine's own.
const HOME: &str = "/tmp/usb";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Python,
    Nave,
}

/// not-my-board's command line, or ours. Everything is one machine's: its `/run` and its root.
fn program(by: By, args: &[&str]) -> anyhow::Result<Command> {
    fs::create_dir_all(HOME)?;
    let mut command = match by {
        By::Python => {
            let python = nave_testkit::need::python("not_my_board").context("no not-my-board here")?;
            Command::new(python.with_file_name("not-my-board"))
        }
        By::Nave => {
            let mut command = Command::new(NAVE);
            command.arg("not-my-board");
            command
        }
    };
    command.args(args).env("PYTHONUNBUFFERED", "1").env("HOME", HOME).current_dir(HOME).kill_on_drop(true);
    Ok(command)
}

fn cacert() -> String {
    format!("{HOME}/nave/cert/hub-cert.pem")
}

async fn start(by: By, role: &str, more: &[&str]) -> anyhow::Result<Background> {
    let cacert = cacert();
    let arguments = [&[role, "--cacert", &cacert, URL][..], more].concat();
    let started = Background::start(&mut program(by, &arguments)?)?;
    started.says("ready").await?;
    Ok(started)
}

async fn start_hub() -> anyhow::Result<Background> {
    fs::create_dir_all(Path::new(HOME).join(".config/not-my-board"))?;
    for (file, text) in
        [("hub.toml", CONFIG), ("bench.toml", EXPORT), (".config/not-my-board/demo.toml", IMPORT)]
    {
        fs::write(Path::new(HOME).join(file), text)?;
    }
    let mut hub = Command::new(NAVE);
    hub.args(["hub", "--config", "hub.toml", "--listen", "[::]:3101", "--url", URL]);
    let hub = Background::start(hub.env("NAVE_DIR", format!("{HOME}/nave")).current_dir(HOME))?;
    hub.says("the hub is ready").await?;
    Ok(hub)
}

async fn board(by: By, args: &[&str]) -> anyhow::Result<Output> {
    run(&mut program(by, args)?).await
}

/// The rows of a table, without its colours.
async fn rows(by: By, args: &[&str]) -> anyhow::Result<Vec<String>> {
    let printed = board(by, args).await?.ok()?;
    let parts = printed.split('\u{1b}').enumerate();
    let plain: String = parts
        .map(|(at, part)| if at == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) })
        .collect();
    Ok(plain.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

/// Waits until the board is up or down for its agent's user, and gives what it is called.
async fn is(agent: By, status: &str) -> anyhow::Result<String> {
    let begins = format!("demo dut USB flash {status} ");
    let shown = || async {
        let rows = rows(agent, &["status", "-n"]).await.ok()?;
        Some(rows.iter().find_map(|row| row.strip_prefix(&begins))?.to_owned())
    };
    until(&format!("the board is {status}"), shown).await
}

pub(super) async fn end(mut program: Background, how: Signal) -> anyhow::Result<()> {
    let pid = program.child.id().context("it ended by itself")?;
    kill(Pid::from_raw(i32::try_from(pid)?), how)?;
    program.child.wait().await?;
    Ok(())
}

/// The hook of udev: whoever's it is.
pub(super) async fn plug_in(hook: By) -> anyhow::Result<()> {
    board::plug_in()?;
    let there = || async { PathBuf::from("/sys/bus/usb/devices/1-1").exists().then_some(()) };
    until("the kernel sees the board", there).await?;
    board(hook, &["uevent", DEVPATH]).await?.ok()?;
    Ok(())
}

/// Both of Nave's own, living and killed.
pub async fn of_nave() -> anyhow::Result<()> {
    board::build().await?;
    let hub = start_hub().await?;
    pair(By::Nave, By::Nave).await?;
    killed().await?;
    drop(hub);
    Ok(())
}

/// One of them is not-my-board's.
pub async fn with_python() -> anyhow::Result<()> {
    board::build().await?;
    let hub = start_hub().await?;
    for (exporter, agent) in [(By::Nave, By::Python), (By::Python, By::Nave)] {
        tracing::info!("--- exporter {exporter:?}, agent {agent:?}");
        pair(exporter, agent).await.with_context(|| format!("exporter {exporter:?}, agent {agent:?}"))?;
    }
    drop(hub);
    Ok(())
}

/// What a person does with a board.
async fn pair(by: By, agent: By) -> anyhow::Result<()> {
    board::has_driver("usb").await?;
    let exporter = start(by, "export", &["bench.toml"]).await?;
    let running = start(agent, "agent", &[]).await?;
    let listed = || async { (rows(agent, &["search", "demo"]).await.ok()? == ["@bench"]).then_some(()) };
    until("the place is listed", listed).await?;
    board(agent, &["reserve", "demo"]).await?.ok()?;
    board(agent, &["attach", "demo"]).await?.ok()?;
    let busid = is(agent, "Up").await?;
    board::read_disk(&busid).await?;
    board::talk(&busid).await?;
    tracing::info!("used as {busid}");

    board::unplug()?;
    let busids = is(agent, "Down").await?;
    ensure!(busids.split('/').any(|one| one == busid), "{busids} without {busid}");
    plug_in(by).await?;
    ensure!(is(agent, "Up").await? == busid, "it has another name");
    board::read_disk(&busid).await?;
    tracing::info!("plugged in again");

    board(agent, &["detach", "demo"]).await?.ok()?;
    let gone = || async { (!Path::new("/sys/bus/usb/devices").join(&busid).exists()).then_some(()) };
    until("the board is detached", gone).await?;
    ensure!(rows(agent, &["list", "-n"]).await?.is_empty(), "it is still reserved");
    end(exporter, Signal::SIGTERM).await?;
    board::has_driver("usb").await?;
    end(running, Signal::SIGTERM).await
}

/// Both of Nave's programs are killed while the board is in use, and find their way back.
async fn killed() -> anyhow::Result<()> {
    let by = By::Nave;
    let exporter = start(by, "export", &["bench.toml"]).await?;
    let agent = start(by, "agent", &[]).await?;
    board(by, &["attach", "demo"]).await?.ok()?;
    let busid = is(by, "Up").await?;

    tracing::info!("the exporter is killed");
    end(exporter, Signal::SIGKILL).await?;
    let exporter = start(by, "export", &["bench.toml"]).await?;
    // Its next life gives the board back first, and then to its holder.
    is(by, "Up").await?;
    board::read_disk(&busid).await?;

    tracing::info!("the agent is killed");
    end(agent, Signal::SIGKILL).await?;
    let agent = start(by, "agent", &[]).await?;
    board(by, &["attach", "demo"]).await?.ok()?;
    let busid = is(by, "Up").await?;
    board::read_disk(&busid).await?;
    end(agent, Signal::SIGTERM).await?;
    end(exporter, Signal::SIGTERM).await?;
    board::has_driver("usb").await
}
