//! not-my-board's own sign-in, from the Python registry and without a changed line: at a real provider, then with the
//! token that it left.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use nave_testkit::hub::TestHub;
use nave_testkit::need;
use nave_testkit::not_my_board;
use nave_testkit::oidc::{OidcProvider, client};
use nave_testkit::wait::PATIENCE;
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::client::{farm, get};

/// A farm whose clients sign in at a provider, and the home of somebody who uses it.
pub struct Farm {
    pub hub: TestHub,
    pub provider: OidcProvider,
    pub home: tempfile::TempDir,
}

impl Farm {
    pub async fn start() -> anyhow::Result<Self> {
        let mut provider = OidcProvider::start("https://localhost/oidc-callback").await?;
        let (issuer, ca) = (provider.issuer(), provider.ca());
        let hub = farm(&format!(
            r#"
            [not_my_board]
            enabled = true
            [not_my_board.auth]
            issuer = "{issuer}"
            client_id = "nave"
            ca = "{}"
            [[not_my_board.auth.permissions]]
            claims = {{ sub = "ada" }}
            roles = ["exporter"]
            "#,
            ca.display()
        ))
        .await?;
        let back = format!("https://localhost:{}/oidc-callback", hub.address().port());
        provider.change(json!({ "clients": [client(&back)], "refreshAlways": true })).await?;
        let home = tempfile::tempdir()?;
        for (name, port) in [("bench", 2192), ("other", 2193), ("third", 2194)] {
            let text = format!("port = {port}\n[[parts]]\ncompatible = [\"demo\"]\n");
            std::fs::write(home.path().join(format!("{name}.toml")), text)?;
        }
        std::fs::create_dir_all(home.path().join("lib/not-my-board"))?;
        Ok(Self { hub, provider, home })
    }

    /// Starts one of the programs. They keep tokens in a folder of the system, which here is one of the home's.
    pub fn program(&self, command: &str, options: &[&str], files: &[&str]) -> anyhow::Result<Child> {
        let mut program = Command::new("unshare");
        program
            .args(["--mount", "sh", "-c", "mount --bind \"$HOME/lib\" /var/lib && exec \"$@\"", "sh"])
            .arg(not_my_board::program("not-my-board")?)
            .args([command, "--cacert"])
            .arg(self.hub.path().join("cert/hub-cert.pem"))
            .arg("--cacert")
            .arg(self.provider.ca())
            .args(options)
            .arg(format!("https://localhost:{}", self.hub.address().port()))
            .args(files)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        program.spawn().context("not-my-board could not be started")
    }

    /// The file in which signing in leaves tokens.
    pub fn tokens(&self) -> PathBuf {
        self.home.path().join("lib/not-my-board/auth_tokens.json")
    }

    /// The ID token that signing in left.
    pub fn token(&self) -> anyhow::Result<String> {
        let tokens: Value = serde_json::from_slice(&std::fs::read(self.tokens())?)?;
        let hub = tokens.as_object().and_then(|hubs| hubs.values().next()).context("a hub")?;
        Ok(hub["id"].as_str().context("an ID token")?.to_owned())
    }
}

/// The first line that is asked for, of those that a program prints.
pub async fn line(
    output: &mut (impl AsyncBufRead + Unpin),
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<String> {
    let mut lines = output.lines();
    let search = async {
        while let Some(line) = lines.next_line().await? {
            if wanted(&line) {
                return Ok(line);
            }
        }
        anyhow::bail!("the program ended before it said what it should")
    };
    tokio::time::timeout(PATIENCE, search).await.context("the program does not say what it should")?
}

pub async fn is_ready(exporter: &mut Child) -> anyhow::Result<()> {
    let output = exporter.stdout.as_mut().context("standard output is piped")?;
    line(&mut BufReader::new(output), |line| line == "ready").await.map(drop)
}

#[tokio::test]
async fn pythons_own_sign_in_and_its_token_let_an_exporter_in() -> anyhow::Result<()> {
    if !need("oidc") || !need("not-my-board") || !need("netns") {
        return Ok(());
    }
    let farm = Farm::start().await?;
    let mut login = farm.program("login", &[], &[])?;
    let mut output = BufReader::new(login.stdout.take().context("standard output is piped")?);
    let issuer = farm.provider.issuer();
    let told = line(&mut output, |line| line.contains(&issuer)).await?;
    let link = told.split_whitespace().find(|word| word.starts_with(&issuer)).context("a link")?;
    let back = farm.provider.browser()?.sign_in(&link.parse()?, "ada").await?;
    ensure!(back.path() == "/oidc-callback", "{back}");
    let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
    let answer = get(&farm.hub, "127.0.0.1", &path).await?;
    ensure!(answer.ends_with("Continue in not-my-board CLI"), "{answer}");
    let ended = tokio::time::timeout(PATIENCE, login.wait()).await??;
    ensure!(ended.success(), "login: {ended}");

    // The token that it stored lets an exporter in, one that a command prints does too, and no token does not.
    let mut stored = farm.program("export", &[], &["bench.toml"])?;
    is_ready(&mut stored).await?;
    std::fs::write(farm.home.path().join("token"), farm.token()?)?;
    let mut printed = farm.program("export", &["--token-cmd", "cat token"], &["other.toml"])?;
    is_ready(&mut printed).await?;
    let mut without = farm.program("export", &["--token-cmd", "echo none"], &["third.toml"])?;
    let ended = tokio::time::timeout(PATIENCE, without.wait()).await??;
    ensure!(!ended.success(), "an exporter without a token was let in");
    Ok(())
}
