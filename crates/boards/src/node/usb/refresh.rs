//! News about a port: a named pipe for each exported one, into which the hook of udev or mdev writes when something is
//! plugged in. The pipe's name and use are not-my-board's, so that either's hook serves either's exporter.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use super::busid::BusId;
use super::error::UsbError;
use super::sysfs::{self, Sysfs};

/// The reading end of a port's pipe; dropping it removes the pipe.
#[derive(Debug)]
pub(super) struct RefreshPipe {
    path: PathBuf,
    receiver: pipe::Receiver,
}

impl RefreshPipe {
    /// Makes the pipe, in the place of one that a killed exporter left.
    pub(super) fn make(sysfs: &Sysfs, busid: &BusId) -> Result<Self, UsbError> {
        let path = sysfs.refresh_pipe(busid.as_str());
        let made = Self::make_at(&path);
        let receiver = made.map_err(|why| match why.kind() {
            io::ErrorKind::PermissionDenied => UsbError::NotRoot { path: path.clone() },
            _ => UsbError::system(format!("making the pipe {}", path.display()))(why),
        })?;
        Ok(Self { path, receiver })
    }

    fn make_at(path: &Path) -> io::Result<pipe::Receiver> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        match std::fs::remove_file(&draft) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        mkfifo(&draft, Mode::S_IRUSR | Mode::S_IWUSR)?;
        // Also open for writing, so that it does not end when the first writer does.
        let receiver = pipe::OpenOptions::new().read_write(true).open_receiver(&draft)?;
        std::fs::rename(&draft, path)?;
        Ok(receiver)
    }

    /// Whether no other exporter has put its pipe in this one's place.
    fn is_still_there(&self) -> bool {
        let ours = nix::sys::stat::fstat(&self.receiver);
        let there = nix::sys::stat::stat(&self.path);
        ours.is_ok_and(|ours| {
            there.is_ok_and(|there| (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino))
        })
    }

    /// Waits for news.
    pub(super) async fn heard(&mut self) -> io::Result<()> {
        self.receiver.read(&mut [0; 4096]).await.map(drop)
    }
}

impl Drop for RefreshPipe {
    fn drop(&mut self) {
        if !self.is_still_there() {
            tracing::debug!("{} is another exporter's now", self.path.display());
        } else if let Err(why) = std::fs::remove_file(&self.path) {
            tracing::warn!("{} is left behind: {why}", self.path.display());
        }
    }
}

/// What became of an event of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The exporter of the port was told.
    Exporter,
    /// Nobody exports the port: the device was given to its default driver.
    DefaultDriver,
    /// The device is not there, or not any more.
    Gone,
}

/// What the hook of udev or mdev does when a USB device appears: tells the exporter of its port or, if there is none,
/// has the kernel look for the device's driver, which it does not do by itself where `drivers_autoprobe` is 0. `devpath` is
/// the event's `DEVPATH`, such as `/devices/pci0000:00/…/usb1/1-4`.
pub async fn uevent(sysfs: &Sysfs, devpath: &str) -> Result<Heard, UsbError> {
    let device = devpath.rsplit('/').next().unwrap_or_default();
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
    if device.is_empty() || !device.bytes().all(known) || device.starts_with('.') {
        let problem =
            io::Error::new(io::ErrorKind::InvalidInput, "it does not end in the name of a USB device");
        return Err(UsbError::System { what: format!("DEVPATH {devpath:?}"), source: problem });
    }
    let path = sysfs.refresh_pipe(device);
    // Without waiting for a reader: an exporter that was killed leaves its pipe behind.
    let open = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
    match open.and_then(|mut pipe| pipe.write_all(b".")) {
        Ok(()) => return Ok(Heard::Exporter),
        // A pipe that is full of news has a reader that will see them.
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Heard::Exporter),
        Err(why)
            if why.kind() == io::ErrorKind::NotFound || why.raw_os_error() == Some(Errno::ENXIO as i32) => {}
        Err(why) if why.kind() == io::ErrorKind::PermissionDenied => return Err(UsbError::NotRoot { path }),
        Err(why) => return Err(UsbError::system(format!("writing to {}", path.display()))(why)),
    }
    match sysfs::write(sysfs.usb("drivers_probe"), device.to_owned()).await {
        Err(why) if why.is_vanished() => Ok(Heard::Gone),
        other => other.map(|()| Heard::DefaultDriver),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Folders that look like `/sys` and `/run`.
    fn machine() -> (tempfile::TempDir, Sysfs) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("bus/usb")).unwrap();
        std::fs::write(folder.path().join("bus/usb/drivers_probe"), "").unwrap();
        let sysfs = Sysfs::new(folder.path(), folder.path());
        (folder, sysfs)
    }

    fn probed(folder: &tempfile::TempDir) -> String {
        std::fs::read_to_string(folder.path().join("bus/usb/drivers_probe")).unwrap()
    }

    #[tokio::test]
    async fn an_exporter_hears_of_its_port_and_the_kernel_of_others() {
        let (folder, sysfs) = machine();
        let mut pipe = RefreshPipe::make(&sysfs, &"1-4.2".parse().unwrap()).unwrap();
        assert_eq!(uevent(&sysfs, "/devices/usb1/1-4/1-4.2").await.unwrap(), Heard::Exporter);
        tokio::time::timeout(Duration::from_secs(10), pipe.heard()).await.unwrap().unwrap();
        assert_eq!(probed(&folder), "");
        assert_eq!(uevent(&sysfs, "/devices/usb1/1-4/1-4:1.0").await.unwrap(), Heard::DefaultDriver);
        assert_eq!(probed(&folder), "1-4:1.0");
    }

    #[tokio::test]
    async fn a_pipe_that_nobody_reads_holds_nobody_up() {
        let (folder, sysfs) = machine();
        mkfifo(&sysfs.refresh_pipe("1-1"), Mode::S_IRWXU).unwrap();
        assert_eq!(uevent(&sysfs, "/devices/usb1/1-1").await.unwrap(), Heard::DefaultDriver);
        assert_eq!(probed(&folder), "1-1");
    }

    #[tokio::test]
    async fn the_last_exporter_of_a_port_has_the_pipe() {
        let (_folder, sysfs) = machine();
        let busid = "1-1".parse().unwrap();
        let first = RefreshPipe::make(&sysfs, &busid).unwrap();
        let mut second = RefreshPipe::make(&sysfs, &busid).unwrap();
        drop(first);
        assert_eq!(uevent(&sysfs, "/devices/usb1/1-1").await.unwrap(), Heard::Exporter);
        tokio::time::timeout(Duration::from_secs(10), second.heard()).await.unwrap().unwrap();
        drop(second);
        assert!(!sysfs.refresh_pipe("1-1").exists());
    }

    #[tokio::test]
    async fn what_is_no_device_is_refused() {
        let (folder, sysfs) = machine();
        for devpath in ["", "/", "/devices/usb1/", "/devices/..", "/devices/1-1 2", "1-1\n"] {
            assert!(uevent(&sysfs, devpath).await.is_err(), "{devpath:?}");
        }
        assert_eq!(probed(&folder), "");
    }
}
