//! `nave token --for not-my-board`: not-my-board's own programs, from the Python registry and without a changed line, run
//! as the node or as the person that the machine is to the hub, with no sign-in of their own.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use nave_boards::hub::config::BoardsConfig;
use nave_boards::hub::{Boards, farm};
use nave_core::api::{InviteRequest, Role};
use nave_core::hub::nodes;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need;
use nave_testkit::person::TestPerson;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::login::{nave, sign_in};
use crate::program::{Background, NAVE, run};

/// A machine of its own, as far as not-my-board's programs and this hub's command line can see.
struct Machine {
    home: tempfile::TempDir,
}

impl Machine {
    fn new() -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        for folder in ["lib", "run", ".config/not-my-board"] {
            std::fs::create_dir_all(home.path().join(folder))?;
        }
        Ok(Self { home })
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    /// Joins it to the hub, with a role.
    async fn join(&self, hub: &TestHub, name: &str, role: &str) -> anyhow::Result<Background> {
        let asked = InviteRequest {
            name: Some(name.to_owned()),
            roles: vec![role.to_owned()],
            ..InviteRequest::default()
        };
        let invitation = nodes::invite(&hub.operator(), hub.hub(), &asked).await?;
        let url = hub.url().to_string();
        let joined =
            Background::start(&mut nave(self.path(), &["join", &url, "--token", &invitation.token]))?;
        let folder = self.path().join("node");
        nave_testkit::wait::until("it has joined", || async { folder.exists().then_some(()) }).await?;
        Ok(joined)
    }

    fn python(&self, args: &[&str]) -> anyhow::Result<Command> {
        let python = need::python("not_my_board").context("not-my-board is not installed")?;
        let mounts = "mount --bind \"$HOME/lib\" /var/lib && mount --bind \"$HOME/run\" /run && exec \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", mounts, "sh"])
            .arg(python.with_file_name("not-my-board"))
            .args(args)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("NAVE_DIR", self.path())
            .env_remove("HUB_ACCESS_KEY")
            .env("PYTHONUNBUFFERED", "1");
        Ok(command)
    }

    /// One of the programs that stay, with tokens of the hub's command line.
    fn stays(&self, hub: &TestHub, command: &str, files: &[&str]) -> anyhow::Result<Background> {
        let cacert = hub.path().join("cert/hub-cert.pem").display().to_string();
        let (url, print) = (hub.url().to_string(), format!("{NAVE} token --for ${{client_id}}"));
        let mut args = vec![command, "--cacert", &cacert, "--token-cmd", &print, &url];
        args.extend(files);
        Background::start(&mut self.python(&args)?)
    }
}

#[tokio::test]
async fn ci_jobs_and_people_bring_the_tokens_of_the_command_line() -> anyhow::Result<()> {
    if !need("not-my-board") || !need("netns") {
        return Ok(());
    }
    let boards = Boards::new(BoardsConfig::read(&"[not_my_board]\nenabled = true\npeople = true".parse()?)?)?;
    let setup = TestHubSetup { fleets: vec![Arc::new(boards)], ..TestHubSetup::default() };
    let hub = TestHub::with(setup).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?;

    let lab = Machine::new()?;
    let _lab = lab.join(&hub, "lab", "exporter").await?;
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let place = format!("port = {port}\n[[parts]]\ncompatible = [\"demo\"]\n");
    std::fs::write(lab.path().join("bench.toml"), place)?;
    let exporter = lab.stays(&hub, "export", &["bench.toml"])?;
    exporter.says("ready").await?;

    let job = Machine::new()?;
    let _job = job.join(&hub, "ci", "importer").await?;
    let desk = Machine::new()?;
    sign_in(&hub, &grace, desk.path()).await?;
    for (machine, name) in [(&job, "ci"), (&desk, "Grace")] {
        std::fs::write(
            machine.path().join(".config/not-my-board/demo.toml"),
            "[parts.board]\ncompatible = [\"demo\"]\n",
        )?;
        let agent = machine.stays(&hub, "agent", &[])?;
        agent.says("ready").await?;
        run(&mut machine.python(&["reserve", "demo"])?).await?.ok()?;
        let held = farm::reservations(&hub.operator(), hub.hub())?;
        ensure!(held.len() == 1 && held[0].holder == name, "{held:?}");
        run(&mut machine.python(&["return", "demo"])?).await?.ok()?;
    }

    // A node with another role is told so, and a machine that is nothing to the hub has no token.
    let wrong = lab.stays(&hub, "agent", &[])?;
    wrong.says("ready").await?;
    std::fs::write(lab.path().join("demo.toml"), "[parts.board]\ncompatible = [\"demo\"]\n")?;
    let refused = run(&mut lab.python(&["reserve", "./demo.toml"])?).await?;
    ensure!(refused.code != 0, "{refused:?}");
    let nobody = Machine::new()?;
    let none = run(&mut nave(nobody.path(), &["token", "--for", "not-my-board"])).await?;
    ensure!(none.code == 1 && none.stdout.is_empty() && none.stderr.contains("nave login"), "{none:?}");
    let other = run(&mut nave(desk.path(), &["token", "--for", "other"])).await?;
    ensure!(other.code == 1 && other.stderr.contains("people = true"), "{other:?}");
    let both = run(&mut nave(desk.path(), &["token", "--for", "not-my-board", "list"])).await?;
    ensure!(both.code != 0 && both.stderr.contains("no other command"), "{both:?}");
    let neither = run(&mut nave(desk.path(), &["token"])).await?;
    ensure!(neither.code == 2, "{neither:?}");
    run(&mut nave(desk.path(), &["token", "--json", "list"])).await?.ok()?;
    Ok(())
}
