//! A fleet of agents as its people meet it: the hub, runners in the manner of NAISYS on two machines behind NAT with nothing
//! but a key each, and the command line.

use anyhow::{Context as _, ensure};
use nave_testkit::need::{need, node_packages};
use nave_testkit::net::{Host, Net};
use nave_testkit::wait::until;

use crate::program::{Background, NAVE, run};

async fn nave(host: &Host, args: &[&str]) -> anyhow::Result<String> {
    run(host.command(NAVE).args(args)).await?.ok()
}

fn runner(host: &Host, key: &str) -> anyhow::Result<Background> {
    let mut node = host.command("node");
    node.args(["--no-warnings", "--input-type=module", "--eval", include_str!("naisys_runner.mjs")])
        .arg("https://server:3101")
        .current_dir(node_packages().context("cargo's build folder cannot be found")?)
        .env("HUB_ACCESS_KEY", key);
    Background::start(&mut node)
}

fn agent(name: &str) -> String {
    format!("username: {name}\ntitle: T\nagentPrompt: You are {name}.\ntokenMax: 20000\nshellModel: mock\n")
}

#[tokio::test]
async fn a_fleet_of_agents_netns() -> anyhow::Result<()> {
    if !need("netns") || !need("socket-io") {
        return Ok(());
    }
    let net = Net::server_lab_laptop()?;
    let server = &net.server;
    let folder = server.home().join("agents");
    std::fs::create_dir(&folder)?;
    for name in ["ann", "bob"] {
        std::fs::write(folder.join(format!("{name}.yaml")), agent(name))?;
    }
    let hub = Background::start(server.command(NAVE).args(["hub", "--agents"]).arg(&folder))?;
    hub.says("the hub is ready").await?;
    let mut keys = Vec::new();
    for name in ["lab", "laptop"] {
        keys.push(nave(server, &["node", "add", name, "--role", "host"]).await?.trim().to_owned());
    }
    let lab = runner(&net.lab, &keys[0])?;
    lab.says("connected").await?;
    let laptop = runner(&net.laptop, &keys[1])?;
    until("both hosts are there, each with a person", async || {
        let hosts = nave(server, &["agent", "host", "list"]).await.ok()?;
        (hosts.matches("admin").count() == 2).then_some(())
    })
    .await?;

    // One is started with a task, the other woken by a mail; each where there is less to do.
    nave(server, &["agent", "start", "ann", "count the cars"]).await?;
    lab.says("ann reads Agent Start: count the cars").await?;
    nave(server, &["agent", "mail", "send", "bob", "--subject", "wake", "--body", "up"]).await?;
    laptop.says("bob reads wake: up").await?;
    until("bob has answered", async || {
        let mails = nave(server, &["agent", "mail", "list", "admin"]).await.ok()?;
        (mails.contains("Re: wake") && mails.contains("Re: Agent Start")).then_some(())
    })
    .await?;
    // Agents on different machines write to each other.
    nave(server, &["agent", "mail", "send", "bob", "--as", "ann", "--subject", "hi", "--body", "b"]).await?;
    lab.says("ann reads Re: hi: done by bob").await?;
    let list = nave(server, &["agent", "list"]).await?;
    ensure!(list.contains("lab") && list.contains("laptop"), "{list}");
    until("its log is there", async || {
        let log = nave(server, &["agent", "logs", "ann"]).await.ok()?;
        log.contains("AGENT STARTED").then_some(())
    })
    .await?;
    let before = nave(server, &["agent", "peek", "ann"]).await?;
    ensure!(before.contains("ann thinks"), "{before}");

    // A spent budget, and a new one.
    nave(server, &["agent", "budget", "ann", "--dollars", "1"]).await?;
    nave(server, &["agent", "mail", "send", "ann", "--subject", "s", "--body", "spend 2"]).await?;
    lab.says("ann has 0 left").await?;
    lab.says("ann may spend: false, Spend limit of $1 reached").await?;
    let budgets = nave(server, &["agent", "budget"]).await?;
    ensure!(budgets.contains("ann") && budgets.contains("reached"), "{budgets}");
    nave(server, &["agent", "budget", "ann", "--dollars", "5"]).await?;
    lab.says("ann may spend: true, Spend limit period reset").await?;

    // A hub that starts anew finds its runners again.
    drop(hub);
    lab.says("disconnected").await?;
    let (before, after) = (lab, laptop);
    before.forget();
    after.forget();
    let hub = Background::start(server.command(NAVE).args(["hub"]))?;
    hub.says("the hub is ready").await?;
    before.says("connected").await?;
    after.says("connected").await?;
    until("what runs is known again", async || {
        let list = nave(server, &["agent", "list"]).await.ok()?;
        let runs = |agent: &str, host: &str| {
            list.lines().any(|line| line.contains(agent) && line.contains("active") && line.contains(host))
        };
        (runs("ann", "lab") && runs("bob", "laptop")).then_some(())
    })
    .await?;
    nave(server, &["agent", "stop", "bob", "enough"]).await?;
    after.says("stopped bob: enough").await?;
    nave(server, &["agent", "host", "restrict", "laptop"]).await?;
    nave(server, &["agent", "host", "capacity", "lab", "1"]).await?;
    let full = run(server.command(NAVE).args(["agent", "start", "bob"])).await?;
    ensure!(full.code != 0 && full.stderr.contains("has room"), "{full:?}");

    nave(server, &["node", "revoke", "lab", "--yes"]).await?;
    before.says("refused: Invalid access key").await?;
    Ok(())
}
