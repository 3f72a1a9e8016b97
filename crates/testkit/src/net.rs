//! Three hosts as network namespaces: `server`, which all can reach, and `lab` and `laptop`, each behind a router that
//! masks its address and lets nothing in. Addresses are of the range for benchmarks (RFC 2544).

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, ensure};

/// The server's address in the public network.
pub const SERVER: &str = "198.18.0.1";

static NETS: AtomicU32 = AtomicU32::new(0);

/// The hosts and what connects them; all of it goes when this is dropped.
#[derive(Debug)]
pub struct Net {
    prefix: String,
    /// The host that all can reach, under the name `server` too.
    pub server: Host,
    /// Behind a router.
    pub lab: Host,
    /// Behind another router.
    pub laptop: Host,
}

/// One host.
#[derive(Clone, Debug)]
pub struct Host {
    namespace: String,
    /// Its address, as it sees it itself.
    pub address: String,
    /// Its home and data.
    pub home: PathBuf,
}

impl Net {
    /// Sets everything up; needs root.
    pub fn new(home: &std::path::Path) -> anyhow::Result<Self> {
        let prefix = format!("nv{}-{}", std::process::id(), NETS.fetch_add(1, Ordering::Relaxed));
        let host = |name: &str, address: &str| {
            let home = home.join(name);
            std::fs::create_dir_all(&home)?;
            Ok::<_, std::io::Error>(Host {
                namespace: format!("{prefix}-{name}"),
                address: address.to_owned(),
                home,
            })
        };
        let net = Self {
            server: host("server", SERVER)?,
            lab: host("lab", "198.19.1.2")?,
            laptop: host("laptop", "198.19.2.2")?,
            prefix,
        };
        net.build().context("setting up network namespaces needs root, iproute2 and nftables")?;
        Ok(net)
    }

    fn build(&self) -> anyhow::Result<()> {
        for name in ["wan", "server", "lab", "laptop", "nata", "natb"] {
            ip(&["netns", "add", &self.ns(name)])?;
            self.inside(name, &["ip", "link", "set", "lo", "up"])?;
        }
        // The public network is a bridge in a namespace of its own.
        self.inside("wan", &["ip", "link", "add", "br0", "type", "bridge"])?;
        self.inside("wan", &["ip", "link", "set", "br0", "up"])?;
        for (name, address) in
            [("server", "198.18.0.1/24"), ("nata", "198.18.0.11/24"), ("natb", "198.18.0.12/24")]
        {
            self.wire(name, "wan", &format!("w-{name}"))?;
            self.inside("wan", &["ip", "link", "set", &format!("w-{name}"), "master", "br0"])?;
            self.inside(name, &["ip", "address", "add", address, "dev", "eth0"])?;
        }
        for (host, router, network) in [("lab", "nata", "198.19.1"), ("laptop", "natb", "198.19.2")] {
            self.wire(host, router, "inside")?;
            self.inside(host, &["ip", "address", "add", &format!("{network}.2/24"), "dev", "eth0"])?;
            self.inside(host, &["ip", "route", "add", "default", "via", &format!("{network}.1")])?;
            self.inside(router, &["ip", "address", "add", &format!("{network}.1/24"), "dev", "inside"])?;
            self.inside(router, &["sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
            for rule in [
                "add table ip nat",
                "add chain ip nat post { type nat hook postrouting priority 100 ; }",
                "add rule ip nat post oifname eth0 masquerade",
                "add table ip filter",
                "add chain ip filter through { type filter hook forward priority 0 ; policy drop ; }",
                "add rule ip filter through ct state established,related accept",
                "add rule ip filter through iifname inside accept",
                "add chain ip filter into { type filter hook input priority 0 ; }",
                "add rule ip filter into iifname eth0 ct state new drop",
            ] {
                self.inside(router, &["nft", rule])?;
            }
        }
        for host in [&self.server, &self.lab, &self.laptop] {
            // `ip netns exec` puts these files over those in /etc.
            let folder = format!("/etc/netns/{}", host.namespace);
            std::fs::create_dir_all(&folder)?;
            std::fs::write(
                format!("{folder}/hosts"),
                format!("127.0.0.1 localhost\n::1 localhost\n{SERVER} server\n"),
            )?;
        }
        Ok(())
    }

    /// A cable between a host's `eth0` and the other end.
    fn wire(&self, host: &str, other: &str, end: &str) -> anyhow::Result<()> {
        let (host, other) = (self.ns(host), self.ns(other));
        ip(&["link", "add", "eth0", "netns", &host, "type", "veth", "peer", "name", end, "netns", &other])?;
        ip(&["-n", &host, "link", "set", "eth0", "up"])?;
        ip(&["-n", &other, "link", "set", end, "up"])
    }

    fn inside(&self, name: &str, command: &[&str]) -> anyhow::Result<()> {
        ip(&[&["netns", "exec", &self.ns(name)], command].concat())
    }

    fn ns(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in ["wan", "server", "lab", "laptop", "nata", "natb"] {
            // What was not set up cannot be taken down.
            let _ = ip(&["netns", "delete", &self.ns(name)]);
            let _ = std::fs::remove_dir_all(format!("/etc/netns/{}", self.ns(name)));
        }
    }
}

impl Host {
    /// A program that will run on this host, with a home and a data folder of its own; it is killed when its handle is
    /// dropped.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace])
            .arg(program)
            .env("HOME", &self.home)
            .env("NAVE_DIR", self.home.join("nave"))
            .env_remove("HUB_ACCESS_KEY")
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Cuts the host off, or connects it again.
    pub fn set_connected(&self, connected: bool) -> anyhow::Result<()> {
        ip(&["-n", &self.namespace, "link", "set", "eth0", if connected { "up" } else { "down" }])?;
        if connected && self.address != SERVER {
            // The route went with the link.
            let network = self.address.rsplit_once('.').map_or("", |(network, _)| network);
            let router = format!("{network}.1");
            ip(&["-n", &self.namespace, "route", "replace", "default", "via", &router])?;
        }
        Ok(())
    }
}

fn ip(args: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(args).stdin(Stdio::null()).output().context("ip")?;
    ensure!(
        output.status.success(),
        "ip {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
