//! A farm of not-my-board's programs at Nave's hub, of which one exporter and one agent are replaced by Nave's own while the
//! rest goes on.

use std::fs;
use std::path::Path;

use anyhow::ensure;
use nave_testkit::net::Net;
use nave_testkit::wait::until;
use nix::sys::signal::Signal;
use tokio::process::Command;

use super::pairs::{EXPORT, IMPORT, end};
use super::{board, native};
use crate::not_my_board::python;
use crate::program::{Background, NAVE, run};

const PAGE: &str = "a page of the farm";
const CONFIG: &str =
    "[boards.not_my_board]\nenabled = true\nopen_to = [\"198.18.0.0/24\", \"2001:2::/48\"]\n";

/// Python's programs reach the hub by the address for which its own certificate is.
struct Farm {
    net: Net,
    cacert: String,
}

impl Farm {
    async fn start(&self, command: &[&str]) -> anyhow::Result<Background> {
        let host = if command[0] == "agent" { &self.net.laptop } else { &self.net.server };
        let url = ["--cacert", &self.cacert, "https://server:3101"];
        let arguments = [&command[..1], &url, &command[1..]].concat();
        let started = Background::start(&mut python(host, &arguments)?)?;
        started.says("ready").await?;
        Ok(started)
    }

    /// The rows of a table, without its colours.
    async fn rows(&self, args: &[&str]) -> anyhow::Result<Vec<String>> {
        let printed = run(&mut python(&self.net.laptop, args)?).await?.ok()?;
        let parts = printed.split('\u{1b}').enumerate();
        let plain: String = parts
            .map(|(at, part)| if at == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) })
            .collect();
        Ok(plain.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
    }

    async fn page(&self) -> anyhow::Result<()> {
        let url = "http://localhost:8081/page.txt";
        let mut curl = self.net.laptop.command("curl");
        let page = run(curl.args(["--silent", "--fail", "--max-time", "30", url])).await?.ok()?;
        ensure!(page == PAGE, "{page}");
        Ok(())
    }
}

pub async fn scenario() -> anyhow::Result<()> {
    board::build().await?;
    // Python's programs load them by themselves, but here each has a `/run` of its own, without the program for it.
    for module in ["usbip-host", "vhci-hcd"] {
        let loaded = Command::new("modprobe").arg(module).status().await?;
        ensure!(loaded.success(), "modprobe {module}");
    }
    let net = Net::server_lab_laptop()?;
    let home = net.server.home().to_owned();
    fs::write(home.join("hub.toml"), CONFIG)?;
    fs::write(home.join("page.txt"), PAGE)?;
    fs::write(home.join("old-bench.toml"), EXPORT)?;
    fs::write(
        home.join("page.toml"),
        "port = 2193\n[[parts]]\ncompatible = [\"page\"]\ntcp.http = { host = \"127.0.0.1\", port = 8080 }\n",
    )?;
    let wishes = net.laptop.home().join(".config/not-my-board");
    fs::create_dir_all(&wishes)?;
    fs::write(wishes.join("demo.toml"), IMPORT)?;
    fs::write(
        wishes.join("page.toml"),
        "[parts.web]\ncompatible = [\"page\"]\ntcp.http = { local_port = 8081 }\n",
    )?;
    let mut hub = net.server.command(NAVE);
    hub.args(["hub", "--config", "hub.toml", "--url", "https://server:3101"]);
    let hub = Background::start(&mut hub)?;
    hub.says("the hub is ready").await?;
    let mut server = net.server.command("python3");
    let service = Background::start(server.args(["-u", "-m", "http.server", "8080", "--bind", "127.0.0.1"]))?;
    service.says("Serving HTTP").await?;
    let cacert = net.server.data().join("cert/hub-cert.pem").display().to_string();
    let farm = Farm { net, cacert };

    // As it was.
    let board = farm.start(&["export", "old-bench.toml"]).await?;
    let page = farm.start(&["export", "page.toml"]).await?;
    let agent = farm.start(&["agent"]).await?;
    run(&mut python(&farm.net.laptop, &["attach", "page"])?).await?.ok()?;
    farm.page().await?;
    run(&mut python(&farm.net.laptop, &["attach", "-k", "demo"])?).await?.ok()?;
    let is_up = || async {
        let rows = farm.rows(&["status", "-n"]).await.ok()?;
        rows.iter().find_map(|row| row.strip_prefix("demo dut USB flash Up ").map(ToOwned::to_owned))
    };
    let busid = until("the board is up", is_up).await?;
    board::read_disk(&busid).await?;
    tracing::info!("used as {busid} by not-my-board's programs");
    run(&mut python(&farm.net.laptop, &["detach", "demo"])?).await?.ok()?;
    let gone = || async { (!Path::new("/sys/bus/usb/devices").join(&busid).exists()).then_some(()) };
    until("the board is detached", gone).await?;
    end(board, Signal::SIGTERM).await?;

    // One exporter and one agent are Nave's; the rest was not touched.
    let halves = native::start(&farm.net).await?;
    native::use_board(&farm.net, halves).await?;
    ensure!(farm.rows(&["list", "-n"]).await? == ["page@page Attached"], "the farm's other place is gone");
    farm.page().await?;
    end(agent, Signal::SIGTERM).await?;
    end(page, Signal::SIGTERM).await
}
