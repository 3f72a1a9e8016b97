//! `nave agent host`: the agents of a hub, run on this machine until it is told to stop.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use nave_agents::node::config::{HostConfig, Program};
use nave_agents::node::keeper::{self, Keep};
use nave_agents::node::{Host, HostHappening, HostSetup};
use nave_core::clock::Clock;
use nave_core::node::{NodeFolder, attach};
use nave_link::random::Random;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::super::{BadConfiguration, Context, node};
use crate::cli::agent::{self, RunHost};
use crate::logging;
use crate::printer::Printer;

pub async fn run(context: &Context<'_>, args: RunHost) -> anyhow::Result<()> {
    logging::start("warn");
    let printer = *context.printer;
    let config = config(&args)?;
    let folder = NodeFolder::find(&context.data, context.url.as_ref())?;
    let stop = CancellationToken::new();
    let happen = move |happening| node::talk(printer, &happening);
    let attached = attach(folder, Random::system(), CancellationToken::new(), |_| {}, happen)?;
    let folder = args.folder.unwrap_or_else(|| context.data.join("agents"));
    let setup = setup(attached, config, folder, None)?;
    let host = Host::new(setup, move |happening| say(printer, &happening));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.cancel();
    });
    Ok(host.run(stop).await?)
}

/// A host of this program. `programs` is a folder in which agents' shells look for commands too.
pub fn setup(
    attached: nave_core::node::Attached,
    config: HostConfig,
    folder: PathBuf,
    programs: Option<&Path>,
) -> anyhow::Result<HostSetup> {
    let itself = std::env::current_exe().context("this program's own file cannot be found")?;
    let path = std::env::join_paths(programs.into_iter().chain(itself.parent()))
        .context("a folder with a colon in its name cannot be searched for programs")?;
    Ok(HostSetup {
        attached,
        config,
        folder,
        keeper: vec![itself.into(), "agent".into(), "keep".into()],
        path,
        version: format!("nave {}", env!("CARGO_PKG_VERSION")),
        clock: Clock::system(),
        random: Random::system(),
    })
}

fn config(args: &RunHost) -> anyhow::Result<HostConfig> {
    if let Some(file) = &args.config {
        let bad = |problem: String| BadConfiguration(format!("{}: {problem}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
        return Ok(HostConfig::read(&text).map_err(bad)?);
    }
    let program = Program::new(args.command.as_deref().unwrap_or_default());
    let mut config = HostConfig::default();
    if args.agents.is_empty() {
        config.any = Some(program);
    } else {
        config.agents = args.agents.iter().map(|name| (name.clone(), program.clone())).collect();
    }
    Ok(config)
}

/// Tells what a host does.
pub fn say(printer: Printer, happening: &HostHappening) {
    match happening {
        HostHappening::Connected(host) => printer.data(format!("{host} is ready to run agents")),
        HostHappening::Started(agent) => printer.data(format!("{agent} runs")),
        HostHappening::Ended { agent, how } => printer.data(format!("{agent} has ended: {how}")),
        HostHappening::Lost { problem, retry_in } => printer.talk(format!(
            "nave: the hub is away ({problem}); agents that run go on; trying again in {} s",
            retry_in.as_secs().max(1)
        )),
    }
}

/// What stands between a host and a command: before there is a runtime, since it waits for signals itself.
#[expect(clippy::needless_pass_by_value, reason = "it is the whole of a command, as others are")]
pub fn keep(args: agent::Keep) -> ExitCode {
    let failed = |error: std::io::Error, code: u8| {
        let words = format!("nave: {} cannot be run: {error}\n", args.command[0].display());
        // Nobody is left to tell if this fails.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
        ExitCode::from(code)
    };
    if args.inner {
        return failed(keeper::become_command(&args.command, args.memory), 127);
    }
    let itself = match std::env::current_exe() {
        Ok(itself) => itself,
        Err(error) => return failed(error, 126),
    };
    let mut inner: Vec<OsString> = vec![itself.into(), "agent".into(), "keep".into(), "--inner".into()];
    if let Some(memory) = args.memory {
        inner.extend(["--memory".into(), memory.to_string().into()]);
    }
    inner.push("--".into());
    let keep = Keep {
        inner,
        host: args.host.unwrap_or_default(),
        grace: Duration::from_secs(args.grace),
        command: args.command.clone(),
    };
    match keeper::keep(&keep) {
        Ok(status) => ExitCode::from(status),
        Err(error) => failed(error, 126),
    }
}
