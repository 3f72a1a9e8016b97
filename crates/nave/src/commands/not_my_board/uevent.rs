//! `nave not-my-board uevent`: what udev or mdev calls when a USB device appears.

use nave_boards::node::usb::{self, Heard, Sysfs};

use crate::cli::not_my_board::Uevent;
use crate::logging;

pub async fn run(args: &Uevent) -> anyhow::Result<()> {
    logging::start(if args.verbose.verbose { "debug" } else { "warn" });
    let devpath = &args.devpath;
    match usb::uevent(&Sysfs::system(), devpath).await? {
        Heard::Exporter => tracing::info!("the exporter knows of {devpath}"),
        Heard::DefaultDriver => tracing::info!("{devpath} is not exported and has its default driver"),
        Heard::Gone => tracing::info!("{devpath} is not there any more"),
    }
    Ok(())
}
