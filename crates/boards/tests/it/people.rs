//! People of this hub in not-my-board's own programs, from the Python registry and without a changed line: signing in with
//! an account here and its second factor in a real browser, and what follows from it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use fantoccini::Locator;
use fantoccini::elements::Element;
use nave_boards::api::ReserveRequest;
use nave_boards::hub::config::BoardsConfig;
use nave_boards::hub::{Boards, farm, wish};
use nave_core::api::Role;
use nave_core::hub::config::Period;
use nave_core::hub::people;
use nave_core::hub::people::oidc::unverified;
use nave_testkit::browser::{Browser, Colours};
use nave_testkit::hub::TestHub;
use nave_testkit::need;
use nave_testkit::person::{PASSWORD, TestPerson};
use nave_testkit::wait::{PATIENCE, until};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::client::setup;
use crate::python::{is_ready, line};

const SETTINGS: &str = "[not_my_board]\nenabled = true\npeople = true";

/// A hub whose people sign in to not-my-board, and the home of somebody who uses it.
struct Farm {
    hub: TestHub,
    boards: Boards,
    home: tempfile::TempDir,
}

impl Farm {
    async fn start(id_token: Duration) -> anyhow::Result<Self> {
        let boards = Boards::new(BoardsConfig::read(&SETTINGS.parse()?)?)?;
        let mut setup = setup(&boards);
        setup.config.people.id_token = Some(Period(id_token));
        let hub = TestHub::with(setup).await?;
        let home = tempfile::tempdir()?;
        for folder in ["lib/not-my-board", "run", ".config/not-my-board"] {
            std::fs::create_dir_all(home.path().join(folder))?;
        }
        Ok(Self { hub, boards, home })
    }

    /// One of the programs. They keep tokens and sockets in folders of the system, which here are the home's.
    fn program(&self, command: &str) -> anyhow::Result<Command> {
        let python = need::python("not_my_board").context("not-my-board is not installed")?;
        let mounts = "mount --bind \"$HOME/lib\" /var/lib && mount --bind \"$HOME/run\" /run && exec \"$@\"";
        let mut program = Command::new("unshare");
        program
            .args(["--mount", "sh", "-c", mounts, "sh"])
            .arg(python.with_file_name("not-my-board"))
            .arg(command)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        Ok(program)
    }

    /// One that speaks with the hub.
    fn at_hub(&self, command: &str, options: &[&str], files: &[&str]) -> anyhow::Result<Child> {
        let mut program = self.program(command)?;
        program.arg("--cacert").arg(self.hub.path().join("cert/hub-cert.pem"));
        program.args(options).arg(self.hub.url().to_string()).args(files);
        program.spawn().context("not-my-board could not be started")
    }

    /// What a command prints that speaks with the agent.
    async fn board(&self, command: &str, args: &[&str]) -> anyhow::Result<String> {
        let output = tokio::time::timeout(PATIENCE, self.program(command)?.args(args).output()).await??;
        ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn tokens(&self) -> PathBuf {
        self.home.path().join("lib/not-my-board/auth_tokens.json")
    }

    /// The ID token and the refresh token that signing in left.
    fn stored(&self) -> anyhow::Result<(String, String)> {
        let all: Value = serde_json::from_slice(&std::fs::read(self.tokens())?)?;
        let hub = &all[self.hub.url().to_string()];
        let text = |name: &str| hub[name].as_str().map(str::to_owned).context("a token");
        Ok((text("id")?, text("refresh")?))
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.home.path().join(name), text)?)
    }

    /// Signs somebody in, as that person would do it.
    async fn sign_in(&self, person: &TestPerson) -> anyhow::Result<()> {
        let mut login = self.at_hub("login", &[], &[])?;
        let mut output = BufReader::new(login.stdout.take().context("standard output is piped")?);
        let start = format!("{}/oidc/authorize?", self.hub.url());
        let told = line(&mut output, |line| line.contains(&start)).await?;
        let link = told.split_whitespace().find(|word| word.starts_with(&start)).context("a link")?;

        let visit = Visit::start().await?;
        visit.browser.client().goto(link).await?;
        visit.types("email", &person.email).await?;
        visit.types("password", PASSWORD).await?;
        visit.presses("Sign in").await?;
        visit.types("code", &person.code_in(&self.hub, 30)).await?;
        visit.presses("Continue").await?;
        visit.reads("Sign in to not-my-board?").await?;
        visit.reads(&person.email).await?;
        visit.presses("Sign in").await?;
        visit.reads("Continue in not-my-board CLI").await?;
        let complaints = visit.browser.complaints().await?;
        ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
        let ended = tokio::time::timeout(PATIENCE, login.wait()).await??;
        ensure!(ended.success(), "login: {ended}");
        Ok(())
    }
}

/// Somebody in front of a browser that knows nobody.
struct Visit {
    browser: Browser,
}

impl Visit {
    async fn start() -> anyhow::Result<Self> {
        let browser = Browser::start().await?;
        browser.screen(1280, 900, Colours::Light).await?;
        Ok(Self { browser })
    }

    async fn sees(&self, locator: Locator<'_>) -> anyhow::Result<Element> {
        if let Ok(found) = self.browser.client().wait().for_element(locator).await {
            return Ok(found);
        }
        let text = self.browser.client().find(Locator::Css("body")).await?.text().await?;
        anyhow::bail!("waited in vain for {locator:?}: {text}")
    }

    async fn types(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let field = self.sees(Locator::Css(&format!("[name={name:?}]:not([type=hidden])"))).await?;
        Ok(field.send_keys(text).await?)
    }

    async fn presses(&self, words: &str) -> anyhow::Result<()> {
        let path = format!("//main//button[normalize-space(.)={words:?}]");
        Ok(self.sees(Locator::XPath(&path)).await?.click().await?)
    }

    async fn reads(&self, words: &str) -> anyhow::Result<()> {
        let path =
            format!("//body//*[contains(normalize-space(.), {words:?})] | //body[contains(., {words:?})]");
        self.sees(Locator::XPath(&path)).await.map(drop)
    }
}

async fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

#[tokio::test]
async fn somebody_signs_in_with_an_account_here_and_uses_the_farm_under_that_name() -> anyhow::Result<()> {
    if !need("not-my-board") || !need("netns") || !need("chromium") {
        return Ok(());
    }
    let farm = Farm::start(Duration::from_hours(1)).await?;
    let grace = TestPerson::invite(&farm.hub, "Grace", &[(Role::Operator, "*")]).await?;
    farm.sign_in(&grace).await?;

    let (port, local) = (free_port().await?, free_port().await?);
    let echo = nave_testkit::echo::Echo::start().await?;
    let target = echo.address;
    farm.write(
        "bench.toml",
        &format!(
            "port = {port}\n[[parts]]\ncompatible = [\"demo\"]\ntcp.echo = {{ host = \"127.0.0.1\", port = {} }}\n",
            target.port()
        ),
    )?;
    farm.write(
        ".config/not-my-board/demo.toml",
        &format!("[parts.board]\ncompatible = [\"demo\"]\ntcp.echo = {{ local_port = {local} }}\n"),
    )?;
    let mut exporter = farm.at_hub("export", &[], &["bench.toml"])?;
    is_ready(&mut exporter).await?;
    let mut agent = farm.at_hub("agent", &[], &[])?;
    is_ready(&mut agent).await?;
    farm.board("attach", &["demo"]).await?;
    let who = farm.board("who", &["-n"]).await?;
    ensure!(who.split_whitespace().collect::<Vec<_>>() == ["@bench", "Grace"], "{who}");
    // The same reservation is her own in the console and on her command line.
    let op = grace.op(&farm.hub).await?;
    let held = farm::reservations(&op, farm.hub.hub())?;
    ensure!(held.len() == 1 && held[0].mine && held[0].holder == "Grace", "{held:?}");
    farm.board("detach", &["demo"]).await?;

    // What she reserves in the console, she uses from there, and keeps when that ends.
    let wish =
        ReserveRequest { places: vec!["bench".to_owned()], seconds: 3600, ..ReserveRequest::default() };
    let hers = wish::reserve(&op, farm.hub.hub(), &farm.boards, wish).await?;
    farm.board("attach", &["demo"]).await?;
    let held = farm::reservations(&op, farm.hub.hub())?;
    ensure!(held.len() == 1 && held[0].id == hers.id && held[0].until == hers.until, "{held:?}");
    let mut io = TcpStream::connect(("127.0.0.1", local)).await?;
    io.write_all(b"hello").await?;
    let mut heard = [0; 5];
    io.read_exact(&mut heard).await?;
    ensure!(&heard == b"hello", "{heard:?}");
    agent.start_kill()?;
    agent.wait().await?;
    let mut agent = farm.at_hub("agent", &[], &[])?;
    is_ready(&mut agent).await?;
    let held = farm::reservations(&op, farm.hub.hub())?;
    ensure!(held.len() == 1 && held[0].id == hers.id && !held[0].left_behind, "{held:?}");
    farm.board("reserve", &["demo"]).await?;

    // An account that is taken out of use loses what stands, at once.
    people::disable(&farm.hub.operator(), farm.hub.hub(), &grace.email).await?;
    for program in [&mut exporter, &mut agent] {
        let ended = tokio::time::timeout(PATIENCE, program.wait()).await.context("it is still there")??;
        ensure!(!ended.success(), "{ended}");
    }
    Ok(())
}

#[tokio::test]
async fn tokens_are_fetched_anew_and_a_stolen_one_ends_the_sign_in() -> anyhow::Result<()> {
    if !need("not-my-board") || !need("netns") || !need("chromium") {
        return Ok(());
    }
    let farm = Farm::start(Duration::from_secs(1)).await?;
    let grace = TestPerson::invite(&farm.hub, "Grace", &[(Role::Operator, "*")]).await?;
    farm.sign_in(&grace).await?;
    let port = free_port().await?;
    farm.write("bench.toml", &format!("port = {port}\n[[parts]]\ncompatible = [\"demo\"]\n"))?;
    let (first, refresh) = farm.stored()?;
    let ends = unverified(&first).and_then(|claims| claims["exp"].as_i64()).context("an end")?;
    until("the token has ended", || async {
        (farm.hub.hub().clock.now().unix_timestamp() > ends).then_some(())
    })
    .await?;
    let mut exporter = farm.at_hub("export", &[], &["bench.toml"])?;
    is_ready(&mut exporter).await?;
    let (second, next) = farm.stored()?;
    ensure!(second != first && next != refresh, "nothing was fetched");
    let claims = unverified(&second).context("claims")?;
    ensure!(
        claims["email"] == "grace@example.org" && claims["roles"] == serde_json::json!(["operator"]),
        "{claims:?}"
    );
    exporter.kill().await?;

    // Whoever has the refresh token from before ends the sign-in by using it, for everybody.
    let spoil = |id: &str, refresh: &str| -> anyhow::Result<()> {
        let url = farm.hub.url().to_string();
        let all = serde_json::json!({ url: { "id": id, "refresh": refresh } });
        Ok(std::fs::write(farm.tokens(), all.to_string())?)
    };
    for refresh in [&refresh, &next] {
        spoil(&first, refresh)?;
        let mut refused = farm.at_hub("export", &[], &["bench.toml"])?;
        let ended = tokio::time::timeout(PATIENCE, refused.wait()).await??;
        ensure!(!ended.success(), "a refresh token was taken that had been used");
    }
    let programs = people::idp::list(&farm.hub.operator(), farm.hub.hub(), &grace.email).await?;
    ensure!(programs.is_empty(), "{programs:?}");
    Ok(())
}
