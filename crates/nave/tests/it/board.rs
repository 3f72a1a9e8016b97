//! Nave's own halves of the board farm: a place behind one NAT is reserved and used behind another, through the hub, and
//! belongs to one at a time.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, ensure};
use nave_boards::api::Reservation;
use nave_testkit::need;
use nave_testkit::net::{Host, Net};
use nave_testkit::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::Command;

use crate::program::{Background, NAVE, run};

const PAGE: &str = "a page of the board";
const EXPORT: &str = "port = 2192\n[[parts]]\ncompatible = [\"demo\", \"v2\"]\ntcp.http = { host = \"127.0.0.1\", port = 8080 }\n";
const IMPORT: &str = "[parts.web]\ncompatible = [\"demo\"]\ntcp.http = { local_port = 8081 }\n";

pub fn nave(host: &Host, args: &[&str]) -> Command {
    let mut command = host.command(NAVE);
    command.args(args);
    command
}

pub async fn said(host: &Host, args: &[&str]) -> anyhow::Result<String> {
    run(&mut nave(host, args)).await?.ok()
}

pub struct Farm {
    pub net: Net,
    hub: Background,
    _lab: Background,
    pub exporter: Background,
    _service: Background,
}

async fn start_exporter(net: &Net) -> anyhow::Result<Background> {
    let places = net.lab.home().join("places").display().to_string();
    let exporter = Background::start(&mut nave(&net.lab, &["board", "export", &places]))?;
    exporter.says("bench is in the farm").await?;
    Ok(exporter)
}

pub async fn farm() -> anyhow::Result<Farm> {
    let net = Net::server_lab_laptop()?;
    let hub = Background::start(&mut nave(&net.server, &["hub"]))?;
    hub.says("the hub is ready").await?;
    std::fs::write(net.lab.home().join("page.txt"), PAGE)?;
    let mut python = net.lab.command("python3");
    let service = Background::start(python.args(["-u", "-m", "http.server", "8080", "--bind", "127.0.0.1"]))?;
    service.says("Serving HTTP").await?;
    let mut joined = Vec::new();
    for (host, name, role) in [(&net.lab, "lab", "exporter"), (&net.laptop, "laptop", "importer")] {
        let line = said(&net.server, &["invite", "--name", name, "--role", role]).await?;
        let pasted: Vec<&str> = line.split_whitespace().skip(1).collect();
        let node = Background::start(&mut nave(host, &pasted))?;
        node.says(&format!("connected as {name}")).await?;
        joined.push(node);
    }
    // The laptop's node need not run: whoever needs its link keeps it meanwhile.
    drop(joined.pop());
    std::fs::create_dir(net.lab.home().join("places"))?;
    std::fs::write(net.lab.home().join("places/bench.toml"), EXPORT)?;
    let exporter = start_exporter(&net).await?;
    let wishes = net.laptop.home().join(".config/not-my-board");
    std::fs::create_dir_all(&wishes)?;
    std::fs::write(wishes.join("demo.toml"), IMPORT)?;
    let lab = joined.pop().context("the lab")?;
    Ok(Farm { net, hub, _lab: lab, exporter, _service: service })
}

impl Farm {
    pub async fn json(&self, args: &[&str]) -> anyhow::Result<Value> {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        Ok(serde_json::from_str(&said(&self.net.laptop, &args).await?)?)
    }

    async fn fetch(&self) -> anyhow::Result<String> {
        let url = "http://localhost:8081/page.txt";
        let mut curl = self.net.laptop.command("curl");
        run(curl.args(["--silent", "--show-error", "--fail", "--max-time", "10", url])).await?.ok()
    }
}

#[tokio::test]
async fn a_board_behind_one_nat_is_used_behind_another_on_netns_hosts() -> anyhow::Result<()> {
    if !need("netns") || !need("curl") {
        return Ok(());
    }
    let mut farm = farm().await?;
    let laptop = &farm.net.laptop;
    let found = farm.json(&["board", "search", "demo"]).await?;
    assert_eq!((&found[0]["name"], &found[0]["node"]), (&Value::from("bench"), &Value::from("lab")));

    // Reserved without anything that runs; whoever else wants it is told who has it.
    assert_eq!(said(laptop, &["board", "reserve", "demo", "--for", "1h"]).await?.trim(), "bench");
    farm.exporter.says("bench is reserved for laptop").await?;
    let second =
        run(&mut nave(&farm.net.server, &["board", "reserve", "--place", "bench", "--timeout", "0s"]))
            .await?;
    ensure!(second.code == 1 && second.stderr.contains("laptop has bench"), "{second:?}");
    let waiting = Background::start(&mut nave(&farm.net.server, &["board", "reserve", "--place", "bench"]))?;
    waiting.says("number 1 of 1 in the queue, expected in about").await?;
    drop(waiting);

    // Attached in the foreground, under the name by which it was reserved; returned when that ends.
    let attached = Background::start(&mut nave(laptop, &["board", "attach", "demo"]))?;
    attached.says("attached until you press Ctrl-C").await?;
    assert_eq!(farm.fetch().await?, PAGE);
    let streams: Value = serde_json::from_str(&said(&farm.net.server, &["stream", "list", "--json"]).await?)?;
    ensure!(streams.is_array(), "{streams}");
    kill(Pid::from_raw(i32::try_from(attached.child.id().context("it has ended")?)?), Signal::SIGINT)?;
    farm.exporter.says("bench is free").await?;
    assert_eq!(farm.json(&["board", "list"]).await?, Value::Array(Vec::new()));
    ensure!(farm.fetch().await.is_err(), "the port is open after the place was returned");

    // With an agent; the exporter is killed meanwhile and comes back.
    let agent = Background::start(&mut nave(laptop, &["board", "agent"]))?;
    agent.says("ready").await?;
    said(laptop, &["board", "attach", "demo"]).await?;
    let status = farm.json(&["board", "status"]).await?;
    assert_eq!((&status[0]["attached"], &status[0]["port"]), (&Value::Bool(true), &Value::from("8081")));
    assert_eq!(farm.fetch().await?, PAGE);
    // The hub keeps the time: a description that says another one changes it there.
    let editor = laptop.home().join("editor");
    std::fs::write(&editor, "#!/bin/sh\nsed -i '1i auto_return_time = \"2h\"' \"$1\"\n")?;
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755))?;
    run(nave(laptop, &["board", "edit", "demo"]).env("EDITOR", &editor).env_remove("VISUAL")).await?.ok()?;
    let own: Vec<Reservation> = serde_json::from_value(farm.json(&["board", "list"]).await?)?;
    let left = own[0].until.context("it has no end")? - nave_core::clock::Clock::system().now();
    ensure!((118..=120).contains(&left.whole_minutes()), "{left}");
    assert_eq!(farm.fetch().await?, PAGE);
    farm.exporter.child.kill().await?;
    farm.exporter = start_exporter(&farm.net).await?;
    until("the page comes again", async || farm.fetch().await.ok()).await?;
    // Taken away by whoever may: the agent's port leads nowhere from then on.
    said(&farm.net.server, &["board", "return", "bench"]).await?;
    until("the page does not come any more", async || farm.fetch().await.is_err().then_some(())).await?;

    // Without a description, and reserved before without a name.
    drop(agent);
    said(laptop, &["board", "reserve", "--place", "bench"]).await?;
    let attached = Background::start(&mut nave(laptop, &["board", "attach", "--place", "bench"]))?;
    attached.says("attached until you press Ctrl-C").await?;
    let url = "http://localhost:8080/page.txt";
    let page =
        run(laptop.command("curl").args(["--silent", "--fail", "--max-time", "10", url])).await?.ok()?;
    assert_eq!(page, PAGE);
    kill(Pid::from_raw(i32::try_from(attached.child.id().context("it has ended")?)?), Signal::SIGINT)?;
    until("it is returned", async || {
        farm.json(&["board", "list"]).await.is_ok_and(|own| own == Value::Array(Vec::new())).then_some(())
    })
    .await?;

    // For as long as a command runs, whose status counts.
    let fetch =
        format!("echo $NAVE_PLACE; {}; exit 7", "curl --silent --max-time 10 http://localhost:8081/page.txt");
    let ran = ["board", "attach", "demo", "--for", "5m", "--timeout", "0s", "--", "sh", "-c", &fetch];
    let ran = run(&mut nave(laptop, &ran)).await?;
    assert_eq!((ran.code, &*ran.stdout), (7, &*format!("bench\n{PAGE}")), "{}", ran.stderr);
    assert_eq!(farm.json(&["board", "list"]).await?, Value::Array(Vec::new()));
    let lost = ["board", "attach", "demo", "--", "sh", "-c", "echo begun; exec sleep 1000"];
    let mut lost = Background::start(&mut nave(laptop, &lost))?;
    lost.says("begun").await?;
    said(&farm.net.server, &["board", "return", "bench"]).await?;
    lost.says("demo is detached: the hub does not count it as yours any more").await?;
    ensure!(lost.child.wait().await?.code() == Some(1), "{}", lost.output());

    // Out of service.
    said(&farm.net.server, &["board", "close", "bench", "the cable is broken"]).await?;
    let closed = run(&mut nave(laptop, &["board", "reserve", "demo", "--timeout", "0s"])).await?;
    ensure!(closed.code == 1 && closed.stderr.contains("out of service (the cable is broken)"), "{closed:?}");
    said(&farm.net.server, &["board", "open", "bench"]).await?;

    // A description that is wrong is told of, and what it described stays.
    std::fs::write(farm.net.lab.home().join("places/bench.toml"), "port = \"no\"")?;
    farm.exporter.says("bench.toml, line 1").await?;
    assert_eq!(farm.json(&["board", "search"]).await?[0]["name"], "bench");
    std::fs::remove_file(farm.net.lab.home().join("places/bench.toml"))?;
    until("the place is gone", async || {
        farm.json(&["board", "search"])
            .await
            .is_ok_and(|places| places == Value::Array(Vec::new()))
            .then_some(())
    })
    .await?;
    Ok(())
}

/// What a place's commands write down, and print.
const COMMANDS: &str = r#"
[hooks]
before = "echo before $NAVE_HOLDER >> log; echo flashed for $NAVE_HOLDER; test ! -e broken || { echo no board answers; exit 3; }"
after = "echo after $NAVE_HOLDER >> log"
[power]
on = "echo on > power; echo relay closed"
off = "echo off > power"
status = "cat power"
"#;

#[tokio::test]
async fn commands_of_a_place_reach_whoever_uses_it_on_netns_hosts() -> anyhow::Result<()> {
    if !need("netns") {
        return Ok(());
    }
    let mut farm = farm().await?;
    let (lab, laptop) = (farm.net.lab.home().to_owned(), &farm.net.laptop);
    let log = || std::fs::read_to_string(lab.join("places/log")).unwrap_or_default();
    std::fs::write(lab.join("places/bench.toml"), format!("{EXPORT}{COMMANDS}"))?;
    until("the description is taken over", async || {
        let places = farm.json(&["board", "search"]).await.ok()?;
        (places[0]["power"].as_array()?.len() == 4).then_some(())
    })
    .await?;

    // What is printed before reaches whoever reserves, and whoever attaches.
    let reserved = run(&mut nave(laptop, &["board", "reserve", "demo"])).await?;
    ensure!(reserved.code == 0 && reserved.stdout.trim() == "bench", "{reserved:?}");
    let told =
        "nave: bench: the command before a reservation ended with exit status 0:\n  flashed for laptop\n";
    ensure!(reserved.stderr.contains(told), "{reserved:?}");

    // The power is whoever has the place's, and the operators'.
    let power = async |host: &Host, what: &str, place: &str| {
        run(&mut nave(host, &["board", "power", what, place])).await
    };
    assert_eq!(power(laptop, "on", "demo").await?.ok()?, "relay closed\n");
    assert_eq!(power(laptop, "status", "bench").await?.ok()?, "on\n");
    let stranger = power(&farm.net.lab, "off", "bench").await?;
    ensure!(stranger.code == 1 && stranger.stderr.contains("node lab may not do that"), "{stranger:?}");
    power(&farm.net.server, "off", "bench").await?.ok()?;
    assert_eq!(std::fs::read_to_string(lab.join("places/power"))?, "off\n");

    // The hub is killed and comes back, then the exporter: the reservation goes on, and nothing is run again.
    farm.exporter.forget();
    farm.hub.child.kill().await?;
    farm.exporter.says("the hub does not know of the places now").await?;
    farm.hub = Background::start(&mut nave(&farm.net.server, &["hub"]))?;
    farm.exporter.says("bench is reserved for laptop").await?;
    farm.exporter.child.kill().await?;
    farm.exporter = start_exporter(&farm.net).await?;
    farm.exporter.says("bench is reserved for laptop").await?;
    assert_eq!(log(), "before laptop\n");
    // It is returned while nobody is there who could put the board in order.
    farm.exporter.child.kill().await?;
    until("it is returned", async || {
        run(&mut nave(laptop, &["board", "return", "demo"]))
            .await
            .is_ok_and(|ran| ran.code == 0)
            .then_some(())
    })
    .await?;
    farm.exporter = start_exporter(&farm.net).await?;
    farm.exporter.says("the command after a reservation ended with exit status 0").await?;
    assert_eq!(log(), "before laptop\nafter laptop\n");

    let attached = Background::start(&mut nave(laptop, &["board", "attach", "demo"]))?;
    attached.says("  flashed for laptop").await?;
    attached.says("attached until you press Ctrl-C").await?;
    kill(Pid::from_raw(i32::try_from(attached.child.id().context("it has ended")?)?), Signal::SIGINT)?;
    farm.exporter.says("bench is free").await?;
    until("what follows is run", async || (log().lines().count() == 4).then_some(())).await?;

    // A broken board is out of service, until somebody looks at it.
    std::fs::write(lab.join("places/broken"), "")?;
    let refused = run(&mut nave(laptop, &["board", "reserve", "demo"])).await?;
    let problem = "the command before a reservation failed with exit status 3: no board answers";
    ensure!(refused.code == 1 && refused.stderr.contains(&format!("bench: {problem}")), "{refused:?}");
    let shown = said(laptop, &["board", "show", "bench"]).await?;
    ensure!(shown.contains(&format!("out of service: {problem}")), "{shown}");
    ensure!(shown.contains("failed with exit status 3, 2 lines (--json has them)"), "{shown}");
    std::fs::remove_file(lab.join("places/broken"))?;
    said(&farm.net.server, &["board", "open", "bench"]).await?;

    // A description that is broken by an edit is told of, and what it described goes on.
    farm.exporter.forget();
    std::fs::write(lab.join("places/bench.toml"), format!("{EXPORT}[hooks]\nduring = \"true\"\n"))?;
    farm.exporter.says("`hooks.during`: unknown field `during`").await?;
    let reserved = run(&mut nave(laptop, &["board", "reserve", "demo"])).await?;
    ensure!(reserved.code == 0 && reserved.stderr.contains("flashed for laptop"), "{reserved:?}");
    Ok(())
}
