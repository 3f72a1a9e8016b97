//! `nave up`: a hub, a node and a small service on this machine, joined as three machines would be. What it does for agents
//! is in `agents`.

mod agents;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use nave_core::api;
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_core::hub::edge::Inherited;
use nave_core::hub::nodes;
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::running::{HubSetup, RunningHub};
use nave_core::id::RequestId;
use nave_core::node::{AllowRule, Forward, Invitation, JoinRequest, NodeRuntime};
use nave_link::address::{HubUrl, NodeTarget, Target};
use nave_link::random::Random;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{Context, hub};
use crate::cli::Up;
use crate::logging;

const NODE: &str = "local";

pub async fn run(context: &Context<'_>, args: Up) -> anyhow::Result<()> {
    logging::start("warn");
    let (clock, random) = (Clock::system(), Random::system());
    let config = HubConfig { listen: vec![args.listen], ..HubConfig::default() };
    // Before anything is started: a mistake in a file shall not need a second start.
    let wanted = args.agents.as_deref().map(agents::Wanted::read).transpose()?;
    let hub::Fleets { all: fleets, sections, agents: fleet } = hub::fleets(&config)?;
    let setup = HubSetup {
        folder: context.data.clone(),
        fleets,
        config,
        descriptors: Vec::new(),
        handed_over: Inherited::none(),
        credentials: None,
        pages: nave_web::routes(sections),
        clock: clock.clone(),
        random: random.clone(),
    };
    let running = setup.start().await?;
    let hub = Arc::clone(&running.hub);

    let service = TcpListener::bind("127.0.0.1:0").await.context("the small service")?;
    let target = Target::from(service.local_addr()?);
    let stop = CancellationToken::new();
    tokio::spawn(serve_page(service, stop.clone()));

    // The same way in as any machine's, with the token handed over in memory.
    let op = Op {
        actor: Actor::Operator { uid: nix::unistd::geteuid().as_raw() },
        source: None,
        request: RequestId::new(),
        clock,
    };
    let address = running.addresses.first().context("the hub does not listen")?;
    let reach = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    let url = HubUrl::new(reach, address.port());
    let known = nodes::list(&op, &hub, false).await?.into_iter().any(|node| node.name == NODE);
    let mut roles = vec!["exporter".to_owned(), "importer".to_owned()];
    if wanted.is_some() {
        roles.push("host".to_owned());
    }
    let request = api::InviteRequest {
        name: (!known).then(|| NODE.to_owned()),
        roles,
        ..api::InviteRequest::default()
    };
    let invitation = nodes::invite(&op, &hub, &request).await?;
    let join = JoinRequest {
        data: context.data.clone(),
        url: url.clone(),
        invitation: Invitation::Token(invitation.token.parse()?),
        name: Some(NODE.to_owned()),
        allow: vec![AllowRule::from(target.clone())],
        direct: None,
        labels: std::collections::BTreeMap::new(),
    };
    let joined = nave_core::node::join(join, &random, |_| {}).await?;
    let grant = api::GrantRequest { action: "open".to_owned(), scope: NODE.to_owned() };
    nave_core::hub::grants::grant(&op, &hub, NODE, &grant).await?;

    let runtime = NodeRuntime::new(joined.folder.clone(), joined.membership, &random, |_| {}, stop.clone())?;
    let node = tokio::spawn(async move { runtime.run().await });
    let target = NodeTarget { node: NODE.to_owned(), target };
    let forward = Forward::prepare(joined.folder.clone(), target, None, random, |_| {}, stop.clone()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let here = listener.local_addr()?;
    let failed =
        |error: &nave_core::node::ForwardError| tracing::warn!(%error, "a connection was not carried");
    tokio::spawn(Arc::new(forward).run(listener, stop.clone(), failed));

    let printer = context.printer;
    let runs_agents = match wanted {
        Some(wanted) => {
            for difference in hub::seed_agents(&running, &fleet, wanted.seed.clone()).await? {
                printer.talk(format!("nave: {}", hub::told(&difference)));
            }
            Some(wanted.run(context, joined.folder, &stop)?)
        }
        None => None,
    };
    tell(context, &running, &url, here, runs_agents.is_some()).await?;

    let agents_end = async {
        if let Some(agents) = runs_agents {
            agents.end(*printer).await;
        }
    };
    hub::until_told_to_stop(running, agents_end).await?;
    stop.cancel();
    node.await??;
    Ok(())
}

/// Says what runs now, and what to do with it.
async fn tell(
    context: &Context<'_>,
    running: &RunningHub,
    url: &HubUrl,
    page: SocketAddr,
    runs_agents: bool,
) -> anyhow::Result<()> {
    let (printer, hub) = (context.printer, &running.hub);
    printer.talk(format!(
        "\nA hub runs at {url} with one node, \"{NODE}\"; its data is in {}.",
        context.data.display()
    ));
    printer.talk(
        "A small page on that node comes to you through the hub, encrypted between the two ends. Open:\n",
    );
    printer.data(format!("http://{page}/"));
    if let Some(link) = nave_core::hub::people::links::setup(&hub.op("start"), hub).await? {
        printer
            .talk(format!("\nThe console, for the first administrator (good once):\n\n  {}", link.as_str()));
        printer.talk(format!(
            "\nThe browser warns of the hub's own certificate: its fingerprint is\n{}.",
            hub.access_keys.fingerprint()
        ));
    } else {
        printer.talk(format!("\nThe console:          {url}/"));
    }
    printer
        .talk("\nIn another terminal:  nave node list  ·  nave stream list  ·  nave audit  ·  nave status");
    printer.talk("Bring in a machine:   nave invite --name lab --role exporter");
    if runs_agents {
        printer.talk("Write to an agent:    nave agent mail send NAME --subject …  ·  nave agent mail list  ·  nave agent list");
    }
    printer.talk("Stop:                 Ctrl-C\n");
    Ok(())
}

/// The smallest service worth looking at.
async fn serve_page(listener: TcpListener, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        if let Ok((io, _)) = accepted {
            tokio::spawn(async move {
                // A visitor that went away needs no answer.
                let _ = tokio::time::timeout(std::time::Duration::from_secs(5), page(io)).await;
            });
        }
    }
}

async fn page(mut io: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < 16 << 10 {
        match io.read(&mut buffer).await? {
            0 => break,
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    let body = include_str!("up.html");
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    io.write_all(answer.as_bytes()).await?;
    io.shutdown().await
}
