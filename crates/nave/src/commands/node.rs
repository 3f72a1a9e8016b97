//! `nave join` and `nave node`: this machine as a node, and the hub's nodes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Method;
use nave_core::api;
use nave_core::node::{Happening, Invitation, JoinRequest, Joined, NodeFolder, NodeRuntime, Peers, RunError};
use nave_link::access_key::AccessKey;
use nave_link::random::Random;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::cli::{Join, Node};
use crate::client::segment;
use crate::printer::Printer;
use crate::{logging, paths};

pub async fn join(context: &Context<'_>, args: Join) -> anyhow::Result<()> {
    logging::start("warn");
    let invitation = match (&args.token, paths::access_key_text()) {
        (Some(token), _) => Invitation::Token(token.parse()?),
        (None, Some(key)) => Invitation::AccessKey(key.parse().context("HUB_ACCESS_KEY")?),
        (None, None) => bail!(
            "joining needs an invitation: --token with what `nave invite` printed on the hub, or the hub's access key in HUB_ACCESS_KEY (the environment, or .env in this folder)"
        ),
    };
    let request = JoinRequest {
        data: context.data.clone(),
        url: args.url,
        invitation,
        name: args.name.or_else(host_name),
        allow: args.allow,
        direct: args.direct,
        labels: labels(&args.labels)?,
    };
    let printer = *context.printer;
    let waiting = move |message: &str| printer.talk(format!("nave: {message}"));
    let joined = nave_core::node::join(request, &Random::system(), waiting).await?;
    printer.talk(format!("nave: joined {} as {}", joined.membership.url, joined.membership.name));
    if args.once { Ok(()) } else { stay(context, joined).await }
}

pub async fn run(context: &Context<'_>, command: Node) -> anyhow::Result<()> {
    let printer = context.printer;
    let node = |name: &str| format!("/nave/v1/nodes/{}", segment(name));
    match command {
        Node::Run { allow, direct } => {
            logging::start("warn");
            let folder = NodeFolder::find(&context.data, context.url.as_ref())?;
            let mut membership = folder.membership()?.context("the machine left its hub meanwhile")?;
            if !allow.is_empty() || direct.is_some() {
                if !allow.is_empty() {
                    membership.allow = allow;
                }
                membership.direct = direct.or(membership.direct);
                folder.save(&membership)?;
            }
            stay(context, Joined { folder, membership }).await
        }
        Node::Trust { name, key } => {
            let folder = NodeFolder::find(&context.data, context.url.as_ref())?;
            Peers::open(&folder)?.vouch(&name, key)?;
            printer.talk(format!("nave: {name} is known by that key from now on"));
            Ok(())
        }
        Node::Add { name, roles, grace, plain } => {
            let request = api::MintKey { roles, grace_seconds: grace.0.as_secs() };
            let mut key: api::KeyText =
                context.hub().await?.post(&format!("{}/key", node(&name)), &request).await?;
            if plain {
                let whole: AccessKey = key.key.parse()?;
                key.key = whole.plain().context("the hub made a key that has no plain form")?.to_string();
            }
            printer.talk(format!(
                "nave: this key is {name}'s alone and is shown only once; give it as HUB_ACCESS_KEY"
            ));
            if printer.is_json() {
                printer.value(&key)
            } else {
                printer.data(&key.key);
                Ok(())
            }
        }
        Node::List { all } => {
            let nodes: Vec<api::Node> =
                context.hub().await?.get(&format!("/nave/v1/nodes?all={all}")).await?;
            let columns = ["NAME", "STATE", "ROLES", "ADDRESS", "VERSION", "LAST SEEN"];
            printer.rows(&nodes, &columns, row, "no nodes yet: `nave invite --name NAME` brings one in")
        }
        Node::Show { name: Some(name) } => {
            let shown: api::Node = context.hub().await?.get(&node(&name)).await?;
            show(*printer, &shown)
        }
        Node::Show { name: None } => show_own(context),
        Node::Approve { name } => {
            context.hub().await?.act(Method::POST, &format!("{}/approve", node(&name)), &json!({})).await?;
            printer.talk(format!("nave: {name} is let in"));
            Ok(())
        }
        Node::Rename { name, new } => {
            change(context, &name, json!({ "name": new }), &format!("{name} is now {new}")).await
        }
        Node::Roles { name, roles } => change(context, &name, json!({ "roles": roles }), "done").await,
        Node::Label { name, labels: pairs } => {
            change(context, &name, json!({ "labels": labels(&pairs)? }), "done").await
        }
        Node::Grant { name, action, scope, remove } => {
            let request = api::GrantRequest { action, scope };
            let method = if remove { Method::DELETE } else { Method::POST };
            context.hub().await?.act(method, &format!("{}/grants", node(&name)), &request).await?;
            let verb = if remove { "may no longer" } else { "may now" };
            printer.talk(format!("nave: {name} {verb} {} {}", request.action, request.scope));
            Ok(())
        }
        Node::Release { name } => {
            context.hub().await?.act(Method::POST, &format!("{}/release", node(&name)), &json!({})).await?;
            printer.talk(format!(
                "nave: the next that comes as {name} under the shared access key has that name"
            ));
            Ok(())
        }
        Node::Revoke { name, yes } => {
            if !yes {
                confirm(*printer, &format!("End the membership of {name}, its connection and its streams?"))?;
            }
            context.hub().await?.act(Method::POST, &format!("{}/revoke", node(&name)), &json!({})).await?;
            printer.talk(format!("nave: {name} is revoked"));
            Ok(())
        }
    }
}

async fn change(
    context: &Context<'_>,
    name: &str,
    change: serde_json::Value,
    done: &str,
) -> anyhow::Result<()> {
    let path = format!("/nave/v1/nodes/{}", segment(name));
    context.hub().await?.act(Method::PATCH, &path, &change).await?;
    context.printer.talk(format!("nave: {done}"));
    Ok(())
}

/// Keeps the node connected until it is told to stop.
async fn stay(context: &Context<'_>, joined: Joined) -> anyhow::Result<()> {
    let printer = *context.printer;
    let stop = CancellationToken::new();
    let happen = move |happening| talk(printer, &happening);
    let runtime = NodeRuntime::new(joined.folder, joined.membership, &Random::system(), happen, stop.clone());
    let runtime = match runtime {
        Err(RunError::Running(_)) => {
            bail!(
                "this node runs on this machine already; to change what it allows, stop that one first (`nave node run --allow …`)"
            )
        }
        other => other?,
    };
    let running = Arc::clone(&runtime);
    let mut run = tokio::spawn(async move { running.run().await });
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let watchdog = sd_notify::watchdog_enabled();
    let mut beat = tokio::time::interval(watchdog.map_or(Duration::from_hours(1), |every| every / 2));
    loop {
        tokio::select! {
            outcome = &mut run => return Ok(outcome??),
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = beat.tick(), if watchdog.is_some() => {
                // Nobody listens where systemd did not start the node.
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            }
        }
    }
    stop.cancel();
    Ok(run.await??)
}

/// Tells a person what happens to the node.
pub fn talk(printer: Printer, happening: &Happening) {
    match happening {
        Happening::Connected { name } => {
            // Nobody listens where systemd did not start the node.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            printer.talk(format!("nave: connected as {name}"));
        }
        Happening::Pending { message } => printer.talk(format!("nave: {message}")),
        Happening::Lost { reason, retry_in } => {
            printer.talk(format!(
                "nave: not connected: {reason}; trying again in {:.1} s",
                retry_in.as_secs_f32()
            ));
        }
        Happening::Changed(node) => printer.talk(format!("nave: the hub now calls this node {}", node.name)),
    }
}

fn row(node: &api::Node) -> Vec<String> {
    let state = match (node.status, node.online) {
        (api::NodeStatus::Active, true) => "online",
        (api::NodeStatus::Active, false) => "offline",
        (api::NodeStatus::Pending, _) => "pending",
        (api::NodeStatus::Invited, _) => "invited",
        (api::NodeStatus::Revoked, _) => "revoked",
    };
    vec![
        node.name.clone(),
        state.to_owned(),
        node.roles.join(","),
        node.address.clone().unwrap_or_default(),
        node.version.clone(),
        if node.online { "now".to_owned() } else { node.last_seen_at.map(moment).unwrap_or_default() },
    ]
}

/// A time to the second, as people compare it.
pub fn moment(at: time::OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    at.format(format).unwrap_or_default()
}

fn show(printer: Printer, node: &api::Node) -> anyhow::Result<()> {
    if printer.is_json() {
        return printer.value(node);
    }
    let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let grants: Vec<String> =
        node.grants.iter().map(|grant| format!("{} {}", grant.action, grant.scope)).collect();
    for (name, value) in [
        ("name", node.name.clone()),
        ("state", row(node)[1].clone()),
        ("roles", node.roles.join(", ")),
        ("key", node.public_key.clone().unwrap_or_default()),
        ("bound to", node.shared_key_from.clone().unwrap_or_default()),
        ("version", node.version.clone()),
        ("comes from", node.address.clone().unwrap_or_default()),
        ("addresses", node.addresses.join(", ")),
        ("allows", node.allow.join(", ")),
        ("may", grants.join(", ")),
        ("labels", labels.join(", ")),
        ("joined", node.joined_at.map(moment).unwrap_or_default()),
        ("last seen", row(node)[5].clone()),
        ("id", node.id.clone()),
    ] {
        printer.data(format!("{name:<11} {value}").trim_end());
    }
    Ok(())
}

/// This machine's node, from its folder: what its operator compares with what others see.
fn show_own(context: &Context<'_>) -> anyhow::Result<()> {
    let folder = NodeFolder::find(&context.data, context.url.as_ref())?;
    let membership = folder.membership()?.context("the machine left its hub meanwhile")?;
    let key = folder.key(&Random::system())?.public();
    if context.printer.is_json() {
        return context.printer.value(&json!({
            "name": membership.name, "public_key": key, "hub": membership.url, "hub_keys": membership.hub_keys,
            "allow": membership.allow, "direct": membership.direct, "labels": membership.labels,
        }));
    }
    let allow: Vec<String> = membership.allow.iter().map(ToString::to_string).collect();
    for (name, value) in [
        ("name", membership.name.clone()),
        ("key", key.to_string()),
        ("hub", membership.url.to_string()),
        ("allows", allow.join(", ")),
        ("folder", folder.path().display().to_string()),
    ] {
        context.printer.data(format!("{name:<11} {value}").trim_end());
    }
    Ok(())
}

fn labels(pairs: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    pairs
        .iter()
        .map(|pair| {
            let (key, value) =
                pair.split_once('=').with_context(|| format!("{pair:?} is no label: write KEY=VALUE"))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Asks before something that cannot be undone.
pub fn confirm(printer: Printer, question: &str) -> anyhow::Result<()> {
    if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        bail!("this cannot be undone: say --yes if you mean it");
    }
    let mut out = std::io::stderr().lock();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    drop(out);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    printer.talk("nave: nothing was changed");
    Err(super::AlreadySaid.into())
}

/// This machine's name, as far as it can name a node.
pub fn host_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    let name = name.split('.').next().unwrap_or_default().to_owned();
    nave_link::address::is_name(&name).then_some(name)
}
