//! `nave forward`: prints the local address on stdout and nothing else there.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use nave_core::node::Forward as Forwarding;
use nave_link::random::Random;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Context, node};
use crate::cli::Forward;
use crate::logging;

pub async fn run(context: &Context<'_>, args: Forward) -> anyhow::Result<()> {
    logging::start("warn");
    let local = local_address(args.local.as_deref())?;
    let printer = *context.printer;
    let folder = context.folder()?;
    let stop = CancellationToken::new();
    let happen = move |happening: nave_core::node::Happening| {
        // Standing by itself is what is expected; only trouble is worth a line.
        if !matches!(happening, nave_core::node::Happening::Connected { .. }) {
            node::talk(printer, &happening);
        }
    };
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let prepare = Forwarding::prepare(
        folder,
        args.target.clone(),
        args.peer_key,
        Random::system(),
        happen,
        stop.clone(),
    );
    let forward = tokio::select! {
        forward = prepare => Arc::new(forward?),
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let listener = TcpListener::bind(local).await.with_context(|| format!("cannot listen on {local}"))?;
    printer.data(listener.local_addr()?);
    printer.talk(format!("nave: {} is here until you press Ctrl-C", args.target));
    let failed = move |error: &nave_core::node::ForwardError| {
        printer.talk(format!("nave: a connection was not carried: {error}"));
    };
    let run = tokio::spawn(forward.run(listener, stop.clone(), failed));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    Ok(run.await?)
}

fn local_address(text: Option<&str>) -> anyhow::Result<SocketAddr> {
    let Some(text) = text else { return Ok(([127, 0, 0, 1], 0).into()) };
    if let Ok(port) = text.parse::<u16>() {
        return Ok(([127, 0, 0, 1], port).into());
    }
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => bail!("{text:?} is no local address: write PORT or ADDRESS:PORT"),
    }
}
