//! Agents and command lines of not-my-board, Python's and ours in every pairing, at Python's hub and at ours: what people
//! and scripts see is the same.

use std::path::Path;

use anyhow::{Context as _, ensure};
use nave_testkit::need;
use nave_testkit::net::{Host, Net};
use nave_testkit::not_my_board;
use nave_testkit::wait::until;
use tokio::process::Command;

use crate::program::{Background, NAVE, Output, run};

const PAGE: &str = "a page of the board";
const CONFIG: &str = r#"
    [boards.not_my_board]
    enabled = true
    open_to = ["198.18.0.0/24", "127.0.0.0/8", "::1", "2001:2::/48"]
"#;
const EXPORT: &str = r#"
    port = 2192
    [[parts]]
    compatible = ["demo", "v2"]
    tcp.http = { host = "127.0.0.1", port = 8080 }
    tcp.down = { host = "127.0.0.1", port = 9 }
"#;
const IMPORT: &str = r#"
    [parts.web]
    compatible = ["demo"]
    tcp.http = { local_port = 8081 }
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Python,
    Nave,
}

/// not-my-board's command line, or ours.
fn board(by: By, host: &Host, args: &[&str]) -> anyhow::Result<Command> {
    let mut command = not_my_board::in_own_run(host.home(), |program| host.command(program))?;
    match by {
        By::Python => {
            command.arg(not_my_board::program("not-my-board")?).env("PYTHONUNBUFFERED", "1");
        }
        By::Nave => {
            command.args([NAVE, "not-my-board"]);
        }
    }
    command.args(args);
    Ok(command)
}

struct Farm {
    net: Net,
    hub: Background,
    exporter: Background,
    agent: Background,
    service: Background,
}

fn hub_arguments(by: By, net: &Net, host: &str) -> Vec<String> {
    match by {
        By::Python => vec![format!("http://{host}:2092")],
        By::Nave => {
            let cacert = net.server.data().join("cert/hub-cert.pem").display().to_string();
            vec!["--cacert".to_owned(), cacert, format!("https://{host}:3101")]
        }
    }
}

async fn start_hub(by: By, net: &Net) -> anyhow::Result<Background> {
    match by {
        By::Python => {
            let hub = Background::start(&mut board(By::Python, &net.server, &["hub"])?)?;
            hub.says("ready").await?;
            Ok(hub)
        }
        By::Nave => {
            let config = net.server.home().join("hub.toml");
            std::fs::write(&config, CONFIG)?;
            let mut hub = net.server.command(NAVE);
            let listen = ["--listen", "[::]:3101"];
            let hub = Background::start(hub.args(["hub", "--config"]).arg(config).args(listen))?;
            hub.says("the hub is ready").await?;
            Ok(hub)
        }
    }
}

async fn start(program: &str, by: By, host: &Host, more: Vec<String>) -> anyhow::Result<Background> {
    let mut command = board(by, host, &[program])?;
    let started = Background::start(command.args(more))?;
    started.says("ready").await?;
    Ok(started)
}

async fn start_exporter(hub: By, net: &Net) -> anyhow::Result<Background> {
    let mut arguments = hub_arguments(hub, net, "localhost");
    arguments.push(net.server.home().join("bench.toml").display().to_string());
    start("export", By::Python, &net.server, arguments).await
}

async fn start_service(net: &Net) -> anyhow::Result<Background> {
    let mut server = net.server.command("python3");
    let service = Background::start(server.args(["-u", "-m", "http.server", "8080", "--bind", "127.0.0.1"]))?;
    service.says("Serving HTTP").await?;
    Ok(service)
}

async fn farm(hub: By, agent: By) -> anyhow::Result<Farm> {
    let net = Net::server_lab_laptop()?;
    let running = start_hub(hub, &net).await?;
    std::fs::write(net.server.home().join("page.txt"), PAGE)?;
    std::fs::write(net.server.home().join("bench.toml"), EXPORT)?;
    let service = start_service(&net).await?;
    let exporter = start_exporter(hub, &net).await?;
    let wishes = net.laptop.home().join(".config/not-my-board");
    std::fs::create_dir_all(&wishes)?;
    std::fs::write(wishes.join("demo.toml"), IMPORT)?;
    let agent = start("agent", agent, &net.laptop, hub_arguments(hub, &net, "server")).await?;
    Ok(Farm { net, hub: running, exporter, agent, service })
}

impl Farm {
    async fn board(&self, by: By, args: &[&str]) -> anyhow::Result<Output> {
        run(board(by, &self.net.laptop, args)?.env("EDITOR", self.net.laptop.home().join("editor"))).await
    }

    async fn fetch(&self, port: u16) -> anyhow::Result<Output> {
        let url = format!("http://localhost:{port}/page.txt");
        run(self.net.laptop.command("curl").args(["--silent", "--fail", "--max-time", "10", &url])).await
    }

    /// What is asked prints the same, whoever asks.
    async fn looks_the_same(&self) -> anyhow::Result<()> {
        for asked in [
            &["list"][..],
            &["status", "--no-head"],
            &["who"],
            &["search"],
            &["show", "@bench"],
            &["show", "--json", "@bench"],
        ] {
            let python = self.board(By::Python, asked).await?.ok()?;
            let ours = self.board(By::Nave, asked).await?.ok()?;
            assert_eq!(ours, python, "{asked:?}");
        }
        Ok(())
    }

    async fn prints(&self, by: By, args: &[&str], expected: &str) -> anyhow::Result<()> {
        assert_eq!(self.board(by, args).await?.ok()?, expected, "{args:?} by {by:?}");
        Ok(())
    }
}

fn editor(host: &Host, script: &str) -> anyhow::Result<()> {
    let path = host.home().join("editor");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

fn is_there() -> bool {
    need("netns") && need("not-my-board") && need("curl")
}

/// A place goes from hand to hand through one command line; both see the same at every step.
async fn use_the_farm(farm: &Farm, by: By) -> anyhow::Result<()> {
    farm.prints(by, &["search", "demo"], "@bench\n").await?;
    farm.prints(by, &["list"], "").await?;
    farm.board(by, &["reserve", "-n", "mine", "demo@bench"]).await?.ok()?;
    farm.prints(by, &["list", "-n"], "mine@bench  Reserved\n").await?;
    ensure!(farm.fetch(8081).await?.code != 0, "the place is open before it is attached");
    farm.board(by, &["attach", "mine"]).await?.ok()?;
    assert_eq!(farm.fetch(8081).await?.ok()?, PAGE);
    farm.prints(by, &["status", "-n"], "mine  web  TCP  http  Up  8081\n").await?;
    farm.looks_the_same().await?;
    let python = farm.board(By::Python, &["show", "mine"]).await?.ok()?;
    assert_eq!(farm.board(By::Nave, &["show", "mine"]).await?.ok()?, python);
    let still = farm.board(by, &["return", "mine"]).await?;
    assert_eq!(still.code, 1);
    ensure!(still.stderr.contains("Place \"mine\" is still attached"), "{}", still.stderr);

    editor(&farm.net.laptop, "sed -i s/8081/8082/ \"$1\"")?;
    farm.board(by, &["edit", "mine"]).await?.ok()?;
    farm.prints(by, &["status", "-n"], "mine  web  TCP  http  Up  8082\n").await?;
    assert_eq!(farm.fetch(8082).await?.ok()?, PAGE);
    ensure!(farm.fetch(8081).await?.code != 0, "the port from before is open");
    editor(&farm.net.laptop, "sed -i s/demo/other/ \"$1\"")?;
    let refused = farm.board(by, &["edit", "mine"]).await?;
    assert_eq!(refused.code, 1);
    ensure!(
        refused.stderr.contains("doesn't match") && refused.stderr.contains("\"other\""),
        "{}",
        refused.stderr
    );

    farm.board(by, &["detach", "-k", "mine"]).await?.ok()?;
    farm.prints(by, &["list", "-n"], "mine@bench  Reserved\n").await?;
    ensure!(farm.fetch(8082).await?.code != 0, "the place is open after it was detached");
    farm.board(by, &["return", "mine"]).await?.ok()?;
    farm.board(by, &["attach", "demo"]).await?.ok()?;
    farm.prints(by, &["list", "-n"], "demo@bench  Attached\n").await?;
    assert_eq!(farm.fetch(8081).await?.ok()?, PAGE);
    farm.board(by, &["detach"]).await?.ok()?;
    farm.prints(by, &["list"], "").await?;
    farm.prints(by, &["who"], "").await?;
    for (asked, words) in [
        (&["return", "demo"][..], "A place named \"demo\" is not reserved"),
        (&["show", "@nothing"], "Place with name \"nothing\" doesn't exist"),
        (&["reserve", "demo@elsewhere"], "No matching place found"),
        (&["attach", "nothing"], "No import description file exists for name nothing"),
    ] {
        let failed = farm.board(by, asked).await?;
        assert_eq!(failed.code, 1, "{asked:?}");
        ensure!(failed.stderr.contains(words), "{asked:?}: {}", failed.stderr);
        if by == By::Nave {
            assert_eq!(failed.stderr, format!("nave: {words}\n"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn netns_our_command_line_drives_pythons_agent() -> anyhow::Result<()> {
    if !is_there() {
        return Ok(());
    }
    use_the_farm(&farm(By::Python, By::Python).await?, By::Nave).await
}

#[tokio::test]
async fn netns_pythons_command_line_drives_our_agent_at_pythons_hub() -> anyhow::Result<()> {
    if !is_there() {
        return Ok(());
    }
    use_the_farm(&farm(By::Python, By::Nave).await?, By::Python).await
}

#[tokio::test]
async fn netns_our_command_line_drives_our_agent_at_our_hub() -> anyhow::Result<()> {
    if !is_there() {
        return Ok(());
    }
    use_the_farm(&farm(By::Nave, By::Nave).await?, By::Nave).await
}

fn wish(host: &Host, name: &str, toml: &str) -> anyhow::Result<()> {
    Ok(std::fs::write(host.home().join(format!(".config/not-my-board/{name}.toml")), toml)?)
}

#[tokio::test]
async fn netns_what_cannot_be_attached_is_told_and_nothing_is_left_open() -> anyhow::Result<()> {
    if !is_there() {
        return Ok(());
    }
    let farm = farm(By::Python, By::Nave).await?;
    let part = "[parts.web]\ncompatible = [\"demo\"]\n";
    wish(
        &farm.net.laptop,
        "half",
        &format!("{part}tcp.http = {{ local_port = 8081 }}\ntcp.down = {{ local_port = 8082 }}\n"),
    )?;
    let down = farm.board(By::Nave, &["attach", "half"]).await?;
    assert_eq!(down.code, 1);
    assert_eq!(
        down.stderr,
        "nave: Place \"half\" is not attached: web.down: 127.0.0.1:9 cannot be reached through the exporter: the exporter \
         cannot connect to it, or it ends connections at once\n"
    );
    ensure!(farm.fetch(8081).await?.code != 0, "an interface is open although the place is not attached");
    farm.prints(By::Nave, &["list", "-n"], "half@bench  Reserved\n").await?;
    farm.board(By::Nave, &["return", "half"]).await?.ok()?;

    let mut other = farm.net.laptop.command("python3");
    let other = Background::start(other.args(["-u", "-m", "http.server", "8081", "--bind", "127.0.0.1"]))?;
    other.says("Serving HTTP").await?;
    let taken = farm.board(By::Python, &["attach", "demo"]).await?;
    assert_eq!(taken.code, 1);
    let words = "web.http: port 8081 of this machine cannot be used: another program listens on it";
    ensure!(taken.stderr.contains(words), "{}", taken.stderr);
    drop(other);

    // A change that cannot be attached leaves everything as it was.
    farm.board(By::Nave, &["attach", "demo"]).await?.ok()?;
    editor(&farm.net.laptop, "echo 'tcp.down = { local_port = 8083 }' >>\"$1\"")?;
    let refused = farm.board(By::Nave, &["edit", "demo"]).await?;
    assert_eq!(refused.code, 1);
    ensure!(refused.stderr.contains("web.down"), "{}", refused.stderr);
    farm.prints(By::Nave, &["status", "-n"], "demo  web  TCP  http  Up  8081\n").await?;
    assert_eq!(farm.fetch(8081).await?.ok()?, PAGE);
    Ok(())
}

#[tokio::test]
async fn netns_a_place_goes_back_by_itself_and_a_waiter_that_leaves_has_nothing() -> anyhow::Result<()> {
    if !is_there() {
        return Ok(());
    }
    let farm = farm(By::Python, By::Nave).await?;
    wish(&farm.net.laptop, "short", &format!("auto_return_time = \"2s\"\n{IMPORT}"))?;
    farm.board(By::Nave, &["attach", "short"]).await?.ok()?;
    let gone = || async { farm.board(By::Nave, &["list"]).await.ok()?.stdout.is_empty().then_some(()) };
    until("the place is back", gone).await?;
    ensure!(farm.fetch(8081).await?.code != 0, "the place is open after it went back");
    farm.prints(By::Nave, &["who"], "").await?;

    farm.board(By::Nave, &["reserve", "demo"]).await?.ok()?;
    for by in [By::Python, By::Nave] {
        let mut waiter =
            Background::start(&mut board(by, &farm.net.laptop, &["reserve", "-n", "x", "demo"])?)?;
        let queue = || async {
            let url = "http://localhost:2092/metrics";
            let metrics = run(farm.net.server.command("curl").args(["--silent", url])).await.ok()?.stdout;
            let line =
                metrics.lines().find(|line| line.starts_with("not_my_board_reservation_queue_length"))?;
            Some(line.ends_with(" 1.0"))
        };
        until("somebody waits", || async { queue().await?.then_some(()) }).await?;
        waiter.child.kill().await?;
        until("nobody waits", || async { (!queue().await?).then_some(()) }).await?;
    }
    farm.board(By::Nave, &["return", "demo"]).await?.ok()?;
    farm.prints(By::Nave, &["who"], "").await
}

#[tokio::test]
async fn netns_a_hub_that_comes_back_finds_its_agent_and_places_stay_attached() -> anyhow::Result<()> {
    if !is_there() {
        return Ok(());
    }
    for hub in [By::Python, By::Nave] {
        let mut farm = farm(hub, By::Nave).await?;
        farm.board(By::Python, &["attach", "demo"]).await?.ok()?;
        farm.hub.child.kill().await?;
        farm.agent.says("the hub is gone").await?;
        let away = farm.board(By::Nave, &["search"]).await?;
        ensure!(away.stderr.contains("the hub cannot be reached now"), "{away:?}");
        farm.exporter.child.wait().await?;
        farm.prints(By::Nave, &["status", "-n"], "demo  web  TCP  http  Up  8081\n").await?;
        farm.hub = start_hub(hub, &farm.net).await?;
        farm.exporter = start_exporter(hub, &farm.net).await?;
        farm.agent.says("a reserved place is reached in another way now").await?;
        assert_eq!(farm.fetch(8081).await?.ok()?, PAGE);
        ensure!(farm.board(By::Nave, &["who", "-n"]).await?.ok()?.starts_with("@bench  "), "nobody has it");
        farm.board(By::Nave, &["detach"]).await?.ok()?;
        farm.prints(By::Nave, &["who"], "").await?;

        // Told to end, the agent gives back what it has, and ends well.
        farm.board(By::Nave, &["reserve", "demo"]).await?.ok()?;
        let id = farm.agent.child.id().context("the agent has ended")?;
        run(farm.net.laptop.command("kill").args(["-TERM", &id.to_string()])).await?.ok()?;
        ensure!(farm.agent.child.wait().await?.success(), "{}", farm.agent.output());
        farm.agent =
            start("agent", By::Nave, &farm.net.laptop, hub_arguments(hub, &farm.net, "server")).await?;
        let free = || async { farm.board(By::Nave, &["who"]).await.ok()?.stdout.is_empty().then_some(()) };
        until("the place is free", free).await?;
        drop(farm.service);
    }
    Ok(())
}

#[tokio::test]
async fn netns_an_agent_listens_where_it_is_told() -> anyhow::Result<()> {
    if !is_there() {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let missing = run(&mut board(By::Nave, &net.laptop, &["list"])?).await?;
    ensure!(
        missing.stderr.starts_with("nave: no agent answers at /run/not-my-board-agent.sock"),
        "{missing:?}"
    );
    let nowhere = run(&mut board(By::Nave, &net.laptop, &["agent", "http://127.0.0.1:1"])?).await?;
    assert_eq!(nowhere.code, 1);
    ensure!(nowhere.stderr.contains("cannot reach 127.0.0.1:1"), "{nowhere:?}");

    let _hub = start_hub(By::Python, &net).await?;
    let agent = start("agent", By::Nave, &net.laptop, hub_arguments(By::Python, &net, "server")).await?;
    let second = run(&mut board(By::Nave, &net.laptop, &["agent", "http://server:2092"])?).await?;
    assert_eq!(second.code, 1);
    ensure!(second.stderr.contains("another agent listens"), "{second:?}");
    drop(agent);

    // systemd starts the agent when somebody asks.
    if Path::new("/usr/bin/systemd-socket-activate").exists() {
        let mut command = not_my_board::in_own_run(net.laptop.home(), |program| net.laptop.command(program))?;
        command.args(["systemd-socket-activate", "-l", "/run/not-my-board-agent.sock", NAVE, "not-my-board"]);
        let _activated = Background::start(command.args(["agent", "--fd", "3", "http://server:2092"]))?;
        let socket = net.laptop.home().join("run/not-my-board-agent.sock");
        let there = || async {
            let listed = run(&mut board(By::Python, &net.laptop, &["search"]).ok()?).await.ok()?;
            (socket.exists() && listed.code == 0).then_some(())
        };
        until("the agent answers", there).await?;
    }
    Ok(())
}
