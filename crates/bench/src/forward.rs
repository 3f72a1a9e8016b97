//! `nave forward` beside raw TCP and beside socat with OpenSSL: throughput and latency on the same path.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::farm::{self, Hub};
use crate::stats::{Row, Table, spread};

pub const BYTES: usize = 256 << 20;
pub const PINGS: usize = 2000;
const RUNS: usize = 5;

/// Answers each byte at once on one port, and swallows all of them on the other until their end, which it answers.
pub async fn services() -> anyhow::Result<(SocketAddr, SocketAddr)> {
    let (echo, sink) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let addresses = (echo.local_addr()?, sink.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut io, _)) = echo.accept().await {
            tokio::spawn(async move {
                io.set_nodelay(true).ok();
                let mut byte = [0];
                while io.read_exact(&mut byte).await.is_ok() && io.write_all(&byte).await.is_ok() {}
            });
        }
    });
    tokio::spawn(async move {
        while let Ok((mut io, _)) = sink.accept().await {
            tokio::spawn(async move {
                let (mut buffer, mut left) = (vec![0; 256 << 10], BYTES);
                while left > 0 {
                    match io.read(&mut buffer).await {
                        Ok(read) if read > 0 => left = left.saturating_sub(read),
                        _ => return,
                    }
                }
                io.write_all(b"!").await.ok();
            });
        }
    });
    Ok(addresses)
}

/// MiB a second.
pub async fn throughput(address: SocketAddr) -> anyhow::Result<f64> {
    let mut io = TcpStream::connect(address).await?;
    let chunk = vec![7; 256 << 10];
    let begun = Instant::now();
    for _ in 0..BYTES / chunk.len() {
        io.write_all(&chunk).await?;
    }
    io.read_u8().await?;
    Ok((BYTES >> 20) as f64 / begun.elapsed().as_secs_f64())
}

/// Microseconds for a byte there and back.
pub async fn latency(address: SocketAddr) -> anyhow::Result<f64> {
    let mut io = TcpStream::connect(address).await?;
    io.set_nodelay(true)?;
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let begun = Instant::now();
        io.write_u8(1).await?;
        io.read_u8().await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(spread(times).median)
}

/// A node of its own as a process.
async fn node(hub: &Hub, name: &str, invite: &[&str], join: &[&str]) -> anyhow::Result<Child> {
    let token = hub.invite(&[&["--name", name], invite].concat()).await?;
    let data = hub.folder.path().join(name);
    let (url, token) = (hub.url().to_string(), token.reveal().to_string());
    farm::run(&data, &[&["join", &url, "--token", &token, "--once"], join].concat()).await?;
    let mut child = Command::new(farm::nave());
    child.args(["node", "run"]).env("NAVE_DIR", &data).stderr(Stdio::null()).kill_on_drop(true);
    Ok(child.spawn()?)
}

/// A forwarded target: the process and where it listens.
async fn forwarded(hub: &Hub, name: &str, target: SocketAddr) -> anyhow::Result<(Child, SocketAddr)> {
    let mut child = Command::new(farm::nave())
        .args(["forward", &format!("{name}:{target}")])
        .env("NAVE_DIR", hub.folder.path().join("laptop"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("stdout")?).read_line(&mut line).await?;
    Ok((child, line.trim().parse().context("nave forward printed no address")?))
}

/// Waits until something listens there.
async fn answers(address: SocketAddr) -> anyhow::Result<()> {
    let listening = || async { TcpStream::connect(address).await.ok() };
    nave_testkit::wait::until("socat listens", listening).await.map(drop)
}

/// socat with OpenSSL on both ends, as people tunnel a port by hand.
async fn socat(folder: &std::path::Path, target: SocketAddr) -> anyhow::Result<(Vec<Child>, SocketAddr)> {
    let pem = folder.join("socat.pem");
    if !pem.exists() {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .arg("-keyout")
            .arg(folder.join("k.pem"))
            .arg("-out")
            .arg(folder.join("c.pem"))
            .stderr(Stdio::null())
            .status()
            .await?;
        if !made.success() {
            bail!("openssl req failed");
        }
        let both = [std::fs::read(folder.join("k.pem"))?, std::fs::read(folder.join("c.pem"))?].concat();
        std::fs::write(&pem, both)?;
    }
    let free = || async { anyhow::Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?) };
    let (middle, near) = (free().await?, free().await?);
    let end = |from: String, to: String| Command::new("socat").args([from, to]).kill_on_drop(true).spawn();
    let listen = "reuseaddr,fork,bind=127.0.0.1";
    let far = end(
        format!("OPENSSL-LISTEN:{},{listen},cert={},verify=0", middle.port(), pem.display()),
        format!("TCP:{target},nodelay"),
    )?;
    let here =
        end(format!("TCP-LISTEN:{},{listen},nodelay", near.port()), format!("OPENSSL:{middle},verify=0"))?;
    for port in [middle, near] {
        answers(port).await?;
    }
    Ok((vec![far, here], near))
}

pub async fn run() -> anyhow::Result<Table> {
    let (echo, sink) = services().await?;
    let hub = Hub::start(&[]).await?;
    let (to_echo, to_sink) = (echo.to_string(), sink.to_string());
    let allow = ["--allow", to_echo.as_str(), "--allow", to_sink.as_str()];
    let _relayed = node(&hub, "far", &[], &allow).await?;
    let _direct = node(&hub, "near", &[], &[&allow[..], &["--direct", "127.0.0.1:0"]].concat()).await?;
    let open: Vec<String> = ["far", "near"]
        .iter()
        .flat_map(|name| [format!("{name}:{echo}"), format!("{name}:{sink}")])
        .collect();
    let grants: Vec<&str> = open.iter().flat_map(|target| ["--open", target.as_str()]).collect();
    let _laptop = node(&hub, "laptop", &grants, &[]).await?;
    hub.until_connected(3).await?;

    let mut kept = Vec::new();
    let mut paths: Vec<(&str, SocketAddr, SocketAddr)> = vec![("raw loopback TCP", echo, sink)];
    for (what, name) in [("nave forward, direct", "near"), ("nave forward, relayed", "far")] {
        let ((a, to_echo), (b, to_sink)) =
            (forwarded(&hub, name, echo).await?, forwarded(&hub, name, sink).await?);
        kept.extend([a, b]);
        paths.push((what, to_echo, to_sink));
    }
    let ((a, to_echo), (b, to_sink)) =
        (socat(hub.folder.path(), echo).await?, socat(hub.folder.path(), sink).await?);
    kept.extend(a.into_iter().chain(b));
    paths.push(("socat with OpenSSL", to_echo, to_sink));

    let mut speeds = vec![Vec::new(); paths.len()];
    let mut delays = vec![Vec::new(); paths.len()];
    for _ in 0..RUNS {
        for (index, (what, to_echo, to_sink)) in paths.iter().enumerate() {
            speeds[index].push(throughput(*to_sink).await.context(*what)?);
            delays[index].push(latency(*to_echo).await.context(*what)?);
        }
    }
    let ratio = |index: usize| {
        spread(speeds[index].iter().zip(&speeds[3]).map(|(ours, socat)| ours / socat).collect())
            .show("× socat")
    };
    let aims = ["", "at least 1 × socat", "at least 0.5 × socat", ""];
    let mut rows = Vec::new();
    for (index, (what, ..)) in paths.iter().enumerate() {
        let against = if matches!(index, 1 | 2) { format!("; {}", ratio(index)) } else { String::new() };
        let speed = format!("{}{against}", spread(speeds[index].clone()).show("MiB/s"));
        rows.push(Row::new(format!("{what}: throughput"), speed, aims[index]));
    }
    for (index, (what, ..)) in paths.iter().enumerate() {
        rows.push(Row::new(
            format!("{what}: a byte there and back"),
            spread(delays[index].clone()).show("µs"),
            "",
        ));
    }
    drop(kept);
    Ok(Table {
        title: "Forwarding",
        note: format!(
            "{RUNS} rounds, each path once a round: {} MiB one way until the other end has them all, and the median of {PINGS} single bytes. Hub, nodes, services and client share the cores.",
            BYTES >> 20
        ),
        rows,
    })
}
