//! not-my-board's own exporter, agent and command line, from the Python registry and without a changed line, at this
//! hub: over real networks, with certificates as their `--cacert` takes them.

use anyhow::{Context as _, ensure};
use nave_testkit::need;
use nave_testkit::net::{Host, Net};
use nave_testkit::not_my_board;
use nave_testkit::wait::until;
use tokio::process::Command;

use crate::program::{Background, NAVE, Output, run};

const PAGE: &str = "a page of the board";
const CONFIG: &str = r#"
    [[listener]]
    address = "[::]:3101"
    [[listener]]
    address = "[::]:8443"
    identity = "ca"
    [tls]
    ca_host = "server"
    [boards.not_my_board]
    enabled = true
    open_to = ["198.18.0.0/24", "127.0.0.0/8", "::1", "2001:2::/48"]
"#;

/// A program from the environment that tests install, with a folder of the host as its `/run`.
pub fn python(host: &Host, args: &[&str]) -> anyhow::Result<Command> {
    let mut command = not_my_board::in_own_run(host.home(), |program| host.command(program))?;
    command.arg(not_my_board::program("not-my-board")?).args(args).env("PYTHONUNBUFFERED", "1");
    Ok(command)
}

struct Farm {
    net: Net,
    programs: Programs,
    hub: Background,
    exporter: Background,
    agent: Background,
    _service: Background,
}

/// Which version of the programs.
#[derive(Clone, Copy)]
enum Programs {
    /// The newest one.
    Newest,
    /// 0.12.0.
    Older,
}

impl Programs {
    fn command(self, host: &Host, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = python(host, args)?;
        if let Self::Older = self {
            let folder = nave_testkit::need::older_python().context("the older version is not installed")?;
            command.env("PYTHONPATH", folder);
        }
        Ok(command)
    }
}

fn path(path: &std::path::Path) -> String {
    path.display().to_string()
}

async fn start_hub(net: &Net) -> anyhow::Result<Background> {
    let config = net.server.home().join("hub.toml");
    let hub = Background::start(net.server.command(NAVE).args(["hub", "--config"]).arg(config))?;
    hub.says("the hub is ready").await?;
    Ok(hub)
}

/// The exporter is on the hub's machine and verifies the hub's own certificate.
async fn start_exporter(net: &Net, programs: Programs) -> anyhow::Result<Background> {
    let cacert = path(&net.server.data().join("cert/hub-cert.pem"));
    let place = path(&net.server.home().join("bench.toml"));
    let exporter = Background::start(
        &mut programs
            .command(&net.server, &["export", "--cacert", &cacert, "https://localhost:3101", &place])?,
    )?;
    exporter.says("ready").await?;
    Ok(exporter)
}

/// The agent is elsewhere and verifies a certificate of the private authority.
async fn start_agent(net: &Net, programs: Programs) -> anyhow::Result<Background> {
    let cacert = path(&net.server.data().join("ca/root-cert.pem"));
    let agent = Background::start(
        &mut programs.command(&net.laptop, &["agent", "--cacert", &cacert, "https://server:8443"])?,
    )?;
    agent.says("ready").await?;
    Ok(agent)
}

/// Started by systemd's activator, at the first connection.
async fn activate_hub(net: &Net) -> anyhow::Result<Background> {
    let config = net.server.home().join("hub.toml");
    std::fs::write(&config, CONFIG.replace("[[listener]]\n    address = \"[::]:3101\"\n", ""))?;
    let mut activator = net.server.command("systemd-socket-activate");
    activator.args(["-l", "3101", "-E", "HOME", "-E", "NAVE_DIR", NAVE, "hub", "--config"]);
    let hub = Background::start(activator.arg(config))?;
    hub.says("Listening on [::]:3101").await?;
    // Its certificate, which the programs verify, is made at its first start.
    let mut first = net.server.command("curl");
    first.args(["--silent", "--fail", "--insecure", "--max-time", "30", "https://localhost:3101/healthz"]);
    run(&mut first).await?.ok().with_context(|| hub.output())?;
    Ok(hub)
}

async fn farm(programs: Programs) -> anyhow::Result<Farm> {
    let net = Net::server_lab_laptop()?;
    std::fs::write(net.server.home().join("hub.toml"), CONFIG)?;
    for args in [&["ca", "init"][..], &["ca", "issue", "server"]] {
        run(net.server.command(NAVE).args(args)).await?.ok()?;
    }
    let hub = match programs {
        Programs::Newest => start_hub(&net).await?,
        Programs::Older => activate_hub(&net).await?,
    };

    std::fs::write(net.server.home().join("page.txt"), PAGE)?;
    let mut server = net.server.command("python3");
    let service = Background::start(server.args(["-u", "-m", "http.server", "8080", "--bind", "127.0.0.1"]))?;
    service.says("Serving HTTP").await?;
    // `web_terminal` is a word of Nave's, which not-my-board's exporter passes over.
    std::fs::write(
        net.server.home().join("bench.toml"),
        "port = 2192\n[[parts]]\ncompatible = [\"demo\", \"v2\"]\ntcp.http = { host = \"127.0.0.1\", port = 8080, web_terminal = true }\n",
    )?;
    let exporter = start_exporter(&net, programs).await?;
    let wishes = net.laptop.home().join(".config/not-my-board");
    std::fs::create_dir_all(&wishes)?;
    std::fs::write(
        wishes.join("demo.toml"),
        "[parts.web]\ncompatible = [\"demo\"]\ntcp.http = { local_port = 8081 }\n",
    )?;
    let agent = start_agent(&net, programs).await?;
    Ok(Farm { net, programs, hub, exporter, agent, _service: service })
}

impl Farm {
    async fn board(&self, args: &[&str]) -> anyhow::Result<Output> {
        run(&mut self.programs.command(&self.net.laptop, args)?).await
    }

    /// What a table says, without its colours.
    async fn table(&self, args: &[&str]) -> anyhow::Result<Vec<String>> {
        let printed = self.board(args).await?.ok()?;
        let plain: String = printed
            .split('\u{1b}')
            .enumerate()
            .map(|(at, part)| if at == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) })
            .collect();
        Ok(plain.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
    }

    async fn fetch(&self) -> anyhow::Result<Output> {
        let url = "http://localhost:8081/page.txt";
        run(self.net.laptop.command("curl").args(["--silent", "--fail", "--max-time", "10", url])).await
    }
}

#[tokio::test]
async fn python_programs_on_netns_hosts_use_this_hub() -> anyhow::Result<()> {
    if !need("netns") || !need("not-my-board") || !need("curl") {
        return Ok(());
    }
    let mut farm = farm(Programs::Newest).await?;
    assert_eq!(farm.table(&["search", "demo"]).await?, ["@bench"]);
    farm.board(&["reserve", "demo"]).await?.ok()?;
    assert_eq!(farm.table(&["list", "-n"]).await?, ["demo@bench Reserved"]);
    ensure!(farm.fetch().await?.code != 0, "the place is open before it is attached");
    farm.board(&["attach", "demo"]).await?.ok()?;
    assert_eq!(farm.table(&["list", "-n"]).await?, ["demo@bench Attached"]);
    assert_eq!(farm.table(&["status", "-n"]).await?, ["demo web TCP http Up 8081"]);
    assert_eq!(farm.fetch().await?.ok()?, PAGE);
    assert_eq!(farm.table(&["who", "-n"]).await?, ["@bench <2>"]);
    let again = farm.board(&["reserve", "-n", "other", "demo"]);
    let again = tokio::time::timeout(std::time::Duration::from_secs(3), again).await;
    ensure!(again.is_err(), "a place was given to two: {again:?}");

    // The exporter comes back, and the place is still reserved and attached.
    farm.exporter.child.kill().await?;
    farm.exporter = until("the exporter is let in again", || async {
        start_exporter(&farm.net, farm.programs).await.ok()
    })
    .await?;
    let served = || async { (farm.fetch().await.ok()?.ok().ok()? == PAGE).then_some(()) };
    until("the holder reaches its place through the new exporter", served).await?;

    farm.board(&["detach", "demo"]).await?.ok()?;
    assert_eq!(farm.table(&["list", "-n"]).await?, [""; 0]);
    assert_eq!(farm.table(&["who", "-n"]).await?, [""; 0]);
    ensure!(farm.fetch().await?.code != 0, "the place is open after it was returned");

    // The hub is killed with a place reserved, and all three come back.
    farm.board(&["reserve", "demo"]).await?.ok()?;
    farm.hub.child.kill().await?;
    farm.agent.child.wait().await?;
    farm.exporter.child.wait().await?;
    farm.hub = start_hub(&farm.net).await?;
    farm.exporter = start_exporter(&farm.net, farm.programs).await?;
    farm.agent = start_agent(&farm.net, farm.programs).await?;
    farm.board(&["attach", "demo"]).await?.ok()?;
    assert_eq!(farm.fetch().await?.ok()?, PAGE);
    let audit = run(farm.net.server.command(NAVE).args(["audit", "--json"])).await?.ok()?;
    let grants = audit.matches("lease.granted").count();
    assert_eq!(grants, 2, "the second lease outlived the hub: {audit}");
    Ok(())
}

#[tokio::test]
async fn an_older_version_uses_a_hub_that_is_started_by_its_first_client_on_netns_hosts() -> anyhow::Result<()>
{
    if !need("netns") || !need("not-my-board-0.12") || !need("curl") || !need("systemd") {
        return Ok(());
    }
    let farm = farm(Programs::Older).await?;
    let version = farm.board(&["--version"]).await?.ok()?;
    ensure!(version.trim().ends_with("0.12.0"), "{version}");
    assert_eq!(farm.table(&["search", "demo"]).await?, ["@bench"]);
    farm.board(&["attach", "demo"]).await?.ok()?;
    assert_eq!(farm.table(&["list", "-n"]).await?, ["demo@bench Attached"]);
    assert_eq!(farm.table(&["status", "-n"]).await?, ["demo web TCP http Up 8081"]);
    assert_eq!(farm.fetch().await?.ok()?, PAGE);
    assert_eq!(farm.table(&["who", "-n"]).await?, ["@bench <2>"]);
    farm.board(&["detach", "demo"]).await?.ok()?;
    ensure!(farm.fetch().await?.code != 0, "the place is open after it was returned");
    Ok(())
}
