//! A Debian with a really running systemd, booted in a container in less than a second: for units and packages
//! that must be seen to work. What is written inside is gone when the machine is.

mod tree;

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::sync::oneshot;

use crate::net::Host;

/// A booted machine; dropping it ends it as a power cut would.
#[derive(Debug)]
pub struct Machine {
    _nspawn: Nspawn,
    init: u32,
    console: PathBuf,
    _folder: TempDir,
    // systemd-nspawn refuses a tree that is in use; this makes the next machine wait instead.
    _tree: File,
}

/// The running systemd-nspawn; dropping it ends it, and with it the machine.
#[derive(Debug)]
struct Nspawn {
    /// What to kill: process 1 of the machine once it is known, since then systemd-nspawn cleans up.
    victim: u32,
    waiter: Option<JoinHandle<()>>,
}

impl Machine {
    /// Boots a machine without any network but its own loopback. There is one at a time on this computer: a
    /// second waits until the first is gone, so one test must not hold two.
    ///
    /// # Errors
    ///
    /// When the tree cannot be made or does not boot; ask [`need`](crate::need())`("nspawn")` first.
    pub async fn boot() -> anyhow::Result<Self> {
        Self::boot_with("--private-network".to_owned()).await
    }

    /// Boots a machine on the network of `host`, as [`Machine::boot`] does.
    pub async fn boot_on(host: &Host) -> anyhow::Result<Self> {
        Self::boot_with(format!("--network-namespace-path={}", host.network().display())).await
    }

    async fn boot_with(network: String) -> anyhow::Result<Self> {
        let (tree, lock) = tokio::task::spawn_blocking(tree::get).await??;
        let folder =
            tempfile::Builder::new().prefix("nave-nspawn-").tempdir().context("a folder for the machine")?;
        let console = folder.path().join("console");
        let notices_at = folder.path().join("notify");
        let notices = UnixDatagram::bind(&notices_at).context("a socket for the machine's notices")?;
        let log = File::create(&console).context("a file for the machine's console")?;
        // A test that is killed must not leave a machine behind.
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "systemd-nspawn", "--quiet", "--boot", "--notify-ready=yes"])
            .args(["--register=no", "--keep-unit", "--volatile=overlay", "--console=pipe"])
            // Without it the loopback of services with PrivateNetwork= stays down.
            .args(["--capability=CAP_NET_ADMIN", &network])
            .arg(format!("--machine=nave-{}", std::process::id()))
            .arg("--directory")
            .arg(&tree)
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .env("NOTIFY_SOCKET", &notices_at)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let (mut nspawn, ended) = Nspawn::start(command)?;
        let init = tokio::select! {
            ready = until_ready(&notices) => ready?,
            ended = ended => {
                let said = std::fs::read_to_string(&console).unwrap_or_default();
                bail!("systemd-nspawn ended ({}) before the machine was up: {said}", ended?);
            }
        };
        nspawn.victim = init;
        let machine = Self { _nspawn: nspawn, init, console, _folder: folder, _tree: lock };
        machine.command("systemctl").args(["is-system-running", "--wait"]).output().await?;
        Ok(machine)
    }

    /// A program that will run inside, as root, with an environment of its own.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--all", "--target", &self.init.to_string()])
            .args(["env", "--ignore-environment", "--chdir=/"])
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", program])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a line of shell inside to its end, whatever its status.
    pub async fn shell(&self, line: &str) -> anyhow::Result<Output> {
        self.command("sh")
            .args(["-c", line])
            .output()
            .await
            .with_context(|| format!("running `{line}` inside"))
    }

    /// Runs a line of shell inside and gives what it printed on stdout.
    ///
    /// # Errors
    ///
    /// When it ends with another status than 0; the error carries both streams.
    pub async fn read(&self, line: &str) -> anyhow::Result<String> {
        let ended = self.shell(line).await?;
        let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        ensure!(ended.status.success(), "`{line}` inside ended with {}\n{out}\n{err}", ended.status);
        Ok(out.into_owned())
    }

    /// Copies a file in, with its mode, and makes the folders above it.
    pub fn put(&self, from: &Path, to: &str) -> anyhow::Result<()> {
        let to = Path::new(&format!("/proc/{}/root", self.init)).join(to.trim_start_matches('/'));
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        std::fs::copy(from, &to).with_context(|| format!("copying {} in", from.display()))?;
        Ok(())
    }

    /// Writes a file inside, with its mode, and makes the folders above it.
    pub fn write(&self, to: &str, text: &str, mode: u32) -> anyhow::Result<()> {
        let draft = tempfile::NamedTempFile::new().context("a draft")?;
        std::fs::write(draft.path(), text).context("writing a draft")?;
        std::fs::set_permissions(draft.path(), std::fs::Permissions::from_mode(mode))
            .context("the draft's mode")?;
        self.put(draft.path(), to)
    }

    /// What the machine printed on its console so far.
    pub fn console(&self) -> String {
        std::fs::read_to_string(&self.console).unwrap_or_default()
    }
}

impl Nspawn {
    /// Starts it; the receiver hears how it ended.
    fn start(mut command: std::process::Command) -> anyhow::Result<(Self, oneshot::Receiver<String>)> {
        let mut child = command.spawn().context("starting systemd-nspawn")?;
        let (tell, ended) = oneshot::channel();
        let victim = child.id();
        let waiter = std::thread::spawn(move || {
            let how = child.wait().map_or_else(|why| why.to_string(), |status| status.to_string());
            // Nobody listens any more once the machine is up.
            let _ = tell.send(how);
        });
        Ok((Self { victim, waiter: Some(waiter) }, ended))
    }
}

impl Drop for Nspawn {
    fn drop(&mut self) {
        let killed = std::process::Command::new("kill").args(["-KILL", &self.victim.to_string()]).status();
        if !killed.is_ok_and(|status| status.success()) {
            tracing::error!("process {} of a machine could not be ended", self.victim);
        } else if let Some(waiter) = self.waiter.take()
            && waiter.join().is_err()
        {
            tracing::error!("nobody saw the machine of process {} end", self.victim);
        }
    }
}

/// Waits until the machine's systemd says that it is up; gives its process 1 as this computer counts.
async fn until_ready(notices: &UnixDatagram) -> anyhow::Result<u32> {
    let mut init = None;
    let mut buffer = vec![0; 4096];
    loop {
        let length = notices.recv(&mut buffer).await.context("waiting for the machine's notices")?;
        for line in String::from_utf8_lossy(&buffer[..length]).lines() {
            match line.split_once('=') {
                Some(("X_NSPAWN_LEADER_PID", pid)) => init = Some(pid.parse().context("its process 1")?),
                Some(("READY", "1")) => {
                    return init.context("the machine is up and never told its process 1");
                }
                _ => {}
            }
        }
    }
}
