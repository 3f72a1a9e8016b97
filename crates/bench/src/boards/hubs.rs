//! The hubs that are compared: Nave's, and Python's behind the server and the TLS that its guide to deployment names.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use nave_testkit::not_my_board;
use nave_testkit::wait::until;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::client::{Door, Wire};
use crate::farm::Hub;
use crate::process;

/// What a farm without sign-in says in its configuration.
pub const SETTINGS: &str = "[not_my_board]\nenabled = true\nopen_to = [\"127.0.0.0/8\"]\n";

/// A running hub.
pub enum Farm {
    Nave(Box<Hub>),
    Python(Box<Python>),
}

/// Python's.
pub struct Python {
    child: Child,
    door: Door,
    _folder: TempDir,
}

impl Farm {
    /// Nave's, with its data in a folder of this one.
    pub async fn nave(parent: &Path) -> anyhow::Result<Self> {
        let settings = SETTINGS.replace("[not_my_board]", "[boards.not_my_board]");
        Ok(Self::Nave(Box::new(Hub::start_in(parent, &settings, &[]).await?)))
    }

    /// Python's, in uvicorn with a socket that is handed over, as under systemd.
    pub async fn python(tls: bool) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("nave-bench-").tempdir()?;
        let socket = TcpListener::bind("127.0.0.1:0")?;
        let door = Door { address: socket.local_addr()?, tls };
        let mut command = Command::new(not_my_board::program("uvicorn")?);
        command.args(["--fd", "0"]);
        if tls {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
            let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("cert.pem"));
            std::fs::write(&key, made.signing_key.serialize_pem())?;
            std::fs::write(&certificate, made.cert.pem())?;
            command.arg("--ssl-keyfile").arg(key).arg("--ssl-certfile").arg(certificate);
        }
        command
            .arg("not_my_board:asgi_app")
            .env("NOT_MY_BOARD_HUB_CONFIG", folder.path().join("hub.toml"))
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let hub =
            Python { child: command.spawn().context("uvicorn could not be started")?, door, _folder: folder };
        until("Python's hub answers", || async { Wire::connect(door).await.ok() }).await?;
        Ok(Self::Python(Box::new(hub)))
    }

    pub fn door(&self) -> Door {
        match self {
            Self::Nave(hub) => Door { address: hub.address, tls: true },
            Self::Python(hub) => hub.door,
        }
    }

    /// Waits until so many requests for a place wait.
    pub async fn until_waiting(&self, wanted: usize) -> anyhow::Result<()> {
        let waiting = || async {
            let measures = self.door().get("/metrics").await.ok()?;
            let line =
                measures.lines().find(|line| line.starts_with("not_my_board_reservation_queue_length"))?;
            let length: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
            ((length - wanted as f64).abs() < 0.5).then_some(())
        };
        until("everybody waits", waiting).await
    }

    fn pid(&self) -> anyhow::Result<u32> {
        match self {
            Self::Nave(hub) => hub.pid(),
            Self::Python(hub) => hub.child.id().context("it does not run"),
        }
    }

    /// Its memory, in kB.
    pub fn memory(&self) -> anyhow::Result<u64> {
        process::memory(self.pid()?)
    }

    /// How much of the processors' time it has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.pid()?)
    }
}
