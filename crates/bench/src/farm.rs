//! A hub as a process of its own, in a folder that goes with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nave_core::api::Invitation;
use nave_link::address::HubUrl;
use nave_link::token::JoinToken;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::process;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

/// The program as it is packaged, which `cargo xtask bench` makes first.
pub fn nave() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("dist/nave")
}

/// A running hub.
pub struct Hub {
    pub folder: TempDir,
    pub address: SocketAddr,
    extra: Vec<String>,
    child: Option<Child>,
}

impl Hub {
    /// Starts a hub on a fresh folder, and waits until it answers.
    pub async fn start(extra: &[&str]) -> anyhow::Result<Self> {
        Self::start_in(&std::env::temp_dir(), "", extra).await
    }

    /// As [`Hub::start`], with a folder in this one and more in its configuration.
    pub async fn start_in(parent: &Path, more: &str, extra: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("nave-bench-").tempdir_in(parent)?;
        let config = format!("[limits]\nconnections = 50000\nconnections_per_address = 50000\n{more}");
        std::fs::write(folder.path().join("hub.toml"), config)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let extra = extra.iter().map(|part| (*part).to_owned()).collect();
        let mut hub = Self { folder, address, extra, child: None };
        hub.launch().await?;
        Ok(hub)
    }

    /// Starts it again; returns how long it took from exec until it answered.
    pub async fn launch(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let child = Command::new(nave())
            .args(["hub", "--listen", &self.address.to_string(), "--config"])
            .arg(self.folder.path().join("hub.toml"))
            .args(&self.extra)
            .env("NAVE_DIR", self.data())
            .env("NAVE_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{}: build it first", nave().display()))?;
        self.child = Some(child);
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("the hub does not answer");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(begun.elapsed())
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.as_ref().and_then(Child::id).context("it does not run")
    }

    /// Its memory, in kB.
    pub fn memory(&self) -> anyhow::Result<u64> {
        process::memory(self.pid()?)
    }

    /// Of that, what belongs to no file, in kB.
    pub fn own_memory(&self) -> anyhow::Result<u64> {
        process::own_memory(self.pid()?)
    }

    /// How much of the processors' time it has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.pid()?)
    }

    /// Waits until so many nodes are connected.
    pub async fn until_connected(&self, nodes: usize) -> anyhow::Result<()> {
        let connected = || async {
            let list = self.command(&["node", "list", "--json"]).await.ok()?;
            let list: Vec<nave_core::api::Node> = serde_json::from_str(&list).ok()?;
            (list.iter().filter(|node| node.online).count() == nodes).then_some(())
        };
        nave_testkit::wait::until("the nodes are connected", connected).await
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("d")
    }

    /// Its address as nodes write it.
    pub fn url(&self) -> HubUrl {
        HubUrl::new(self.address.ip().to_string(), self.address.port())
    }

    /// Runs a command of the hub's operator.
    pub async fn command(&self, args: &[&str]) -> anyhow::Result<String> {
        run(&self.data(), args).await
    }

    /// An invitation for so many nodes.
    pub async fn invite(&self, args: &[&str]) -> anyhow::Result<JoinToken> {
        let text = self.command(&[&["invite", "--json"], args].concat()).await?;
        let invitation: Invitation = serde_json::from_str(&text)?;
        Ok(invitation.token.parse()?)
    }
}

/// Runs `nave` with a data folder.
pub async fn run(data: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(nave()).args(args).env("NAVE_DIR", data).stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        bail!("nave {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
