//! Agents and their hub in one process: `nave up --agents`, as the page tells of it and beyond.

use std::path::Path;

use anyhow::{Context as _, ensure};
use nave_testkit::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::Command;

use crate::agent_host::is_there;
use crate::docs::page::Page;
use crate::program::{Background, NAVE, Output, run};

/// A folder with agents' files, and one for the hub's data.
struct Garden(TempDir);

impl Garden {
    fn new() -> anyhow::Result<Self> {
        let garden = Self(tempfile::tempdir()?);
        std::fs::create_dir(garden.0.path().join("garden"))?;
        Ok(garden)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.0.path().join("garden").join(name), text)?)
    }

    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        let nave = Path::new(NAVE).parent().context("a program lies in a folder")?;
        command.env("PATH", format!("{}:{}", std::env::var("PATH")?, nave.display()));
        command.env("NAVE_DIR", self.0.path().join("data")).current_dir(self.0.path());
        Ok(command)
    }

    fn up(&self) -> anyhow::Result<Background> {
        let mut command = self.command(NAVE)?;
        Background::start(command.args(["up", "--listen", "127.0.0.1:0", "--agents", "garden"]))
    }

    /// A line as it is typed.
    async fn line(&self, line: &str) -> anyhow::Result<Output> {
        run(self.command("sh")?.args(["-c", line])).await
    }

    /// Waits until a line prints this.
    async fn prints(&self, line: &str, text: &str) -> anyhow::Result<()> {
        let printed = until("it prints that", async || {
            let output = self.line(line).await.ok()?;
            (output.code == 0 && output.stdout.contains(text)).then_some(())
        });
        printed.await.with_context(|| format!("{line:?} does not print {text:?}"))
    }
}

/// Ctrl-C, and waits for the end.
async fn interrupt(up: &mut Background) -> anyhow::Result<()> {
    let id = up.child.id().context("it runs")?;
    kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGINT)?;
    let ended = tokio::time::timeout(nave_testkit::wait::PATIENCE, up.child.wait()).await??;
    ensure!(ended.success(), "{}", up.output());
    Ok(())
}

#[tokio::test]
async fn the_first_agent_in_two_minutes() -> anyhow::Result<()> {
    let (page, garden) = (Page::read("docs/agents.md")?, Garden::new()?);
    for text in page.texts() {
        let file = text.lines().take(2).find_map(|line| line.strip_prefix("# garden/"));
        if let Some(file) = file {
            garden.write(file, &text)?;
        }
    }
    let (mut up, mut asked) = (None, 0);
    for (place, line) in page.lines()? {
        if line.starts_with("nave up ") {
            let mut shell = garden.command("sh")?;
            let started =
                Background::start(shell.args(["-c", &format!("exec {line} --listen 127.0.0.1:0")]))?;
            started.says("local is ready to run agents").await?;
            up = Some(started);
        } else if line == "nave agent mail list" {
            garden.prints(&line, "Done: Water the roses").await?;
            asked += 1;
        } else {
            garden.line(&line).await?.ok().context(place)?;
        }
    }
    ensure!(asked == 1, "the page does not look at the answer");
    interrupt(&mut up.context("the page does not start anything")?).await
}

/// Answers, reports what it spent, and leaves something behind.
const AGENT: &str = r#"username: ann
title: T
agentPrompt: You are ann.
tokenMax: 20000
shellModel: script
command: |
  (setsid sleep 10071 &)
  trap 'echo "ends by itself"' EXIT
  trap 'exit 0' TERM
  while IFS= read -r line; do
      case "$line" in
      "[mail "*)
          nave agent mail send admin --subject "Re: ${line#*] }" --body "It is done."
          echo '::nave cost {"model":"none","dollars":0.25}'
      esac
  done
"#;

#[tokio::test]
async fn up_runs_agents_ends_them_and_begins_again() -> anyhow::Result<()> {
    let garden = Garden::new()?;
    garden.write("ann.yaml", AGENT)?;
    let mut up = garden.up()?;
    up.says("local is ready to run agents").await?;
    garden.line("nave agent mail send ann --subject Roses --body Water").await?.ok()?;
    garden.prints("nave agent mail list", "Re: Roses").await?;
    garden.prints("nave agent cost", "0.25").await?;
    ensure!(is_there("sleep 10071"), "{}", up.output());
    interrupt(&mut up).await?;
    ensure!(!is_there("sleep 10071"), "{}", up.output());
    up.says("ann has ended: it was stopped (the host is stopping)").await?;

    // The same folder again: what the hub knows holds, and what is different is told.
    garden.write("ann.yaml", &AGENT.replace("title: T", "title: Another"))?;
    garden.write("bob.yaml", &AGENT.replace("username: ann", "username: bob"))?;
    let mut up = garden.up()?;
    up.says("ann.yaml differs from what the hub knows of ann").await?;
    up.says("the hub has no agent bob").await?;
    up.says("local is ready to run agents").await?;
    garden.line("nave agent config ann --set garden/ann.yaml").await?.ok()?;
    garden.line("nave agent create garden/bob.yaml").await?.ok()?;
    garden.line("nave agent mail send ann --subject Tulips --body Cut").await?.ok()?;
    garden.prints("nave agent mail list", "Re: Tulips").await?;
    garden.prints("nave agent logs ann", "ends by itself").await?;
    interrupt(&mut up).await?;
    ensure!(!is_there("sleep 10071"), "{}", up.output());

    // A host's own configuration takes the place of what agents say; nothing differs any more.
    garden.write("host.toml", "[agents.ann]\ncommand = \"echo by the file; cat\"")?;
    let mut up = garden.up()?;
    up.says("local is ready to run agents").await?;
    ensure!(!up.output().contains("Files are only read"), "{}", up.output());
    garden.line("nave agent start ann").await?.ok()?;
    garden.prints("nave agent logs ann", "by the file").await?;
    interrupt(&mut up).await
}

#[tokio::test]
async fn what_cannot_be_run_is_told_of_before_a_hub_starts() -> anyhow::Result<()> {
    let garden = Garden::new()?;
    let fails = async |text: &str| {
        let output = garden.line("nave up --listen 127.0.0.1:0 --agents garden").await?;
        ensure!(output.code == 64 && output.stderr.contains(text), "{text:?}: {output:?}");
        ensure!(!garden.0.path().join("data/hub.key").exists(), "a hub was started: {output:?}");
        Ok(())
    };
    fails("garden has no agents: they are files that end in .yaml").await?;
    garden.write("ann.yaml", "username: [")?;
    fails("ann.yaml").await?;
    garden.write("ann.yaml", AGENT.split_once("command").context("it has a command")?.0)?;
    fails("nobody said what ann runs: add `command: …`").await?;
    garden.write("ann.yaml", &AGENT.replace("shellModel: script", "shellModel: none"))?;
    fails("the shellModel \"none\" is that of a person").await?;
    garden.write("ann.yaml", AGENT)?;
    garden.write("host.toml", "[agents.ann]\ncommand = ''")?;
    fails("host.toml: [agents.ann] command must be").await?;
    std::fs::remove_dir_all(garden.0.path().join("garden"))?;
    fails("garden: No such file or directory").await
}
