//! A place, its exporter and an agent that has it attached: Python's, and Nave's by both ways that its streams take. All
//! of them offer the same two services.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use nave_testkit::not_my_board;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::hubs::Farm;
use crate::farm::{self, Hub};
use crate::process;

/// A process of a farm.
pub struct Member {
    pub child: Child,
    _out: tokio::process::ChildStdout,
}

impl Member {
    /// Starts it, and waits until it prints a line with this text.
    async fn start(command: &mut Command, ready: &str) -> anyhow::Result<Self> {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawned.kill_on_drop(true).spawn().with_context(|| format!("{command:?}"))?;
        let mut out = BufReader::new(child.stdout.take().context("stdout")?);
        let mut line = String::new();
        while !line.contains(ready) {
            line.clear();
            let read = tokio::time::timeout(nave_testkit::wait::PATIENCE, out.read_line(&mut line)).await;
            if read.with_context(|| format!("{command:?} is not ready"))?? == 0 {
                bail!("{command:?} has ended");
            }
        }
        Ok(Self { child, _out: out.into_inner() })
    }

    /// Its memory, in kB.
    pub fn memory(&self) -> anyhow::Result<u64> {
        process::memory(self.child.id().context("it has ended")?)
    }

    /// Of that, what belongs to no file, in kB.
    pub fn own_memory(&self) -> anyhow::Result<u64> {
        process::own_memory(self.child.id().context("it has ended")?)
    }
}

/// Where a place's services are on the agent's side.
#[derive(Clone, Copy)]
pub struct Attached {
    pub echo: SocketAddr,
    pub sink: SocketAddr,
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A folder with descriptions of a place and of what is wanted from it.
fn describe(home: &Path, name: &str, services: Attached) -> anyhow::Result<Attached> {
    let near = Attached { echo: free()?, sink: free()? };
    let (places, wishes) = (home.join("places"), home.join(".not-my-board"));
    std::fs::create_dir_all(&places)?;
    std::fs::create_dir_all(&wishes)?;
    let tcp = |name: &str, at: SocketAddr| {
        format!("tcp.{name} = {{ host = \"{}\", port = {} }}\n", at.ip(), at.port())
    };
    let place = format!(
        "port = {}\n[[parts]]\ncompatible = [\"{name}\"]\n{}{}",
        free()?.port(),
        tcp("echo", services.echo),
        tcp("sink", services.sink)
    );
    std::fs::write(places.join(format!("{name}.toml")), place)?;
    let wish = format!(
        "[parts.board]\ncompatible = [\"{name}\"]\ntcp.echo = {{ local_port = {} }}\ntcp.sink = {{ local_port = {} }}\n",
        near.echo.port(),
        near.sink.port()
    );
    std::fs::write(wishes.join(format!("{name}.toml")), wish)?;
    Ok(near)
}

/// Python's hub, exporter and agent.
pub struct PythonSite {
    _hub: Farm,
    home: TempDir,
    pub exporter: Member,
    pub agent: Member,
    pub attached: Attached,
}

impl PythonSite {
    pub async fn start(services: Attached) -> anyhow::Result<Self> {
        let hub = Farm::python(false).await?;
        let url = format!("http://{}", hub.door().address);
        let home = tempfile::Builder::new().prefix("nave-bench-").tempdir()?;
        let attached = describe(home.path(), "bench", services)?;
        let program = not_my_board::program("not-my-board")?;
        let place = home.path().join("places/bench.toml");
        let exporter =
            Member::start(Command::new(&program).args(["export", &url]).arg(place), "ready").await?;
        let agent = Member::start(own_run(home.path())?.arg(&program).args(["agent", &url]), "ready").await?;
        let site = Self { _hub: hub, home, exporter, agent, attached };
        done(site.through(&program)?.args(["attach", "bench"])).await?;
        Ok(site)
    }

    /// A program that finds the agent and the descriptions.
    pub fn through(&self, program: &Path) -> anyhow::Result<Command> {
        let mut command = own_run(self.home.path())?;
        command.arg(program).current_dir(self.home.path());
        Ok(command)
    }
}

/// Whatever is added runs with a `/run` of its own.
fn own_run(home: &Path) -> anyhow::Result<Command> {
    not_my_board::in_own_run(home, |program| Command::new(program))
}

/// Runs something to its end.
async fn done(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Nave's hub, two exporters, one of which may be reached directly, and an agent.
pub struct NaveSite {
    _hub: Hub,
    home: TempDir,
    pub exporters: [Member; 2],
    pub agent: Member,
    pub direct: Attached,
    pub relayed: Attached,
}

impl NaveSite {
    pub async fn start(services: Attached) -> anyhow::Result<Self> {
        let hub = Hub::start(&[]).await?;
        let home = tempfile::Builder::new().prefix("nave-bench-").tempdir()?;
        let direct = describe(home.path(), "direct", services)?;
        let relayed = describe(home.path(), "relayed", services)?;
        let listening: &[&str] = &["--direct", "127.0.0.1:0"];
        for (name, role, how) in
            [("direct", "exporter", listening), ("relayed", "exporter", &[]), ("laptop", "importer", &[])]
        {
            let token = hub.invite(&["--name", name, "--role", role]).await?.reveal().to_string();
            let url = hub.url().to_string();
            let join = [&["join", &url, "--token", &token, "--once"], how].concat();
            farm::run(&home.path().join(name), &join).await?;
        }
        let export = |name: &'static str| {
            let place = home.path().join(format!("places/{name}.toml"));
            let mut command = nave(home.path(), name);
            command.args(["board", "export"]).arg(place);
            command
        };
        let exporters = [
            Member::start(&mut export("direct"), "is in the farm").await?,
            Member::start(&mut export("relayed"), "is in the farm").await?,
        ];
        let agent = Member::start(nave(home.path(), "laptop").args(["board", "agent"]), "ready").await?;
        let site = Self { _hub: hub, home, exporters, agent, direct, relayed };
        for name in ["direct", "relayed"] {
            let mut attach = site.through(&farm::nave());
            done(attach.args(["board", "attach", "--keep-others", name])).await?;
        }
        Ok(site)
    }

    /// A program that finds the agent and the descriptions.
    pub fn through(&self, program: &Path) -> Command {
        of_node(program, self.home.path(), "laptop")
    }
}

fn nave(home: &Path, node: &str) -> Command {
    of_node(&farm::nave(), home, node)
}

fn of_node(program: &Path, home: &Path, node: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home).env("HOME", home).env("NAVE_DIR", home.join(node)).env("NAVE_LOG", "error");
    command
}
