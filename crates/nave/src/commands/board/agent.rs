//! `nave board agent`, and what goes through it: attaching, detaching and looking at what is attached. Without an agent,
//! `nave board attach` is one itself for as long as it runs.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use nave_boards::node::agent::usb::KernelUsb;
use nave_boards::node::agent::{Agent, AgentClient, InterfaceStatus, unix};
use nave_boards::node::lookup::{Folders, Wish};
use nave_boards::node::native::NaveFarm;
use nave_boards::node::usb::Sysfs;
use nave_core::node::{Dialer, Happening};
use nave_link::random::Random;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::super::{Ended, node, not_my_board};
use super::{Context, ran};
use crate::cli::board::{Attach, Detach};
use crate::logging;

/// The agent's socket, beside the keys of the node or of the person that it acts for.
fn socket(context: &Context<'_>) -> anyhow::Result<PathBuf> {
    Ok(context.folder()?.path().join("agent.sock"))
}

/// The agent of this machine, if one runs.
async fn running(context: &Context<'_>) -> anyhow::Result<Option<AgentClient>> {
    let socket = socket(context)?;
    if !socket.exists() {
        return Ok(None);
    }
    // One that was killed leaves its socket behind.
    Ok(AgentClient::connect(&socket).await.ok())
}

async fn needed(context: &Context<'_>) -> anyhow::Result<AgentClient> {
    match running(context).await? {
        Some(agent) => Ok(agent),
        None => {
            bail!("no agent runs here: `nave board agent` starts one, and `nave board attach` works without")
        }
    }
}

/// An agent of the hub, in this process.
fn start(
    context: &Context<'_>,
    stop: &CancellationToken,
    terms: impl FnOnce(NaveFarm) -> NaveFarm,
) -> anyhow::Result<Agent> {
    let printer = *context.printer;
    let happen = move |happening: Happening| {
        // Standing by itself is what is expected; only trouble is worth a line.
        if !matches!(happening, Happening::Connected { .. }) {
            node::talk(printer, &happening);
        }
    };
    let dialer = Dialer::new(context.folder()?, Random::system(), happen, stop.clone())?;
    let farm = terms(NaveFarm::new(dialer));
    Ok(Agent::new(Arc::new(farm), Arc::new(KernelUsb::new(Sysfs::system()))))
}

/// Waits for what ends a program.
async fn told_to_stop() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

pub async fn run(context: &Context<'_>) -> anyhow::Result<()> {
    logging::start("warn");
    let stop = CancellationToken::new();
    let agent = start(context, &stop, |farm| farm)?;
    let listener = unix::bind(&socket(context)?, None)?;
    context.printer.data("ready");
    let serving = unix::serve(&agent, listener, stop.clone());
    let told = async {
        let told = told_to_stop().await;
        stop.cancel();
        told
    };
    let ((), told) = tokio::select! {
        both = futures::future::join(serving, told) => both,
        () = agent.follow() => ((), Ok(())),
    };
    agent.stop().await;
    // Whoever starts next makes it anew.
    let _ = std::fs::remove_file(socket(context)?);
    told
}

/// What is to be attached: what the reservation is called, what is wanted, and the only place that will do.
struct Wanted {
    name: String,
    text: String,
    place: Option<String>,
}

async fn wanted(context: &Context<'_>, args: &Attach) -> anyhow::Result<Wanted> {
    if let Some(place) = &args.place {
        let mut places = super::places(context).await?;
        places.retain(|known| known.name == *place && known.here);
        let known = places.first().with_context(|| {
            format!("there is no place named {place:?}: `nave board search` lists those that there are")
        })?;
        return Ok(Wanted {
            name: place.clone(),
            text: super::whole::description(known),
            place: Some(place.clone()),
        });
    }
    let wish = Wish::parse(args.name.as_deref().unwrap_or_default());
    let folders = Folders::of_process().context("cannot look for import descriptions")?;
    let found = folders.read(&wish.name)?;
    Ok(Wanted { name: found.name, text: found.text, place: wish.place })
}

pub async fn attach(context: &Context<'_>, args: Attach) -> anyhow::Result<()> {
    logging::start("warn");
    // What was reserved before was made ready before.
    let before = ran::Before::look(context).await;
    // A command has its own agent: what it attaches goes when it ends.
    if args.command.is_empty()
        && let Some(mut agent) = running(context).await?
    {
        if let Some(name) = &args.name {
            not_my_board::verbs::attach(&mut agent, name, args.keep_others).await?;
        } else {
            let found = wanted(context, &args).await?;
            if !agent.list().await?.iter().any(|known| known.place == found.name) {
                agent.reserve(&found.name, &found.text, found.place.as_deref()).await?;
            }
            agent.attach(&found.name).await?;
        }
        before.tell_new(context).await;
        return show(context, &agent.status().await?);
    }
    let found = wanted(context, &args).await?;
    let stop = CancellationToken::new();
    let agent = start(context, &stop, |farm| {
        let farm = farm.limited(args.period.as_ref().map(|period| period.0));
        match &args.timeout {
            Some(timeout) => farm.waiting(timeout.0),
            None => farm,
        }
    })?;
    let attaching = async {
        agent.reserve(&found.name, &found.text, found.place.as_deref()).await?;
        before.tell_new(context).await;
        let attached = agent.attach(&found.name).await;
        match &attached {
            Ok(()) => {}
            // It may have been waited for.
            Err(_) if before.had(&found.name) => {
                context.printer.talk(format!("nave: {} stays reserved for you", found.name));
            }
            // Whoever could not use it does not keep it.
            Err(_) => agent.give_back(&found.name, true).await?,
        }
        attached.map_err(anyhow::Error::new)
    };
    tokio::select! {
        attached = attaching => attached?,
        told = told_to_stop() => return told,
    }
    let told = if args.command.is_empty() {
        show(context, &agent.status())?;
        context.printer.talk("nave: attached until you press Ctrl-C; the place is returned then");
        tokio::select! {
            told = told_to_stop() => told,
            why = agent.follow_until_gone(&found.name) => Err(lost(&found.name, &why)),
        }
    } else {
        command(&args.command, &agent, &found.name).await
    };
    if agent.list().iter().any(|known| known.place == found.name) {
        agent.give_back(&found.name, true).await?;
    }
    agent.stop().await;
    stop.cancel();
    told
}

fn lost(name: &str, why: &str) -> anyhow::Error {
    anyhow!("{name} is detached: {why}")
}

/// Runs a command to its end, which is ours too; it is told to end when the place is lost or somebody says so.
async fn command(words: &[OsString], agent: &Agent, name: &str) -> anyhow::Result<()> {
    let place = agent.list().into_iter().find(|known| known.place == name).map(|known| known.place_name);
    let shown = words[0].to_string_lossy();
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .env("NAVE_PLACE", place.unwrap_or_default())
        .spawn()
        .with_context(|| format!("cannot start {shown}; the place is returned"))?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let end = || pid.map_or(Ok(()), |pid| kill(pid, Signal::SIGTERM));
    let ended = tokio::select! {
        ended = child.wait() => ended?,
        told = told_to_stop() => {
            told?;
            end()?;
            child.wait().await?
        }
        why = agent.follow_until_gone(name) => {
            end()?;
            child.wait().await?;
            return Err(lost(name, &why));
        }
    };
    if ended.success() {
        return Ok(());
    }
    // As shells tell it.
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    Err(Ended(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)).into())
}

pub async fn detach(context: &Context<'_>, args: Detach) -> anyhow::Result<()> {
    logging::start("warn");
    not_my_board::verbs::detach(&mut needed(context).await?, &args.names, args.keep).await
}

pub async fn status(context: &Context<'_>) -> anyhow::Result<()> {
    logging::start("warn");
    let status = needed(context).await?.status().await?;
    show(context, &status)
}

pub async fn edit(context: &Context<'_>, name: &str) -> anyhow::Result<()> {
    logging::start("warn");
    not_my_board::edit::run(&mut needed(context).await?, name).await
}

fn show(context: &Context<'_>, status: &[InterfaceStatus]) -> anyhow::Result<()> {
    let row = |interface: &InterfaceStatus| {
        let state = if interface.attached { "up" } else { "down" };
        vec![
            interface.place.clone(),
            interface.part.clone(),
            interface.interface.clone(),
            interface.kind.to_lowercase(),
            state.to_owned(),
            interface.port.clone(),
        ]
    };
    let columns = ["NAME", "PART", "INTERFACE", "KIND", "STATE", "PORT"];
    context.printer.rows(status, &columns, row, "nothing is attached: `nave board attach` changes that")
}
