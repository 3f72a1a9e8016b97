//! The machines that the pages speak of: hosts in networks of their own, on each of which a reader types on a terminal.
//! Where a page says what only a reader can know (a token, an id), it is taken from what was printed before.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use nave_testkit::net::{Host, Net};
use nave_testkit::postgres::Postgres;
use tempfile::TempDir;
use tokio::process::Command;

use super::page::{Act, Page, Step};
use super::terminal::Terminal;
use super::visitor::Visitor;
use crate::program::NAVE;

/// Runs a line where the machine's own certificates lie in the place of this computer's: `nave ca trust` is real, and
/// changes nothing here.
const APART: &str = r#"mount --bind "$1" /etc/ssl/certs
mount --bind "$2" /usr/local/share/ca-certificates
exec bash -c "$3""#;

/// Copies from `server` as scp would, without a network: the folders of all machines lie on this computer.
const SCP: &str = "#!/bin/sh\ncd -P \"${0%/*}/../server\" && from=$(realpath \"${1#server:}\") && cd -P \"$OLDPWD\" && exec cp \"$from\" \"$2\"\n";

/// What stays until it is told to stop: a word of the line, how many of it there can be on a machine, and what it shows
/// once it is there.
const STAYING: [(&str, &str, &[&str]); 6] = [
    ("nave up", "hub", &["Stop: "]),
    ("nave hub", "hub", &["  data  "]),
    ("nave join", "node", &["connected as", "lets it in"]),
    ("nave node run", "node", &["connected as"]),
    ("nave forward", "forward", &["is here until you press Ctrl-C"]),
    ("python3 -m http.server", "service", &["Serving HTTP"]),
];

/// All machines of a page.
pub struct World {
    net: Net,
    folder: TempDir,
    machines: BTreeMap<String, Machine>,
    /// What commands printed, the oldest first.
    printed: Vec<String>,
    /// Ids that were filled in already: what was decided about is not decided about again.
    filled: Vec<String>,
    ada: Option<Visitor>,
    database: Option<String>,
}

struct Machine {
    home: PathBuf,
    staying: Vec<Staying>,
    visits: Vec<tokio::process::Child>,
}

struct Staying {
    kind: &'static str,
    line: String,
    terminal: Terminal,
}

impl World {
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("nave-docs-").tempdir()?;
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs)?;
        symlink(NAVE, programs.join("nave"))?;
        std::fs::write(programs.join("scp"), SCP)?;
        std::fs::set_permissions(programs.join("scp"), std::fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            net: Net::server_lab_laptop()?,
            folder,
            machines: BTreeMap::new(),
            printed: Vec::new(),
            filled: Vec::new(),
            ada: None,
            database: None,
        })
    }

    /// Gives the machines an empty database of a PostgreSQL server.
    pub fn with_postgres(mut self) -> anyhow::Result<Self> {
        self.database = Some(Postgres::shared()?.database()?);
        Ok(self)
    }

    /// Does what a page says, from its first line to its last; before it, what it takes for granted.
    pub async fn follow(mut self, before: &str, page: &str) -> anyhow::Result<()> {
        let before = Page { name: format!("before {page}"), text: format!("```\n{before}\n```\n") };
        for step in before.steps()?.into_iter().chain(Page::read(page)?.steps()?) {
            self.take(&step).await.with_context(|| format!("{}: {:?}", step.at, step.act))?;
        }
        // What had to wait for somebody has come to its end by now.
        let staying = self.machines.values_mut().flat_map(|machine| &mut machine.staying);
        for waited in staying.filter(|staying| staying.line.contains("--once")) {
            ensure!(
                waited.terminal.wait(&[]).await? == Some(0),
                "{}: {}",
                waited.line,
                waited.terminal.shows()
            );
        }
        Ok(())
    }

    async fn take(&mut self, step: &Step) -> anyhow::Result<()> {
        match &step.act {
            Act::Configure(text) => {
                let text = self.placed("server", text)?;
                let file = self.machine("server")?.home.join("etc/hub.toml");
                Ok(std::fs::write(file, text)?)
            }
            // Whether such a chore exists is checked by `cargo xtask tidy`; it would run these very tests.
            Act::Type { line, .. } if line.starts_with("cargo xtask ") => Ok(()),
            Act::Type { machine, line } => {
                // Cargo has built the program that is tested.
                let line = line.replace("cargo run --release -- ", "nave ");
                let line = self.placed(machine, &line)?;
                let line = self.fill(&line)?;
                self.run(machine, &line).await
            }
        }
    }

    async fn run(&mut self, machine: &str, line: &str) -> anyhow::Result<()> {
        let staying = STAYING.iter().find(|(words, ..)| line.contains(words));
        if line.contains("nave restore") {
            self.stop_all("hub", machine).await?;
        }
        if let Some((_, kind, _)) = staying {
            self.stop_all(kind, machine).await?;
        }
        let is_new = !self.machine(machine)?.home.join("nave/hub.key").exists() && !line.contains("--dir");
        let mut terminal = Terminal::start(&mut self.command(machine, line)?)?;
        if line.contains("/dev/stdin") {
            terminal.types("what is to be kept secret")?;
        }
        let mut signs: Vec<&str> = staying.map_or_else(Vec::new, |(_, _, signs)| signs.to_vec());
        if line.contains("nave hub") && is_new {
            signs = vec!["Then invite a machine"];
        } else if line.contains("nave login") {
            signs = vec!["Waiting for you there"];
        }
        let mut ended = terminal.wait(&signs).await?;
        if line.contains("nave login") && ended.is_none() {
            let shown = terminal.shows();
            let address = word(&shown, "https://", "/device?code=").context("no address to open")?;
            let ada = self.ada.as_ref().context("nobody is there to let the device in")?;
            ada.let_in(&self.net.laptop, address).await?;
            ended = terminal.wait(&[]).await?;
        }
        let shown = terminal.shows();
        match ended {
            Some(0) => self.printed.push(shown.clone()),
            Some(status) => bail!("{line:?} ends with {status}: {shown}"),
            None => {
                let (_, kind, _) = staying.context("it stays, and nobody knows why")?;
                self.visit(machine, line).await?;
                self.machine(machine)?.staying.push(Staying { kind, line: line.to_owned(), terminal });
            }
        }
        self.open_links(line, &shown).await
    }

    /// Uses a forwarded port for as long as it is there.
    async fn visit(&mut self, machine: &str, line: &str) -> anyhow::Result<()> {
        let Some(port) = line.split_once("nave forward ").and_then(|(_, rest)| rest.split(' ').nth(1)) else {
            return Ok(());
        };
        let hold = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3");
        let child = self.host(machine).command("bash").args(["-c", &hold]).stderr(Stdio::null()).spawn()?;
        self.machine(machine)?.visits.push(child);
        let data = self.machine("server")?.home.join("nave").to_string_lossy().into_owned();
        let listed = || async {
            let list = self.net.server.read(NAVE, &["stream", "list", "--dir", &data]).await.ok()?;
            list.contains("relayed").then_some(())
        };
        nave_testkit::wait::until("the forwarded port carries a stream", listed).await
    }

    /// Whoever a one-time link is for opens it: the first administrator, or whom the line invites.
    async fn open_links(&mut self, line: &str, shown: &str) -> anyhow::Result<()> {
        let laptop = &self.net.laptop;
        if let Some(link) = word(shown, "https://", "/setup/")
            && self.ada.is_none()
        {
            self.ada = Some(Visitor::accept(laptop, link, "ada@example.org", "Ada").await?);
        }
        if let Some(link) = word(shown, "https://", "/invitation/")
            && let Some(email) = line.split_whitespace().find(|word| word.contains('@'))
        {
            Visitor::accept(laptop, link, email, "Somebody").await?;
        }
        Ok(())
    }

    /// Ends what stays; of hubs, those of every machine, since they share one address.
    async fn stop_all(&mut self, kind: &str, machine: &str) -> anyhow::Result<()> {
        for (name, other) in &mut self.machines {
            if name == machine || kind == "hub" {
                let (ends, stays) = other.staying.drain(..).partition(|staying| staying.kind == kind);
                other.staying = stays;
                let ends: Vec<Staying> = ends;
                for staying in ends {
                    staying.terminal.interrupt().await.with_context(|| staying.line)?;
                }
            }
        }
        Ok(())
    }

    fn command(&mut self, machine: &str, line: &str) -> anyhow::Result<Command> {
        let home = self.machine(machine)?.home.clone();
        let mut command = self.host(machine).command("unshare");
        command.args(["--mount", "bash", "-ec", APART, "bash"]);
        command.args([home.join("certs"), home.join("authorities")]).arg(line);
        let path = std::env::var("PATH")?;
        command.env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()));
        command.env("HOME", &home).env("NAVE_DIR", home.join("nave")).current_dir(&home);
        let settings = home.join("etc/hub.toml");
        // Restoring does not look there by itself.
        if settings.exists() && !line.contains("nave restore") {
            command.env("NAVE_CONFIG", settings);
        }
        Ok(command)
    }

    /// A name of a page as a host: those that nobody reaches share one.
    fn host(&self, machine: &str) -> &Host {
        match machine {
            "server" | "new" => &self.net.server,
            "lab" => &self.net.lab,
            _ => &self.net.laptop,
        }
    }

    fn machine(&mut self, name: &str) -> anyhow::Result<&mut Machine> {
        if !self.machines.contains_key(name) {
            let home = self.folder.path().join(name);
            for folder in ["etc", "backups", "certs", "authorities"] {
                std::fs::create_dir_all(home.join(folder))?;
            }
            copy_links(Path::new("/etc/ssl/certs"), &home.join("certs"))?;
            let machine = Machine { home, staying: Vec::new(), visits: Vec::new() };
            self.machines.insert(name.to_owned(), machine);
        }
        self.machines.get_mut(name).context("it was just put there")
    }

    /// A text with the machine's folders in the place of those that a page names.
    fn placed(&mut self, machine: &str, text: &str) -> anyhow::Result<String> {
        let at = |home: &Path, folder: &str| home.join(folder).to_string_lossy().into_owned();
        let server = self.machine("server")?.home.clone();
        let home = self.machine(machine)?.home.clone();
        let mut text = text
            .replace("server:/var/lib/nave", &format!("server:{}", at(&server, "nave")))
            .replace("/var/lib/nave", &at(&home, "nave"))
            .replace("/etc/nave", &at(&home, "etc"))
            .replace("/var/backups", &at(&home, "backups"));
        if let Some(url) = &self.database {
            text = text.replace(DATABASE, url);
        }
        Ok(text)
    }

    /// A line with what was printed in the place of what a reader must fill in: `nave1…` is the newest token, `ID` the
    /// newest id, `KEY` the newest key of a node, `HUB_ACCESS_KEY=…` the newest access key.
    fn fill(&mut self, line: &str) -> anyhow::Result<String> {
        let mut words = Vec::new();
        for word in line.split(' ') {
            let found = match word {
                "ID" => Some(self.newest(word, |word| word.len() == 36 && word.split('-').count() == 5)?),
                "KEY" => Some(self.newest(word, |word| word.len() == 43 && !word.contains(['/', ':', '.']))?),
                "HUB_ACCESS_KEY=…" => {
                    let key = self.newest(word, is_access_key)?;
                    Some(format!("HUB_ACCESS_KEY={key}"))
                }
                _ => match word.strip_suffix('…') {
                    Some(start) => Some(self.newest(word, |word| word.starts_with(start))?),
                    None => None,
                },
            };
            words.push(found.unwrap_or_else(|| word.to_owned()));
        }
        Ok(words.join(" "))
    }

    fn newest(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let words = self.printed.iter().rev().flat_map(|text| text.split_whitespace());
        let found = words.filter(|word| fits(word)).find(|word| !self.filled.iter().any(|old| old == word));
        let found = found.with_context(|| format!("nothing was printed that could be {what}"))?.to_owned();
        ensure!(!found.is_empty(), "{what} is nothing");
        // A token may come by as many machines as it says, a key is what it is; an id is decided about once.
        if what == "ID" {
            self.filled.push(found.clone());
        }
        Ok(found)
    }
}

const DATABASE: &str = "postgres:///nave?host=/run/postgresql";

/// Whether a word begins with at least the short part of a fingerprint, and goes on with a secret.
fn is_access_key(word: &str) -> bool {
    word.split_once('+')
        .is_some_and(|(prefix, _)| prefix.len() >= 16 && prefix.chars().all(|c| c.is_ascii_hexdigit()))
}

/// The word that begins so and holds that.
fn word<'a>(text: &'a str, start: &str, part: &str) -> Option<&'a str> {
    text.split_whitespace().find(|word| word.starts_with(start) && word.contains(part))
}

/// Copies a folder of files and links, the links as links.
fn copy_links(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let at = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(std::fs::read_link(entry.path())?, at)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), at)?;
        }
    }
    Ok(())
}
