//! A real PostgreSQL server for one test process, on a socket in a folder of its own, with a fresh database for every
//! test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    bin: PathBuf,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("nave-pg-").tempdir()?;
        let postgres = Self { bin: binaries()?, folder, databases: AtomicU32::new(0) };
        let path = postgres.folder.path();
        if nix::unistd::geteuid().is_root() {
            // The server refuses to run as root.
            let user = nix::unistd::User::from_name("postgres")?
                .context("there is no user postgres: install postgresql")?;
            nix::unistd::chown(path, Some(user.uid), Some(user.gid))?;
        }
        let data = postgres.data();
        postgres.run("initdb", &["-D", &data, "-U", "nave", "--auth=trust", "--no-sync", "-E", "UTF8"])?;
        postgres.launch()?;
        Ok(postgres)
    }

    /// Starts the server again after [`Postgres::stop`].
    pub fn launch(&self) -> anyhow::Result<()> {
        let options =
            format!("-k {} -c listen_addresses='' -c max_connections=50", self.folder.path().display());
        let log = self.folder.path().join("log");
        self.run(
            "pg_ctl",
            &["-D", &self.data(), "-o", &options, "-l", &log.display().to_string(), "-w", "start"],
        )
    }

    /// Stops the server, cutting every connection.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"])
    }

    /// A fresh database: its URL.
    pub fn database(&self) -> anyhow::Result<String> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let folder = self.folder.path().display().to_string();
        self.run("createdb", &["-h", &folder, "-U", "nave", &name])?;
        Ok(format!("postgres://nave@localhost/{name}?host={folder}"))
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<()> {
        let program = self.bin.join(program);
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // The server that pg_ctl leaves behind must not keep this process's pipes open.
        let out = tempfile::tempfile()?;
        let status = command
            .args(args)
            .current_dir(self.folder.path())
            .env("LC_ALL", "C")
            .stdout(out.try_clone()?)
            .stderr(out)
            .status()
            .with_context(|| program.display().to_string())?;
        ensure!(status.success(), "{} {args:?} failed", program.display());
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = self.stop();
    }
}

/// Debian keeps the server's programs out of the PATH.
fn binaries() -> anyhow::Result<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(Path::new("/usr/lib/postgresql"))
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.retain(|bin| bin.join("initdb").exists());
    versions.sort();
    match versions.pop() {
        Some(bin) => Ok(bin),
        None => {
            bail!("PostgreSQL is not installed: `apt-get install postgresql`, or set NAVE_TEST_SKIP=postgres")
        }
    }
}
