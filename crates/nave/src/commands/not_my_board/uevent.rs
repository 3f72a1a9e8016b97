//! `nave board uevent` and `nave not-my-board uevent`: what udev or mdev calls when a USB device appears.

use nave_boards::node::usb::{self, Heard, Sysfs};

use crate::logging;

pub async fn run(devpath: &str, level: &str) -> anyhow::Result<()> {
    logging::start(level);
    match usb::uevent(&Sysfs::system(), devpath).await? {
        Heard::Exporter => tracing::info!("the exporter knows of {devpath}"),
        Heard::DefaultDriver => tracing::info!("{devpath} is not exported and has its default driver"),
        Heard::Gone => tracing::info!("{devpath} is not there any more"),
    }
    Ok(())
}
