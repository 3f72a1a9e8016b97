//! The kernel's files: what is read and written in `/sys`, and the modules that make them appear.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;

use super::error::UsbError;

/// Where the kernel's files are. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
    run: PathBuf,
}

impl Sysfs {
    /// This machine's.
    pub fn system() -> Self {
        Self::new("/sys", "/run")
    }

    /// Folders that look like `/sys` and `/run`.
    pub fn new(root: impl Into<PathBuf>, run: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), run: run.into() }
    }

    /// A folder below `bus/usb`.
    pub(super) fn usb(&self, path: &str) -> PathBuf {
        self.root.join("bus/usb").join(path)
    }

    /// The folder of the virtual host controllers.
    pub(super) fn platform(&self) -> PathBuf {
        self.root.join("devices/platform")
    }

    /// The named pipe that an exporter listens on for news about a port.
    pub(super) fn refresh_pipe(&self, device: &str) -> PathBuf {
        self.run.join(format!("usbip-refresh-{device}"))
    }

    /// The file that is locked by whoever has attached something to a port.
    pub(super) fn port_lock(&self, port: u32) -> PathBuf {
        self.run.join(format!("nave-usb-port-{port}"))
    }
}

/// Reads a file's number, in decimals.
pub(super) fn number<T: FromStr>(path: &Path) -> Result<T, UsbError> {
    let text = text(path)?;
    text.parse().map_err(|_| unreadable(path, &text))
}

/// Reads a file's number, in hexadecimals. Empty is 0: so the kernel shows what depends on a configuration that the
/// device does not have.
pub(super) fn hexadecimal<T: TryFrom<u32>>(path: &Path) -> Result<T, UsbError> {
    let text = text(path)?;
    if text.is_empty() {
        return T::try_from(0).map_err(|_| unreadable(path, &text));
    }
    let number = u32::from_str_radix(&text, 16).map_err(|_| unreadable(path, &text))?;
    T::try_from(number).map_err(|_| unreadable(path, &text))
}

/// Reads a file, without the space around it.
pub(super) fn text(path: &Path) -> Result<String, UsbError> {
    let text = std::fs::read_to_string(path).map_err(|why| refused(path, "reading", why))?;
    Ok(text.trim().to_owned())
}

/// Does what may block for a moment in a thread of its own. It is done to its end even if nobody waits for it any more.
pub(super) async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, UsbError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|stopped| UsbError::system("working with the kernel's files")(io::Error::other(stopped)))
}

/// Writes to a file that is there, in one call, as the kernel wants it; in a thread, since the kernel may take a quarter
/// of a second to do what is written.
pub(super) async fn write(path: PathBuf, text: String) -> Result<(), UsbError> {
    in_thread(move || write_now(&path, &text)).await?
}

/// As [`write()`], here and now.
pub(super) fn write_now(path: &Path, text: &str) -> Result<(), UsbError> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|why| refused(path, "writing", why))
}

fn refused(path: &Path, doing: &str, source: io::Error) -> UsbError {
    if source.kind() == io::ErrorKind::PermissionDenied {
        return UsbError::NotRoot { path: path.to_owned() };
    }
    UsbError::System { what: format!("{doing} {}", path.display()), source }
}

fn unreadable(path: &Path, text: &str) -> UsbError {
    let problem = io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} is no number that fits"));
    UsbError::System { what: format!("reading {}", path.display()), source: problem }
}

/// Loads a kernel module.
pub(super) async fn modprobe(module: &'static str) -> Result<(), UsbError> {
    tracing::info!("loading the kernel module {module}");
    let ended = tokio::process::Command::new("modprobe")
        .arg(module)
        // A service's path may be without it.
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|why| UsbError::Module { module, problem: format!("modprobe: {why}") })?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Err(UsbError::Module { module, problem: if said.is_empty() { ended.status.to_string() } else { said } })
}
