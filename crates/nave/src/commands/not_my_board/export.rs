//! `nave not-my-board export`: puts a place into a farm until it is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nave_boards::node::dialect::export::{Export as Exporting, Patience};
use nave_boards::node::dialect::tokens::TokenSource;
use nave_boards::node::dialect::turns::Turns;
use nave_boards::node::export::ExportDescription;
use nave_boards::node::exporter::Exporter;
use nave_boards::node::usb::Sysfs;
use nave_core::clock::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::cli::not_my_board::Export;
use crate::logging;

pub async fn run(context: &Context<'_>, args: Export) -> anyhow::Result<()> {
    logging::start("info");
    let printer = *context.printer;
    let hub = super::hub(&args.hub.hub_url, &args.hub.cacert)?;
    let description = ExportDescription::read(&args.export_description)?;
    let clock = Clock::system();
    let tokens = TokenSource::new(hub.clone(), args.token_cmd, super::token_store(), clock.clone());
    let stop = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signal, stop) = (signal(kind)?, stop.clone());
        tokio::spawn(async move {
            if signal.recv().await.is_some() {
                stop.cancel();
            }
        });
    }
    let exporter = Arc::new(Exporter::open(&description, &Sysfs::system(), clock).await?);
    let said = AtomicBool::new(false);
    // Beside the nodes of this machine, not in one: this exporter is none.
    let folder = context.data.join("not-my-board").join("commands");
    let turns = Turns::new(Arc::clone(&exporter), &description, Clock::system(), folder);
    let export = Exporting::new(hub, description.to_json(), turns, tokens, Patience::default());
    let exported = export.run(stop, |_| {
        if !said.swap(true, Ordering::Relaxed) {
            printer.data("ready");
        }
    });
    let exported = exported.await;
    // Whatever happened, the devices go back to their drivers.
    let closed = exporter.close().await;
    exported?;
    Ok(closed?)
}
