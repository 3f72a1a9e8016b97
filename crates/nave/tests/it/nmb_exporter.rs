//! Nave's exporter in the place of not-my-board's: with not-my-board's own hub and with Nave's, and with agents from the
//! Python registry, over real networks.

use anyhow::{Context as _, ensure};
use nave_testkit::need;
use nave_testkit::net::Net;
use nave_testkit::not_my_board;
use nave_testkit::wait::{PATIENCE, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::not_my_board::python;
use crate::program::{Background, NAVE, Output, run};

const PAGE: &str = "a page of the board";
const CONFIG: &str = r#"
    [boards.not_my_board]
    enabled = true
    open_to = ["198.18.0.0/24", "127.0.0.0/8", "::1", "2001:2::/48"]
"#;

/// Whose agent and command line a farm has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Agent {
    Python,
    Nave,
}

/// Which hub a farm has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hub {
    Python,
    Nave,
}

/// A hub and an exporter on the server, an agent on the laptop.
struct Farm {
    net: Net,
    kind: Hub,
    by: Agent,
    hub: Background,
    service: Background,
    exporter: Background,
    agent: Background,
}

impl Hub {
    fn url(self) -> &'static str {
        match self {
            Self::Python => "http://server:2092",
            Self::Nave => "https://server:3101",
        }
    }

    /// What it takes to reach it.
    fn arguments(self, net: &Net) -> Vec<String> {
        let cacert = net.server.data().join("cert/hub-cert.pem").display().to_string();
        let trust = match self {
            Self::Python => vec![],
            Self::Nave => vec!["--cacert".to_owned(), cacert],
        };
        [trust, vec![self.url().to_owned()]].concat()
    }

    async fn start(self, net: &Net) -> anyhow::Result<Background> {
        let (hub, word) = match self {
            Self::Python => (Background::start(&mut python(&net.server, &["hub"])?)?, "ready"),
            Self::Nave => {
                let config = net.server.home().join("hub.toml");
                std::fs::write(&config, CONFIG)?;
                let hub = Background::start(net.server.command(NAVE).args(["hub", "--config"]).arg(config))?;
                (hub, "the hub is ready")
            }
        };
        hub.says(word).await?;
        Ok(hub)
    }
}

async fn start_service(net: &Net) -> anyhow::Result<Background> {
    std::fs::write(net.server.home().join("page.txt"), PAGE)?;
    let mut server = net.server.command("python3");
    let service = Background::start(server.args(["-u", "-m", "http.server", "8080", "--bind", "127.0.0.1"]))?;
    service.says("Serving HTTP").await?;
    Ok(service)
}

async fn start_exporter(net: &Net, hub: Hub) -> anyhow::Result<Background> {
    let mut exporter = net.server.command(NAVE);
    exporter.args(["not-my-board", "export"]).args(hub.arguments(net)).arg("bench.toml");
    let exporter = Background::start(&mut exporter)?;
    exporter.says("ready").await?;
    Ok(exporter)
}

/// A command of the agent's side, on the laptop.
fn board(net: &Net, by: Agent, args: &[&str]) -> anyhow::Result<Command> {
    match by {
        Agent::Python => python(&net.laptop, args),
        Agent::Nave => {
            let mut command =
                not_my_board::in_own_run(net.laptop.home(), |program| net.laptop.command(program))?;
            command.args([NAVE, "not-my-board"]).args(args);
            Ok(command)
        }
    }
}

async fn start_agent(net: &Net, by: Agent, hub: Hub) -> anyhow::Result<Background> {
    let arguments = [vec!["agent".to_owned()], hub.arguments(net)].concat();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let agent = Background::start(&mut board(net, by, &arguments)?)?;
    agent.says("ready").await?;
    Ok(agent)
}

impl Farm {
    async fn start(kind: Hub, by: Agent) -> anyhow::Result<Self> {
        let net = Net::server_lab_laptop()?;
        std::fs::write(
            net.server.home().join("bench.toml"),
            "port = 2192\n[[parts]]\ncompatible = [\"demo\"]\ntcp.http = { host = \"127.0.0.1\", port = 8080 }\n",
        )?;
        let wishes = net.laptop.home().join(".config/not-my-board");
        std::fs::create_dir_all(&wishes)?;
        let wish = "[parts.web]\ncompatible = [\"demo\"]\ntcp.http = { local_port = 8081 }\n";
        std::fs::write(wishes.join("demo.toml"), wish)?;
        let hub = kind.start(&net).await?;
        let service = start_service(&net).await?;
        let exporter = start_exporter(&net, kind).await?;
        let agent = start_agent(&net, by, kind).await?;
        Ok(Self { net, kind, by, hub, service, exporter, agent })
    }

    async fn board(&self, args: &[&str]) -> anyhow::Result<Output> {
        run(&mut board(&self.net, self.by, args)?).await
    }

    async fn search(&self) -> anyhow::Result<String> {
        Ok(self.board(&["search", "demo"]).await?.ok()?.trim().to_owned())
    }

    async fn fetch(&self) -> anyhow::Result<Output> {
        let url = "http://localhost:8081/page.txt";
        run(self.net.laptop.command("curl").args(["--silent", "--fail", "--max-time", "10", url])).await
    }

    async fn serves(&self) -> anyhow::Result<()> {
        let page = || async { (self.fetch().await.ok()?.ok().ok()? == PAGE).then_some(()) };
        until("the agent reaches the board", page).await.with_context(|| self.exporter.output())
    }

    /// What the exporter answers to somebody at the laptop who asks it for a target.
    async fn asks_for(&self, target: &str) -> anyhow::Result<String> {
        let mut curl = self.net.laptop.command("curl");
        curl.args(["--silent", "--proxytunnel", "--proxy", "http://server:2192", "--max-time", "10"]);
        curl.args(["--write-out", "%{http_connect}", "--output", "/dev/null", &format!("http://{target}/")]);
        Ok(run(&mut curl).await?.stdout)
    }

    /// Ends the exporter as a system does; it must say goodbye.
    async fn stop_exporter(&mut self) -> anyhow::Result<()> {
        let id = self.exporter.child.id().context("it runs")?;
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)?;
        let ended = tokio::time::timeout(PATIENCE, self.exporter.child.wait()).await??;
        ensure!(ended.success(), "the exporter ended with {ended}: {}", self.exporter.output());
        Ok(())
    }

    /// Reserves the board, uses it, finds it broken, repairs it, and gives it back.
    async fn day(&mut self) -> anyhow::Result<()> {
        ensure!(self.search().await? == "@bench", "the place is not in the farm");
        ensure!(self.asks_for("127.0.0.1:8080").await? == "403", "whoever has not reserved is let through");
        self.board(&["reserve", "demo"]).await?.ok()?;
        self.board(&["attach", "demo"]).await?.ok()?;
        self.serves().await?;
        let table = self.board(&["status", "-n"]).await?.ok()?;
        ensure!(table.contains("Up"), "{table}");
        ensure!(self.asks_for("127.0.0.1:22").await? == "403", "what is not exported can be reached");

        self.service.child.kill().await?;
        ensure!(self.asks_for("127.0.0.1:8080").await? == "502", "a target that is down is not told of");
        ensure!(self.fetch().await?.code != 0, "nobody serves the page");
        self.exporter.says("127.0.0.1:8080 cannot be reached from here: Connection refused").await?;
        self.service = start_service(&self.net).await?;
        self.serves().await
    }

    async fn give_back(&self) -> anyhow::Result<()> {
        self.board(&["detach", "demo"]).await?.ok()?;
        ensure!(self.asks_for("127.0.0.1:8080").await? == "403", "who gave the place back is let through");
        Ok(())
    }

    /// The hub is killed and comes back; the exporter by itself, a Python agent only if it is started again.
    async fn lose_hub(&mut self) -> anyhow::Result<()> {
        self.exporter.forget();
        self.hub.child.kill().await?;
        self.exporter.says("the hub is gone").await?;
        self.agent.child.wait().await?;
        self.hub = self.kind.start(&self.net).await?;
        self.exporter.says("the place is registered").await?;
        self.agent = start_agent(&self.net, self.by, self.kind).await?;
        Ok(())
    }
}

#[tokio::test]
async fn naves_exporter_serves_pythons_hub_and_agent_over_netns() -> anyhow::Result<()> {
    if !need("netns") || !need("not-my-board") || !need("curl") {
        return Ok(());
    }
    let mut farm = Farm::start(Hub::Python, Agent::Python).await?;
    farm.day().await?;
    farm.give_back().await?;
    // The system ends it, and it is in the farm no more.
    farm.stop_exporter().await?;
    ensure!(farm.search().await?.is_empty(), "the place is still there");
    // It is killed, and comes back.
    farm.exporter = start_exporter(&farm.net, farm.kind).await?;
    farm.exporter.child.kill().await?;
    farm.exporter = start_exporter(&farm.net, farm.kind).await?;
    farm.lose_hub().await?;
    farm.day().await?;
    farm.give_back().await
}

#[tokio::test]
async fn naves_exporter_serves_naves_hub_and_a_python_agent_over_netns() -> anyhow::Result<()> {
    if !need("netns") || !need("not-my-board") || !need("curl") {
        return Ok(());
    }
    let mut farm = Farm::start(Hub::Nave, Agent::Python).await?;
    farm.day().await?;
    // With this hub, whoever has the place keeps it while the exporter is away.
    farm.exporter.child.kill().await?;
    farm.exporter = start_exporter(&farm.net, farm.kind).await?;
    farm.serves().await?;
    farm.give_back().await?;
    farm.lose_hub().await?;
    farm.board(&["attach", "demo"]).await?.ok()?;
    farm.serves().await?;
    farm.stop_exporter().await
}

#[tokio::test]
async fn naves_exporter_and_agent_share_a_board_by_pythons_hub_over_netns() -> anyhow::Result<()> {
    if !need("netns") || !need("not-my-board") || !need("curl") {
        return Ok(());
    }
    let mut farm = Farm::start(Hub::Python, Agent::Nave).await?;
    farm.day().await?;
    // What is attached stays so while the hub is killed and comes back; both ends come back to it by themselves.
    farm.exporter.forget();
    farm.hub.child.kill().await?;
    farm.exporter.says("the hub is gone").await?;
    farm.serves().await?;
    farm.hub = farm.kind.start(&farm.net).await?;
    farm.exporter.says("the place is registered").await?;
    let held = || async {
        let who = farm.board(&["who", "-n"]).await.ok()?.ok().ok()?;
        who.contains("@bench").then_some(())
    };
    until("the place is reserved again", held).await?;
    farm.serves().await?;
    farm.give_back().await?;
    farm.stop_exporter().await
}

#[tokio::test]
async fn commands_are_run_for_pythons_hub_and_agent_too_over_netns() -> anyhow::Result<()> {
    if !need("netns") || !need("not-my-board") || !need("curl") {
        return Ok(());
    }
    let mut farm = Farm::start(Hub::Python, Agent::Python).await?;
    farm.stop_exporter().await?;
    let home = farm.net.server.home().to_owned();
    let log = || std::fs::read_to_string(home.join("log")).unwrap_or_default();
    let described = std::fs::read_to_string(home.join("bench.toml"))?;
    let commands = "[hooks]\nbefore = \"echo before $NAVE_PLACE $NAVE_HOLDER >> log; test ! -e broken || { echo no board; exit 3; }\"\n\
                    after = \"echo after $NAVE_HOLDER >> log\"\n";
    std::fs::write(home.join("bench.toml"), format!("{described}{commands}"))?;
    // Python's exporter takes the same file, and passes over what it does not know.
    let url = farm.kind.url();
    let other = Background::start(&mut python(&farm.net.server, &["export", url, "bench.toml"])?)?;
    other.says("ready").await?;
    drop(other);
    until("the place is gone", async || {
        farm.search().await.is_ok_and(|found| found.is_empty()).then_some(())
    })
    .await?;

    farm.exporter = start_exporter(&farm.net, farm.kind).await?;
    farm.day().await?;
    ensure!(log().starts_with("before bench 2001:2::3"), "{}", log());
    ensure!(log().lines().count() == 1, "{}", log());
    farm.give_back().await?;
    until("what follows is run", async || (log().lines().count() == 2).then_some(())).await?;
    ensure!(log().ends_with("\nafter 2001:2::3\n"), "{}", log());

    // Whoever reserves it hears that it is broken, and does not have it.
    std::fs::write(home.join("broken"), "")?;
    let refused = farm.board(&["reserve", "demo"]).await?;
    let words = "the command before a reservation failed with exit status 3: no board";
    ensure!(refused.code != 0 && refused.stderr.contains(words), "{refused:?}");
    ensure!(farm.asks_for("127.0.0.1:8080").await? == "403", "somebody is let through to what is broken");
    until("what follows is run", async || (log().lines().count() == 4).then_some(())).await?;
    std::fs::remove_file(home.join("broken"))?;
    farm.day().await?;

    // Killed while somebody has it: the hub forgets the reservation, the exporter does not forget what is due.
    farm.exporter.child.kill().await?;
    std::fs::remove_file(home.join("log"))?;
    farm.exporter = start_exporter(&farm.net, farm.kind).await?;
    until("what is due is run", async || log().starts_with("after ").then_some(())).await?;
    farm.stop_exporter().await
}

#[tokio::test]
async fn an_exporter_that_cannot_start_says_why_in_netns() -> anyhow::Result<()> {
    if !need("netns") {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let export = async |arguments: &[&str]| {
        run(net.server.command(NAVE).args(["not-my-board", "export"]).args(arguments)).await
    };
    std::fs::write(net.server.home().join("bench.toml"), "port = 70000\nparts = []\n")?;
    for (arguments, words) in [
        (&["http://server:2092", "bench.toml"][..], "bench.toml, line 1, column 8: `port`: invalid value"),
        (&["http://server:2092", "none.toml"], "the export description none.toml cannot be read"),
        (&["server:2092", "bench.toml"], "write http://HOST:PORT or https://HOST:PORT"),
        (&["--cacert", "none.pem", "https://server:3101", "bench.toml"], "none.pem"),
    ] {
        let ended = export(arguments).await?;
        ensure!(ended.code == 1 && ended.stderr.contains(words), "{arguments:?}: {ended:?}");
    }
    Ok(())
}
