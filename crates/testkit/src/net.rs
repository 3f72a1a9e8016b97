//! Hosts as network namespaces: a server that everyone reaches, and machines behind NAT that no one
//! reaches. Makes and removes the wires; what runs on a host is the test's own matter.
//!
//! ```text
//!   server ── internet (a bridge, 198.18.0.0/24) ──┬── nat A ── 198.19.1.0/24 ── lab
//!                                                  └── nat B ── 198.19.2.0/24 ── laptop
//! ```
//!
//! All addresses are from the ranges for benchmarks (RFC 2544 and RFC 5180), which are routed nowhere.

mod host;
mod space;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use tempfile::TempDir;

pub use self::host::Host;
use self::host::Socket;
use self::space::Space;

/// Where `server` is, for everyone.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The same in IPv6.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1);

/// Three hosts and the routers between them; all of it, with every process that still runs there, is gone
/// when this is dropped. Two nets never meet, so tests may run side by side.
#[derive(Debug)]
pub struct Net {
    /// Reached from everywhere by the name `server`.
    pub server: Host,
    /// Behind NAT: reaches the server, is reached by no one.
    pub lab: Host,
    /// Behind NAT, as `lab` is.
    pub laptop: Host,
    routers: Vec<Router>,
    _internet: Space,
    // Last, so that what runs on a host has ended when its folder goes.
    _folder: TempDir,
}

#[derive(Debug)]
struct Router {
    space: Space,
    outside: Ipv4Addr,
}

impl Net {
    /// `lab` and `laptop` each behind a NAT of its own: neither reaches the other.
    ///
    /// # Errors
    ///
    /// When the machine may not make network namespaces; ask [`need`](crate::need())`("netns")` first.
    pub fn server_lab_laptop() -> anyhow::Result<Self> {
        Self::build(["natA", "natB"])
    }

    /// `lab` and `laptop` on one network behind one NAT: they reach each other, no one else reaches them.
    ///
    /// # Errors
    ///
    /// As for [`Net::server_lab_laptop`].
    pub fn lab_and_laptop_at_one_site() -> anyhow::Result<Self> {
        Self::build(["natA", "natA"])
    }

    /// The address that a host has on the internet: the outside of its NAT.
    pub fn outside_of_lab(&self) -> Ipv4Addr {
        self.routers[0].outside
    }

    /// As [`Net::outside_of_lab`]; the same address where both are at one site.
    pub fn outside_of_laptop(&self) -> Ipv4Addr {
        self.routers[self.routers.len() - 1].outside
    }

    fn build(behind: [&str; 2]) -> anyhow::Result<Self> {
        static BUILT: AtomicU32 = AtomicU32::new(0);
        // One at a time on this machine: `ip netns add` sets up /run/netns when it is first called, and
        // two first calls get in each other's way.
        let _one_at_a_time = space::lock()?;
        space::remove_leftovers()?;

        let prefix = format!("nave-{}-{}", std::process::id(), BUILT.fetch_add(1, Ordering::Relaxed));
        let folder =
            tempfile::Builder::new().prefix("nave-net-").tempdir().context("a folder for the hosts")?;
        let internet = Space::add(format!("{prefix}-internet"))?;
        internet.ip("link add wan type bridge\nlink set wan up\n")?;

        let socket = Socket { space: &internet, bridge: "wan", v4: SERVER, v6: SERVER_V6 };
        let server = Host::add(&prefix, "server", folder.path(), &socket)?;

        let mut routers: Vec<Router> = Vec::new();
        let mut hosts = Vec::new();
        for (host, router) in ["lab", "laptop"].into_iter().zip(behind) {
            let name = format!("{prefix}-{router}");
            if !routers.iter().any(|known| known.space.name() == name) {
                let index = u8::try_from(routers.len() + 1)?;
                routers.push(Router::add(name, index, &internet)?);
            }
            let site = u8::try_from(routers.len())?;
            let seat = 2 + u8::try_from(hosts.len())?;
            let router = &routers[routers.len() - 1].space;
            let socket =
                Socket { space: router, bridge: "lan", v4: lan_v4(site, seat), v6: lan_v6(site, seat) };
            let host = Host::add(&prefix, host, folder.path(), &socket)?;
            host.route_through(lan_v4(site, 1), lan_v6(site, 1))?;
            hosts.push(host);
        }
        let [lab, laptop] = <[Host; 2]>::try_from(hosts).expect("two names gave two hosts");
        Ok(Self { server, lab, laptop, routers, _internet: internet, _folder: folder })
    }
}

impl Router {
    fn add(name: String, index: u8, internet: &Space) -> anyhow::Result<Self> {
        let space = Space::add(name)?;
        let outside = Ipv4Addr::new(198, 18, 0, 1 + index);
        let outside_v6 = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1 + u16::from(index));
        space.cable("outside", internet, &format!("nat{index}"), "wan")?;
        space.ip(&format!(
            "link add lan type bridge\n\
             link set lan up\n\
             addr add {}/24 dev lan\n\
             addr add {}/64 dev lan nodad\n\
             addr add {outside}/24 dev outside\n\
             addr add {outside_v6}/64 dev outside nodad\n",
            lan_v4(index, 1),
            lan_v6(index, 1),
        ))?;
        space.run(
            "sh",
            &["-c", "for k in ipv4/ip_forward ipv6/conf/all/forwarding; do echo 1 >/proc/sys/net/$k; done"],
        )?;
        space.nft(
            "table inet router {
               chain to_the_router {
                 type filter hook input priority filter; policy drop;
                 iifname { lo, lan } accept
                 ct state established,related accept
                 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
               }
               chain through_the_router {
                 type filter hook forward priority filter; policy drop;
                 iifname lan oifname { lan, outside } accept
                 ct state established,related accept
               }
               chain behind_one_address {
                 type nat hook postrouting priority srcnat;
                 oifname outside masquerade
               }
             }",
        )?;
        Ok(Self { space, outside })
    }
}

fn lan_v4(site: u8, seat: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 19, site, seat)
}

fn lan_v6(site: u8, seat: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 2, 0, site.into(), 0, 0, 0, seat.into())
}
