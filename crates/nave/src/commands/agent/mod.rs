//! `nave agent …`: the agent fleet of a Nave hub, by its API.

mod export;
mod files;
pub mod host;
mod import;
mod logs;
mod mail;
mod mcp;
mod money;
mod settings;

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use http::Method;
use nave_agents::api::{
    Agent as AgentRow, AgentChange, AgentConfig, AgentDetail, Assignment, Host, HostChange, Nanodollars,
    NewAgent, Peek, Revision, Session, StartRequest, Started, StopRequest,
};
use serde_json::{Value, json};

use super::Context;
use super::node::moment;
use crate::cli::agent::{Agent, AgentHost, Config, HostCommand};
use crate::client::segment;

pub async fn run(context: &Context<'_>, command: Agent) -> anyhow::Result<()> {
    let printer = context.printer;
    match command {
        Agent::List { archived } => {
            let hub = context.hub().await?;
            let agents: Vec<AgentRow> = hub.get(&format!("/nave/v1/agents?archived={archived}")).await?;
            let columns = ["AGENT", "STATE", "HOSTS", "MODEL", "LEAD", "LEFT", "TITLE"];
            let empty = "no agents yet: `nave agent create FILE` makes one";
            printer.rows(&agents, &columns, agent_row, empty)
        }
        Agent::Show { agent } => show(context, &agent).await,
        Agent::Create { file, lead } => {
            let config = config_from(&file)?;
            let made: AgentDetail =
                context.hub().await?.post("/nave/v1/agents", &NewAgent { config, lead }).await?;
            tell(context, &made, "is made")
        }
        Agent::Start { agent, task } => {
            let started: Started =
                context.hub().await?.post(&format!("{}/start", path(&agent)), &StartRequest { task }).await?;
            if printer.is_json() {
                return printer.value(&started);
            }
            printer.talk(format!("nave: {agent} runs on {}", started.host));
            Ok(())
        }
        Agent::Stop { agent, reason } => {
            let hub = context.hub().await?;
            hub.act(Method::POST, &format!("{}/stop", path(&agent)), &StopRequest { reason }).await?;
            printer.talk(format!("nave: {agent} has ended"));
            Ok(())
        }
        Agent::Peek { agent, skip, take } => {
            let number = |name: &str, number: Option<i64>| {
                number.map(|number| format!("{name}={number}&")).unwrap_or_default()
            };
            let query = format!("{}/peek?{}{}", path(&agent), number("skip", skip), number("take", take));
            let peek: Peek = context.hub().await?.get(query.trim_end_matches(['?', '&'])).await?;
            if printer.is_json() {
                return printer.value(&peek);
            }
            peek.lines.iter().for_each(|line| printer.data(logs::plain(line)));
            Ok(())
        }
        Agent::Logs(args) => logs::run(context, args).await,
        Agent::Config(args) => config(context, args).await,
        Agent::Enable { agent } => {
            change(context, &agent, AgentChange { enabled: Some(true), ..AgentChange::default() }, "may run")
                .await
        }
        Agent::Disable { agent } => {
            let change_to = AgentChange { enabled: Some(false), ..AgentChange::default() };
            change(context, &agent, change_to, "runs no more").await
        }
        Agent::Assign { agent, hosts } => {
            let path = format!("{}/hosts", path(&agent));
            let assigned: AgentDetail =
                context.hub().await?.send_json(Method::PUT, &path, &Assignment { hosts }).await?;
            let hosts = match assigned.agent.assigned.join(", ") {
                none if none.is_empty() => "every host that is not restricted".to_owned(),
                hosts => hosts,
            };
            tell(context, &assigned, &format!("may run on {hosts}"))
        }
        Agent::Mail(command) => mail::run(context, command).await,
        Agent::Mcp(args) => mcp::run(context, args).await,
        Agent::Cost { hours, spans } => money::costs(context, hours, spans).await,
        Agent::Budget(args) => money::budget(context, args).await,
        Agent::Host(HostCommand { command: Some(command), .. }) => show_host(context, command).await,
        Agent::Host(HostCommand { command: None, run }) => host::run(context, run).await,
        Agent::Keep(_) => anyhow::bail!("this is not for people: `nave agent host` runs it"),
        Agent::Variable(command) => settings::variable(context, command).await,
        Agent::Model(command) => settings::model(context, command).await,
        Agent::Import { folder } => import::run(context, &folder).await,
        Agent::Export { folder } => export::run(context, &folder).await,
    }
}

fn path(agent: &str) -> String {
    format!("/nave/v1/agents/{}", segment(agent))
}

/// A file's text, or standard input's.
fn text_of(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn config_from(file: &Path) -> anyhow::Result<AgentConfig> {
    let value: Value = serde_saphyr::from_str(&text_of(file)?)
        .map_err(|error| anyhow::anyhow!("{} is not YAML: {error}", file.display()))?;
    AgentConfig::from_json(value).with_context(|| format!("{} is no agent", file.display()))
}

async fn change(context: &Context<'_>, agent: &str, change: AgentChange, done: &str) -> anyhow::Result<()> {
    let changed: AgentDetail = context.hub().await?.send_json(Method::PATCH, &path(agent), &change).await?;
    tell(context, &changed, done)
}

fn tell(context: &Context<'_>, agent: &AgentDetail, what: &str) -> anyhow::Result<()> {
    if context.printer.is_json() {
        return context.printer.value(agent);
    }
    context.printer.talk(format!("nave: {} {what}", agent.agent.name));
    Ok(())
}

fn agent_row(agent: &AgentRow) -> Vec<String> {
    let state = match (&agent.suspended, &agent.problem) {
        (Some(reason), _) => format!("{}: {reason}", agent.state.word()),
        (None, Some(problem)) => format!("{}: {problem}", agent.state.word()),
        (None, None) => agent.state.word().to_owned(),
    };
    vec![
        agent.name.clone(),
        state,
        agent.hosts.join(", "),
        agent.model.clone(),
        agent.lead.clone().unwrap_or_default(),
        agent.budget_left.map(|left| Nanodollars(left).to_string()).unwrap_or_default(),
        agent.title.clone(),
    ]
}

async fn show(context: &Context<'_>, agent: &str) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    let detail: AgentDetail = hub.get(&path(agent)).await?;
    let sessions: Vec<Session> = hub.get(&format!("{}/sessions?limit=10", path(agent))).await?;
    let printer = context.printer;
    if printer.is_json() {
        return printer.value(&json!({ "agent": detail, "sessions": sessions }));
    }
    let row = &detail.agent;
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    for (name, value) in [
        ("agent", row.name.clone()),
        ("title", row.title.clone()),
        ("state", row.state.word().to_owned()),
        ("suspended", row.suspended.clone().unwrap_or_default()),
        ("problem", row.problem.clone().unwrap_or_default()),
        ("runs on", row.hosts.join(", ")),
        (
            "may run on",
            match row.assigned.join(", ") {
                none if none.is_empty() => "every host that is not restricted".to_owned(),
                hosts => hosts,
            },
        ),
        ("works for", row.lead.clone().unwrap_or_default()),
        ("model", row.model.clone()),
        ("may still spend", row.budget_left.map(|left| Nanodollars(left).to_string()).unwrap_or_default()),
        ("configuration", format!("revision {}: `nave agent config {}` shows it", detail.revision, row.name)),
        ("last heard of", row.last_active_at.map(moment).unwrap_or_default()),
    ] {
        printer.data(format!("{name:<16}{}", or_none(value)));
    }
    if sessions.is_empty() {
        return Ok(());
    }
    printer.data("");
    let cells = |session: &Session| {
        vec![
            session.key.run.to_string(),
            session.key.session.to_string(),
            moment(session.created_at),
            session.host.clone().unwrap_or_default(),
            session.model.clone(),
            session.lines.to_string(),
            Nanodollars(session.cost).to_string(),
        ]
    };
    printer.rows(&sessions, &["RUN", "SESSION", "SINCE", "HOST", "MODEL", "LINES", "COST"], cells, "")
}

async fn config(context: &Context<'_>, args: Config) -> anyhow::Result<()> {
    let (hub, printer) = (context.hub().await?, context.printer);
    if let Some(file) = args.set {
        let before: AgentDetail = hub.get(&path(&args.agent)).await?;
        let changed = AgentChange {
            config: Some(config_from(&file)?),
            from_revision: Some(before.revision),
            ..AgentChange::default()
        };
        let after: AgentDetail = hub.send_json(Method::PATCH, &path(&args.agent), &changed).await?;
        return tell(context, &after, &format!("is at revision {} now", after.revision));
    }
    let revisions = || format!("{}/revisions", path(&args.agent));
    if args.revisions {
        let revisions: Vec<Revision> = hub.get(&revisions()).await?;
        let cells = |revision: &Revision| {
            vec![revision.number.to_string(), moment(revision.changed_at), revision.changed_by.clone()]
        };
        return printer.rows(&revisions, &["REVISION", "AT", "BY"], cells, "it has never been changed");
    }
    let config = match args.revision {
        None => hub.get::<AgentDetail>(&path(&args.agent)).await?.config,
        Some(number) => {
            let revisions: Vec<Revision> = hub.get(&revisions()).await?;
            let found = revisions.into_iter().find(|revision| revision.number == number);
            let missing = || format!("{} has no revision {number}: `--revisions` lists them", args.agent);
            found.with_context(missing)?.config
        }
    };
    if printer.is_json() {
        return printer.value(&config);
    }
    printer.data(serde_saphyr::to_string(&config)?.trim_end());
    Ok(())
}

async fn show_host(context: &Context<'_>, command: AgentHost) -> anyhow::Result<()> {
    let (hub, printer) = (context.hub().await?, context.printer);
    let (host, change) = match command {
        AgentHost::List => {
            let hosts: Vec<Host> = hub.get("/nave/v1/agent-hosts").await?;
            let columns = [
                "HOST",
                "STATE",
                "KIND",
                "RUNNING",
                "CAPACITY",
                "KEY",
                "ASSIGNED",
                "ADDRESS",
                "LAST HEARD OF",
            ];
            let empty = "no hosts yet: docs/agents.md says how one comes in";
            return printer.rows(&hosts, &columns, host_row, empty);
        }
        AgentHost::Restrict { host, off } => (host, HostChange { restricted: Some(!off), capacity: None }),
        AgentHost::Capacity { host, agents } => {
            (host, HostChange { restricted: None, capacity: Some(agents) })
        }
    };
    let path = format!("/nave/v1/agent-hosts/{}", segment(&host));
    let changed: Host = hub.send_json(Method::PATCH, &path, &change).await?;
    if printer.is_json() {
        return printer.value(&changed);
    }
    let who = if changed.restricted { "agents that are assigned to it" } else { "all agents" };
    let many =
        changed.capacity.map_or("as many as come".to_owned(), |capacity| format!("{capacity} at once"));
    printer.talk(format!("nave: {} runs {who}, {many}", changed.name));
    Ok(())
}

fn host_row(host: &Host) -> Vec<String> {
    let state = match (host.online, host.restricted) {
        (true, false) => "online",
        (true, true) => "online, restricted",
        (false, false) => "away",
        (false, true) => "away, restricted",
    };
    vec![
        host.name.clone(),
        state.to_owned(),
        host.version.clone().unwrap_or_else(|| host.kind.word().to_owned()),
        host.active.join(", "),
        host.capacity.map(|capacity| capacity.to_string()).unwrap_or_default(),
        if host.shared_key { "shared" } else { "own" }.to_owned(),
        host.assigned.join(", "),
        host.address.clone().unwrap_or_default(),
        host.last_active_at.map(moment).unwrap_or_default(),
    ]
}
