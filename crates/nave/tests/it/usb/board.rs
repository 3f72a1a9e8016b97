//! The board of these tests: a USB gadget of the kernel's, with a serial port and a disk, that can be unplugged. It hangs
//! on port `1-1` of a bus that exists in memory only.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nave_testkit::wait::until;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const GADGET: &str = "/sys/kernel/config/usb_gadget/board";
const PLUG: &str = "/sys/kernel/config/usb_gadget/board/UDC";
pub const PORT: &str = "1-1";
pub const DEVPATH: &str = "/devices/platform/dummy_hcd.0/usb1/1-1";
const DISK_SIZE: usize = 1 << 20;
/// Odd numbers, by which the contents of a disk are made.
const FACTORY: u64 = 0x9e37_79b9_7f4a_7c15;
const FLASHED: u64 = 0xbf58_476d_1ce4_e5b9;

/// Builds it and plugs it in.
pub async fn build() -> anyhow::Result<()> {
    for module in
        ["dummy_hcd", "libcomposite", "usb_f_acm", "usb_f_mass_storage", "cdc_acm", "sd_mod", "usb-storage"]
    {
        let loaded = Command::new("modprobe").arg(module).status().await?;
        ensure!(loaded.success(), "modprobe {module}");
    }
    fs::write("/tmp/disk", disk(FACTORY))?;
    let gadget = Path::new(GADGET);
    for folder in ["strings/0x409", "configs/c.1", "functions/acm.0", "functions/mass_storage.0"] {
        fs::create_dir_all(gadget.join(folder)).with_context(|| format!("making {folder}"))?;
    }
    for (file, text) in [
        ("idVendor", "0x1d6b"),
        ("idProduct", "0x0104"),
        ("strings/0x409/manufacturer", "Nave"),
        ("strings/0x409/product", "Board"),
        ("strings/0x409/serialnumber", "1"),
        ("functions/mass_storage.0/lun.0/file", "/tmp/disk"),
    ] {
        fs::write(gadget.join(file), text).with_context(|| format!("writing {file}"))?;
    }
    for function in ["acm.0", "mass_storage.0"] {
        let link = gadget.join("configs/c.1").join(function);
        std::os::unix::fs::symlink(gadget.join("functions").join(function), link)?;
    }
    plug_in()
}

pub fn plug_in() -> anyhow::Result<()> {
    fs::write(PLUG, "dummy_udc.0").context("plugging the board in")
}

pub fn unplug() -> anyhow::Result<()> {
    fs::write(PLUG, "\n").context("unplugging the board")
}

/// The driver that has the board, when there is one.
pub fn driver() -> Option<String> {
    let driver = fs::read_link(format!("/sys/bus/usb/devices/{PORT}/driver")).ok()?;
    Some(driver.file_name()?.to_str()?.to_owned())
}

/// Waits until this driver has the board.
pub async fn has_driver(wanted: &str) -> anyhow::Result<()> {
    let has = || async { (driver().as_deref() == Some(wanted)).then_some(()) };
    until(&format!("the board's driver is {wanted}, and not {:?}", driver()), has).await
}

/// Reads all of its disk where it is attached, and compares with what was put on it when it was made.
pub async fn read_disk(busid: &str) -> anyhow::Result<()> {
    has_on_it(busid, &disk(FACTORY)).await
}

/// Reads all of its disk where it is attached, and compares with what [`flash`] wrote.
pub async fn read_flashed(busid: &str) -> anyhow::Result<()> {
    has_on_it(busid, &disk(FLASHED)).await
}

async fn has_on_it(busid: &str, wanted: &[u8]) -> anyhow::Result<()> {
    let node = disk_of(busid).await?;
    let read = || {
        let node = node.clone();
        async move { tokio::fs::read(&node).await.ok().filter(|bytes| !bytes.is_empty()) }
    };
    let bytes = until("the disk can be read", read).await?;
    ensure!(bytes == wanted, "{} bytes came from the disk, and not what is on it", bytes.len());
    Ok(())
}

async fn disk_of(busid: &str) -> anyhow::Result<PathBuf> {
    let disk_there = || async { node(busid, "block", "sd") };
    until(&format!("a disk of {busid} appears"), disk_there).await
}

/// Writes other bytes over all of its disk where it is attached; they are on the board when this returns.
pub async fn flash(busid: &str) -> anyhow::Result<()> {
    let node = disk_of(busid).await?;
    tokio::task::spawn_blocking(move || {
        let mut device = fs::OpenOptions::new().write(true).open(&node)?;
        device.write_all(&disk(FLASHED))?;
        device.sync_all()
    })
    .await??;
    ensure!(fs::read("/tmp/disk")? == disk(FLASHED), "what was written is not on the board");
    Ok(())
}

/// Reads its disk over and over where it is attached, past all caches, until that fails. Returns when the first bytes have
/// come.
pub async fn read_until_it_fails(busid: &str) -> anyhow::Result<JoinHandle<io::Error>> {
    let node = disk_of(busid).await?;
    let (begun, begins) = oneshot::channel();
    let reading = tokio::task::spawn_blocking(move || {
        let mut begun = Some(begun);
        loop {
            // Opened anew, with nothing in memory that was read before.
            let mut read = || -> io::Result<()> {
                fs::write("/proc/sys/vm/drop_caches", "1")?;
                let mut device = fs::File::open(&node)?;
                let mut piece = vec![0; 64 << 10];
                while device.read(&mut piece)? > 0 {
                    if let Some(begun) = begun.take() {
                        let _ = begun.send(());
                    }
                }
                Ok(())
            };
            if let Err(error) = read() {
                return error;
            }
        }
    });
    begins.await.context("nothing could be read")?;
    Ok(reading)
}

/// Sends a line each way through its serial port.
pub async fn talk(busid: &str) -> anyhow::Result<()> {
    let port_there = || async { node(busid, "tty", "ttyACM") };
    let port = until(&format!("a serial port of {busid} appears"), port_there).await?;
    let board = PathBuf::from("/dev/ttyGS0");
    for terminal in [&port, &board] {
        let set = Command::new("stty").arg("-F").arg(terminal).args(["raw", "-echo"]).output().await?;
        ensure!(set.status.success(), "stty {}: {set:?}", terminal.display());
    }
    tokio::task::spawn_blocking(move || {
        let open = |path: &Path| fs::OpenOptions::new().read(true).write(true).open(path);
        let (near, far) = (open(&port)?, open(&board)?);
        for (mut from, mut to, line) in [(&near, &far, "help\n"), (&far, &near, "there is none\n")] {
            from.write_all(line.as_bytes())?;
            let mut heard = vec![0; line.len()];
            to.read_exact(&mut heard)?;
            ensure!(heard == line.as_bytes(), "{line:?} became {:?}", String::from_utf8_lossy(&heard));
        }
        Ok(())
    })
    .await?
}

/// What is on the board's disk: no two sectors are the same.
fn disk(by: u64) -> Vec<u8> {
    (0..DISK_SIZE / 8).flat_map(|number| (number as u64).wrapping_mul(by).to_be_bytes()).collect()
}

/// The first file in `/dev` of a class and name of a USB device.
fn node(busid: &str, class: &str, name: &str) -> Option<PathBuf> {
    let links = fs::read_dir(format!("/sys/class/{class}")).ok()?.flatten();
    let found = links.into_iter().find(|link| {
        let is_named = link.file_name().to_string_lossy().starts_with(name);
        let target = fs::read_link(link.path()).unwrap_or_default();
        is_named && target.iter().any(|folder| folder == busid)
    })?;
    Some(Path::new("/dev").join(found.file_name()))
}
