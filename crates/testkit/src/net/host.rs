//! One host of a test network: programs run on it, and its cable can be cut, lossy or slow.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

use super::space::{Space, ip_in, nft_in, qdisc_in};
use super::{SERVER, SERVER_V6};

const INTERFACE: &str = "eth0";

/// A host: a network namespace, a host name, a home folder and a data folder of its own.
#[derive(Debug)]
pub struct Host {
    space: Space,
    name: &'static str,
    home: PathBuf,
    data: PathBuf,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    // Both ends of the cable, by namespace and interface.
    ends: [(String, &'static str); 2],
}

/// Where a host's cable ends, and the addresses it has on it.
pub(super) struct Socket<'a> {
    pub(super) space: &'a Space,
    pub(super) bridge: &'static str,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
}

impl Host {
    pub(super) fn add(
        prefix: &str,
        name: &'static str,
        folder: &Path,
        socket: &Socket<'_>,
    ) -> anyhow::Result<Self> {
        let home = folder.join(name);
        std::fs::create_dir_all(&home).with_context(|| format!("making {}", home.display()))?;
        // A short name: a Unix socket in it must have a path of at most 107 bytes.
        let data = home.join("nave");

        let space = Space::add(format!("{prefix}-{name}"))?;
        space.write_etc(
            "hosts",
            &format!("127.0.0.1 localhost {name}\n::1 localhost\n{SERVER} server\n{SERVER_V6} server\n"),
        )?;
        // No name server: a name that is not in the file above is unknown at once.
        space.write_etc("resolv.conf", "")?;

        let Socket { space: far, bridge, v4, v6 } = *socket;
        space.cable(INTERFACE, far, name, bridge)?;
        space.ip(&format!("addr add {v4}/24 dev {INTERFACE}\naddr add {v6}/64 dev {INTERFACE} nodad\n"))?;
        let ends = [(space.name().to_owned(), INTERFACE), (far.name().to_owned(), name)];
        Ok(Self { space, name, home, data, v4, v6, ends })
    }

    pub(super) fn route_through(&self, v4: Ipv4Addr, v6: Ipv6Addr) -> anyhow::Result<()> {
        self.space.ip(&format!("route add default via {v4}\nroute add ::/0 via {v6}\n"))
    }

    /// Its address on the network that it is plugged into.
    pub fn address(&self) -> Ipv4Addr {
        self.v4
    }

    /// The same in IPv6.
    pub fn address_v6(&self) -> Ipv6Addr {
        self.v6
    }

    /// The network namespace, as a path that other programs can enter.
    pub fn network(&self) -> PathBuf {
        Path::new("/run/netns").join(self.space.name())
    }

    /// `HOME` of the programs that run here, and the folder they start in.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// `NAVE_DIR` of the programs that run here; the host does not make it.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A program that will run on this host, with its host name, its `HOME` and its `NAVE_DIR`, without any
    /// other setting of Nave, and with nothing on its standard input. It is killed when its handle is
    /// dropped; what it started in turn, when the net is.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            // Every step replaces the one before, so the handle's process is the program's.
            .args(["netns", "exec", self.space.name(), "unshare", "--uts", "sh", "-c"])
            .args(["hostname \"$0\" && exec \"$@\"", self.name])
            .arg(program);
        for (key, _) in std::env::vars_os() {
            let known = key.to_string_lossy();
            if ["NAVE_", "NAISYS_", "HUB_", "XDG_"].iter().any(|prefix| known.starts_with(prefix)) {
                command.env_remove(key);
            }
        }
        command
            .env("HOME", &self.home)
            .env("NAVE_DIR", &self.data)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a program here to its end and gives what it printed on stdout.
    ///
    /// # Errors
    ///
    /// When it cannot be started or ends with another status than 0; the error carries its stderr.
    pub async fn read(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let ended = self.command(program).args(arguments).output().await;
        let ended = ended.with_context(|| format!("starting {program} on {}", self.name))?;
        ensure!(
            ended.status.success(),
            "{program} {} on {}: {}: {}",
            arguments.join(" "),
            self.name,
            ended.status,
            String::from_utf8_lossy(&ended.stderr).trim()
        );
        String::from_utf8(ended.stdout).with_context(|| format!("{program} on {} printed no text", self.name))
    }

    /// Cuts the cable: nothing arrives, nothing is refused; addresses and connections stay as they are.
    pub fn down(&self) -> anyhow::Result<()> {
        let [_, (space, port)] = &self.ends;
        ip_in(space, &format!("link set {port} down\n"))
    }

    /// Mends the cable; the kernel takes up to a second to use it again.
    pub fn up(&self) -> anyhow::Result<()> {
        let [_, (space, port)] = &self.ends;
        ip_in(space, &format!("link set {port} up\n"))
    }

    /// Loses so many of a hundred packets on the cable, each way; 0 ends it.
    pub fn lose(&self, percent: u8) -> anyhow::Result<()> {
        let rule = match percent {
            0 => "",
            1..=99 => &format!("numgen random mod 100 < {percent} drop"),
            100 => "drop",
            more => bail!("{more} of a hundred packets cannot be lost"),
        };
        for (space, interface) in &self.ends {
            // Declared and then deleted, so that deleting works the first time too.
            let table = format!("nave_loss_{interface}");
            nft_in(
                space,
                &format!(
                    "table netdev {table} {{}}
                     delete table netdev {table}
                     table netdev {table} {{
                       chain arriving {{
                         type filter hook ingress device {interface} priority 0;
                         {rule}
                       }}
                     }}"
                ),
            )?;
        }
        Ok(())
    }

    /// Slows the cable to so many kilobits a second each way; `None` ends it.
    pub fn slow(&self, kilobits: Option<u32>) -> anyhow::Result<()> {
        for (space, interface) in &self.ends {
            match kilobits {
                Some(rate) => qdisc_in(
                    space,
                    &format!("replace dev {interface} root tbf rate {rate}kbit burst 16kb latency 50ms"),
                )?,
                None => qdisc_in(space, &format!("delete dev {interface} root"))?,
            }
        }
        Ok(())
    }
}
