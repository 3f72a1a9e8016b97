//! The main job: a TCP service on a machine without any inbound path is opened from another machine through the hub,
//! encrypted between the two, after one pasted line on each.

use anyhow::{Context as _, ensure};
use nave_testkit::need;
use nave_testkit::net::{Host, Net};
use nave_testkit::wait::until;
use tokio::process::Command;

use crate::program::{Background, NAVE, run};

const SECRET: &str = "the bytes of this page are nobody else's business";

fn nave(host: &Host, args: &[&str]) -> Command {
    let mut command = host.command(NAVE);
    command.args(args);
    command
}

/// What `nave join https://… --token …` is made of.
fn pasted(line: &str) -> Vec<&str> {
    line.split_whitespace().skip(1).collect()
}

struct Farm {
    net: Net,
    hub: Background,
    lab: Background,
    service: Background,
}

/// Everything up to the laptop having joined, each line as a person would paste it.
async fn farm() -> anyhow::Result<Farm> {
    let net = Net::server_lab_laptop()?;
    let hub = Background::start(&mut nave(&net.server, &["hub"]))?;
    hub.says("the hub is ready").await?;

    std::fs::write(net.lab.home().join("page.txt"), SECRET)?;
    let mut python = net.lab.command("python3");
    let service = Background::start(python.args(["-u", "-m", "http.server", "8080", "--bind", "127.0.0.1"]))?;
    service.says("Serving HTTP").await?;

    let line = run(&mut nave(&net.server, &["invite", "--name", "lab", "--role", "exporter"])).await?.ok()?;
    ensure!(line.starts_with("nave join https://server:3101 --token nave1"), "{line}");
    let mut join = nave(&net.lab, &pasted(&line));
    let lab = Background::start(join.args(["--allow", "127.0.0.1:8080"]))?;
    lab.says("connected as lab").await?;

    let line =
        run(&mut nave(&net.server, &["invite", "--name", "laptop", "--open", "lab:8080"])).await?.ok()?;
    run(nave(&net.laptop, &pasted(&line)).arg("--once")).await?.ok()?;
    Ok(Farm { net, hub, lab, service })
}

async fn forward(farm: &Farm) -> anyhow::Result<(Background, String)> {
    let forward = Background::start(&mut nave(&farm.net.laptop, &["forward", "lab:8080"]))?;
    let address = forward.says("127.0.0.1:").await?;
    Ok((forward, address))
}

async fn fetch(farm: &Farm, address: &str) -> anyhow::Result<String> {
    let mut curl = farm.net.laptop.command("curl");
    let url = format!("http://{address}/page.txt");
    run(curl.args(["--silent", "--show-error", "--fail", "--max-time", "10", &url])).await?.ok()
}

/// Whether a text stands anywhere in a process's memory.
fn memory_holds(pid: u32, text: &str) -> anyhow::Result<bool> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) =
            line.split_whitespace().next().and_then(|range| range.split_once('-')).context("maps")?;
        let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
        let mut bytes = vec![0; usize::try_from(to - from)?];
        memory.seek(SeekFrom::Start(from))?;
        // Some regions cannot be read at all; the heap and the stacks can.
        if memory.read_exact(&mut bytes).is_ok()
            && bytes.windows(text.len()).any(|part| part == text.as_bytes())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The process below `ip netns exec`, which replaces itself by the program.
fn pid_of(background: &Background) -> anyhow::Result<u32> {
    background.child.id().context("it has ended")
}

#[tokio::test]
async fn three_hosts_two_nats_one_hub() -> anyhow::Result<()> {
    if !need("netns") {
        return Ok(());
    }
    let farm = farm().await?;
    let ping = |from: &Host, to: std::net::Ipv4Addr| {
        let mut ping = from.command("bash");
        let probe = format!("timeout 1 bash -c 'exec 3<>/dev/tcp/{to}/8080'");
        ping.args(["-c", &probe]);
        ping
    };
    let direct = run(&mut ping(&farm.net.laptop, farm.net.lab.address())).await?;
    ensure!(direct.code != 0, "the laptop reaches the lab without the hub: this network proves nothing");

    let (_forward, address) = forward(&farm).await?;
    assert_eq!(fetch(&farm, &address).await?, SECRET);
    assert!(memory_holds(pid_of(&farm.service)?, SECRET)?, "the search finds nothing even where it should");
    assert!(!memory_holds(pid_of(&farm.hub)?, SECRET)?, "the hub has seen plaintext");

    let nodes = run(&mut nave(&farm.net.server, &["node", "list", "--json"])).await?.ok()?;
    let nodes: serde_json::Value = serde_json::from_str(&nodes)?;
    assert_eq!(nodes[0]["name"], "lab");
    assert_eq!(nodes[0]["online"], true);
    assert_eq!(nodes[0]["roles"], serde_json::json!(["exporter"]));
    Ok(())
}

#[tokio::test]
async fn what_is_not_granted_or_not_allowed_is_refused() -> anyhow::Result<()> {
    if !need("netns") {
        return Ok(());
    }
    let farm = farm().await?;
    let refused = run(&mut nave(&farm.net.laptop, &["forward", "lab:22"])).await?;
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("no grant allows it"), "{}", refused.stderr);

    run(&mut nave(&farm.net.server, &["node", "grant", "laptop", "open", "lab:22"])).await?.ok()?;
    let refused = run(&mut nave(&farm.net.laptop, &["forward", "lab:22"])).await?;
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("--allow 127.0.0.1:22"), "{}", refused.stderr);
    Ok(())
}

#[tokio::test]
async fn revoking_cuts_a_stream_at_once_and_for_good() -> anyhow::Result<()> {
    if !need("netns") {
        return Ok(());
    }
    let mut farm = farm().await?;
    let (mut forward, address) = forward(&farm).await?;
    let (host, port) = address.rsplit_once(':').context("no port")?;
    // A connection that stays open until it is cut: the service waits for a request that does not end.
    let mut open = farm.net.laptop.command("bash");
    let script = format!(
        "exec 3<>/dev/tcp/{host}/{port}; printf 'GET / HTTP/1.1\\r\\n' >&3; echo open; cat <&3; echo cut"
    );
    let stream = Background::start(open.args(["-c", &script]))?;
    stream.says("open").await?;
    let listed = || async {
        let list = run(&mut nave(&farm.net.server, &["stream", "list", "--json"])).await.ok()?.ok().ok()?;
        let list: serde_json::Value = serde_json::from_str(&list).ok()?;
        (list[0]["sent"].as_u64()? > 0 && list[0]["path"] == "relayed").then_some(())
    };
    until("the stream is listed with its bytes", listed).await?;

    run(&mut nave(&farm.net.server, &["node", "revoke", "laptop", "--yes"])).await?.ok()?;
    let begun = std::time::Instant::now();
    stream.says("cut").await?;
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "it took {:?}", begun.elapsed());
    forward.child.kill().await?;
    let refused = run(&mut nave(&farm.net.laptop, &["forward", "lab:8080"])).await?;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("revoked"), "{}", refused.stderr);

    run(&mut nave(&farm.net.server, &["node", "revoke", "lab", "--yes"])).await?.ok()?;
    let ended = tokio::time::timeout(nave_testkit::wait::PATIENCE, farm.lab.child.wait()).await??;
    assert_eq!(ended.code(), Some(1));
    assert!(farm.lab.output().contains("revoked"), "{}", farm.lab.output());
    Ok(())
}

#[tokio::test]
async fn everyone_comes_back_by_themselves() -> anyhow::Result<()> {
    if !need("netns") {
        return Ok(());
    }
    let mut farm = farm().await?;
    // The hub is killed and comes back.
    farm.hub.child.kill().await?;
    farm.lab.says("not connected").await?;
    farm.lab.forget();
    farm.hub = Background::start(&mut nave(&farm.net.server, &["hub"]))?;
    farm.lab.says("connected as lab").await?;
    let (_forward, address) = forward(&farm).await?;
    assert_eq!(fetch(&farm, &address).await?, SECRET);

    // The node is killed and is started again, without a token.
    farm.lab.child.kill().await?;
    farm.lab = Background::start(&mut nave(&farm.net.lab, &["node", "run"]))?;
    farm.lab.says("connected as lab").await?;
    assert_eq!(fetch(&farm, &address).await?, SECRET);
    Ok(())
}
