//! `nave hub`: the hub alone, until it is told to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use nave_agents::api::NewVariable;
use nave_agents::hub::config::AgentsConfig;
use nave_agents::hub::roster::{self, Difference, Seed};
use nave_agents::hub::{Agents, settings};
use nave_boards::hub::Boards;
use nave_boards::hub::config::BoardsConfig;
use nave_core::clock::Clock;
use nave_core::hub::config::{ConfigError, HubConfig};
use nave_core::hub::edge::Inherited;
use nave_core::hub::fleet::Fleet;
use nave_core::hub::running::{HubSetup, RunningHub, StartError};
use nave_link::random::Random;
use nave_web::section::Section;
use tokio::signal::unix::{SignalKind, signal};

use super::{BadConfiguration, Context};
use crate::cli::HubArgs;
use crate::{logging, paths};

/// The hub's settings, unless it is told otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/nave/hub.toml";

pub async fn run(context: &Context<'_>, args: HubArgs, handed_over: Inherited) -> anyhow::Result<()> {
    logging::start("info");
    let mut config = configuration(args.config.as_deref())?;
    config.listen.extend(args.listen);
    if let (Some(cert), Some(key)) = (args.tls_cert, args.tls_key) {
        config.tls.cert = Some(cert);
        config.tls.key = Some(key);
    }
    if let (true, Some(port)) =
        (config.listen.is_empty() && config.listener.is_empty(), paths::setting("HUB_PORT"))
    {
        let port = port.parse().map_err(|_| BadConfiguration(format!("HUB_PORT: {port:?} is no port")))?;
        config.listen.push((std::net::Ipv6Addr::UNSPECIFIED, port).into());
    }
    // Before anything is started: a mistake in a file shall not need a second start.
    let seed = args.agents.as_deref().map(Seed::read).transpose();
    let seed = seed.map_err(|error| BadConfiguration(error.message()))?;
    config.database = args.database.or(config.database);
    config.url = args.url.or(config.url);
    let first = !context.data.join("hub.key").exists();
    let Fleets { all: fleets, sections, agents } = fleets(&config)?;
    let setup = HubSetup {
        folder: context.data.clone(),
        fleets,
        config,
        descriptors: args.fd,
        handed_over,
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        pages: nave_web::routes(sections),
        clock: Clock::system(),
        random: Random::system(),
    };
    let running = setup.start().await.map_err(|error| match error {
        StartError::Database(words) => anyhow::Error::new(BadConfiguration(words)),
        other => other.into(),
    })?;
    if let Some(seed) = seed {
        for difference in seed_agents(&running, &agents, seed).await? {
            tracing::info!("{}", told(&difference));
        }
    }
    greet(context, &running, first).await?;
    until_told_to_stop(running, std::future::ready(())).await
}

/// The fleets, and what they bring to the console.
pub struct Fleets {
    pub all: Vec<Arc<dyn Fleet>>,
    pub sections: Vec<Arc<dyn Section>>,
    /// The agent fleet, for what is done with it before anybody comes.
    pub agents: Agents,
}

/// What nodes and foreign clients are put to work in, and what that brings to the console.
pub fn fleets(config: &HubConfig) -> anyhow::Result<Fleets> {
    let bad = |error: ConfigError| BadConfiguration(error.to_string());
    let boards = BoardsConfig::read(&config.boards).map_err(bad)?;
    let boards = Arc::new(Boards::new(boards).map_err(bad)?);
    let agents = Agents::new(AgentsConfig::read(&config.agents).map_err(bad)?);
    let fleets: Vec<Arc<dyn Fleet>> = vec![Arc::<Boards>::clone(&boards), Arc::new(agents.clone())];
    Ok(Fleets { all: fleets, sections: vec![boards, Arc::new(agents.clone())], agents })
}

/// Makes agents where there are none, and takes over what stands in `.env`, as NAISYS's hub does at its first start. Where
/// there are some, returns how they differ.
pub async fn seed_agents(
    running: &RunningHub,
    agents: &Agents,
    seed: Seed,
) -> anyhow::Result<Vec<Difference>> {
    let (hub, op) = (&running.hub, running.hub.op("agents.seed"));
    let differences = roster::compare(&op, agents, &seed)?;
    let made = roster::seed(&op, hub, agents, seed).await?;
    if made == 0 {
        tracing::info!("there are agents already: none is made from --agents");
        return Ok(differences);
    }
    tracing::info!(made, "agents were made");
    if !settings::variables(&op, hub).await?.is_empty() {
        return Ok(Vec::new());
    }
    for (key, value) in paths::dot_env() {
        if settings::EXCLUDED.contains(&key.as_str()) {
            continue;
        }
        let new = NewVariable { value: Some(value), exported: Some(false) };
        match settings::set_variable(&op, hub, agents, &key, new).await {
            Ok(()) => tracing::info!(key, "a variable was taken over from .env"),
            Err(error) => tracing::warn!(key, %error, "a variable in .env was left out"),
        }
    }
    Ok(Vec::new())
}

/// A difference in words, with what to do about it.
pub fn told(difference: &Difference) -> String {
    let Difference { name, file, known } = difference;
    let file = file.display();
    if *known {
        format!(
            "{file} differs from what the hub knows of {name}. Files are only read for a hub without agents; `nave agent config {name} --set {file}` changes this one"
        )
    } else {
        format!(
            "the hub has no agent {name}. Files are only read for a hub without agents; `nave agent create {file}` makes this one"
        )
    }
}

/// The configuration file, if there is one.
pub fn configuration(file: Option<&Path>) -> anyhow::Result<HubConfig> {
    let path = file.unwrap_or(Path::new(DEFAULT_CONFIG));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(BadConfiguration(format!("{}: {error}", path.display())).into()),
    };
    HubConfig::parse(&text).map_err(|error| BadConfiguration(format!("{}: {error}", path.display())).into())
}

/// What a person at a terminal needs first; a log gets the key's prefix and where it lies.
async fn greet(context: &Context<'_>, running: &RunningHub, first: bool) -> anyhow::Result<()> {
    let hub = &running.hub;
    let url = hub.url.get().context("the hub does not listen")?;
    let addresses: Vec<String> = running.addresses.iter().map(ToString::to_string).collect();
    tracing::info!(
        %url,
        listening = addresses.join(", "),
        access_key_prefix = %hub.access_keys.prefix(),
        access_key_file = %hub.access_keys.path().display(),
        "the hub is ready"
    );
    if context.printer.is_terminal() {
        let key = nave_core::hub::identity::show(&hub.op("start"), hub, false).await?;
        context.printer.talk(format!("\n  address      {url}"));
        context.printer.talk(format!("  access key   {}", key.as_str()));
        context.printer.talk(format!("  fingerprint  {}", hub.access_keys.fingerprint()));
        context.printer.talk(format!("  data         {}\n", context.data.display()));
        let set_up = nave_core::hub::people::links::setup(&hub.op("start"), hub).await?;
        if let Some(link) = set_up {
            context.printer.talk(format!(
                "Set up the first administrator: open this link; it is good once, for a day. The browser warns of the hub's own\ncertificate: compare the fingerprint above with the one that it shows.\n\n  {}\n",
                link.as_str()
            ));
        }
        if first {
            context.printer.talk("Then invite a machine, and paste the line that this prints there:\n");
            context.printer.talk("  nave invite --name lab --role exporter\n");
        }
    } else if first {
        context.printer.talk(format!(
            "nave: the hub is ready at {url}; next: `nave invite --name lab --role exporter` prints the line that brings a machine in; `nave user setup` prints the link by which the first administrator comes in; `nave key show` prints the access key"
        ));
    }
    Ok(())
}

/// Serves until SIGINT or SIGTERM; SIGHUP reloads the certificates. `before` is what has to end before the hub does. A second
/// signal ends it at once.
pub async fn until_told_to_stop(running: RunningHub, before: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tell_systemd(&[sd_notify::NotifyState::Ready]);
    let watchdog = sd_notify::watchdog_enabled();
    let mut beat =
        tokio::time::interval(watchdog.map_or(std::time::Duration::from_hours(1), |every| every / 2));
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = beat.tick(), if watchdog.is_some() => {
                // Alive means more than running: the database answers too.
                if running.hub.store.read().await.is_ok() {
                    tell_systemd(&[sd_notify::NotifyState::Watchdog]);
                }
            }
            _ = hangup.recv() => {
                match running.reload() {
                    Ok(()) => tracing::info!("the certificates were read again"),
                    Err(error) => tracing::error!(%error, "the certificates were not read again; the earlier ones are served on"),
                }
            }
        }
    }
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("the hub is stopping");
    let stopping = async {
        before.await;
        running.stop().await;
    };
    tokio::select! {
        () = stopping => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Nobody listens where systemd did not start the hub.
fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
