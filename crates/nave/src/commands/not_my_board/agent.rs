//! `nave not-my-board agent`: an agent in the place of not-my-board's, until it is told to stop.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use nave_boards::node::agent::Agent;
use nave_boards::node::agent::unix::{self, GROUP, SOCKET};
use nave_boards::node::agent::usb::KernelUsb;
use nave_boards::node::dialect::farm::{GRACE, NotMyBoard};
use nave_boards::node::dialect::tokens::TokenSource;
use nave_boards::node::usb::Sysfs;
use nave_core::clock::Clock;
use nave_core::hub::edge::Inherited;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::not_my_board::Agent as Args;
use crate::commands::Context;
use crate::logging;

pub async fn run(context: &Context<'_>, args: Args, mut handed_over: Inherited) -> anyhow::Result<()> {
    logging::start("info");
    let hub = super::hub(&args.hub.hub_url, &args.hub.cacert)?;
    let tokens = TokenSource::new(hub.clone(), args.token_cmd, super::token_store(), Clock::system());
    let farm = NotMyBoard::connect(hub, tokens, GRACE).await?;
    let agent = Agent::new(Arc::new(farm), Arc::new(KernelUsb::new(Sysfs::system())));
    let listener = match args.fd {
        None => unix::bind(Path::new(SOCKET), Some(GROUP))?,
        Some(descriptor) => {
            let socket = handed_over.take_unix(descriptor).map_err(anyhow::Error::msg);
            UnixListener::from_std(socket.with_context(|| format!("--fd {descriptor}"))?)?
        }
    };
    if args.fd.is_none() {
        context.printer.data("ready");
    }
    let stop = CancellationToken::new();
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let serving = unix::serve(&agent, listener, stop.clone());
    let told = async {
        let any = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(any).await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serving => {}
        () = told => {}
        () = agent.follow() => {}
    }
    agent.stop().await;
    Ok(())
}
