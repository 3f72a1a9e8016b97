//! A real PostgreSQL server for tests: in a temporary folder, on a Unix socket only, gone with the test process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail, ensure};
use nix::unistd::{Uid, User};

/// Where Debian keeps each version's programs.
const DEBIAN: &str = "/usr/lib/postgresql";
/// PostgreSQL refuses to run as root.
const ACCOUNT: &str = "postgres";
/// Lives as long as its standard input is open, so the server ends with the test process however that ends.
const GUARD: &str = r#"
set -e
"$1/initdb" --pgdata="$2/data" --username=postgres --auth=trust --encoding=UTF8 --no-locale --no-sync >"$2/log" 2>&1
"$1/pg_ctl" --pgdata="$2/data" --log="$2/log" --wait --silent start \
    --options="-c listen_addresses='' -c unix_socket_directories='$2' -c fsync=on -c shared_buffers=16MB" </dev/null
echo ready
read -r line || true
"$1/pg_ctl" --pgdata="$2/data" --mode=immediate --silent stop || true
rm -rf "$2"
"#;

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    guard: Child,
    lifeline: Option<ChildStdin>,
    databases: AtomicU32,
}

impl Postgres {
    /// The server that the tests of this process share; started when first asked for.
    pub fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
        let started = SHARED.get_or_init(|| Self::start().map_err(|error| format!("{error:#}")));
        started.as_ref().map_err(|error| anyhow::anyhow!(error.clone()))
    }

    /// Starts a server of one's own, for tests that stop it.
    pub fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("nave-pg-").tempdir()?;
        let account = account()?;
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh"]).arg(&programs).arg(folder.path()).current_dir("/");
        if let Some(account) = &account {
            nix::unistd::chown(folder.path(), Some(account.uid), Some(account.gid))?;
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        let mut guard = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let lifeline = guard.stdin.take();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().context("standard output is piped")?).read_line(&mut line)?;
        if line.trim() != "ready" {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            bail!("PostgreSQL did not start:\n{log}");
        }
        // From here on the guard removes the folder.
        let folder = folder.keep();
        Ok(Self { programs, folder, guard, lifeline, databases: AtomicU32::new(0) })
    }

    /// Makes an empty database; returns its URL.
    pub fn database(&self) -> anyhow::Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(format!("postgres:///{name}?host={}&user=postgres", self.folder.display()))
    }

    /// Runs SQL in a database by name; returns what `psql` prints, one row a line.
    pub fn psql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        command.args(["--username=postgres", "--dbname", database, "--host"]).arg(&self.folder);
        let mut psql = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        psql.stdin.take().context("standard input is piped")?.write_all(sql.as_bytes())?;
        let output = psql.wait_with_output()?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Stops the server as a crash would: no goodbye to its clients.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.control(&["--mode=immediate", "stop"])
    }

    /// Starts it again after [`Postgres::stop`].
    pub fn launch(&self) -> anyhow::Result<()> {
        let socket = format!(
            "--options=-c listen_addresses='' -c unix_socket_directories='{}'",
            self.folder.display()
        );
        self.control(&["--log", &self.folder.join("log").to_string_lossy(), &socket, "start"])
    }

    fn control(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command.arg("--pgdata").arg(self.folder.join("data")).args(["--wait", "--silent"]).args(arguments);
        if let Some(account) = account()? {
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        let status = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "pg_ctl {arguments:?}: {status}");
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if let Err(error) = self.guard.wait() {
            tracing::warn!(%error, "PostgreSQL's guard is gone");
        }
    }
}

/// The folder of the newest version's programs.
fn programs() -> anyhow::Result<PathBuf> {
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let installed = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path());
    installed
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(|path| version(path))
        .map(|path| path.join("bin"))
        .with_context(|| {
            format!(
                "PostgreSQL is not installed: there is no {DEBIAN}/*/bin/initdb; `apt-get install postgresql`"
            )
        })
}

fn account() -> anyhow::Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = User::from_name(ACCOUNT)?;
    Ok(Some(user.with_context(|| format!("there is no user {ACCOUNT}: `apt-get install postgresql`"))?))
}
