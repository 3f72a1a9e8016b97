//! What the hub and a Nave exporter say to each other, on a WebSocket of their own at [`PATH`], which the exporter opens
//! as its node. The framing is that of a node's link.

use std::net::IpAddr;

use nave_link::address::Target;
use nave_link::rpc::Method;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::api::{CommandRun, Occasion, Part, PowerCommand};

/// Where the hub takes exporters.
pub const PATH: &str = "/nave/v1/boards/link";

/// What an exporter asks of the hub, by the names of the methods.
pub const EXPORTER_METHODS: [&str; 4] =
    [CommandBegan::NAME, CommandEnded::NAME, PlaceOffer::NAME, PlaceWithdraw::NAME];
/// By which word an exporter says that nobody is let in, since a command before or after a reservation failed.
pub const NOT_READY: &str = "not_ready";
/// The longest time limit of one command, in seconds.
pub const LONGEST_COMMAND: u64 = 3_600;

/// Puts a place into the farm, or describes one anew that this node has put there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceOffer {
    /// The place's name.
    pub name: String,
    /// Its parts.
    pub parts: Vec<Part>,
    /// The port on which the exporter takes agents of not-my-board, if its operator lets it.
    #[serde(default)]
    pub legacy_port: Option<u16>,
    /// How long the commands before and after a reservation may take in all, in seconds.
    #[serde(default)]
    pub hooks_within: u64,
    /// How its power can be switched.
    #[serde(default)]
    pub power: Vec<PowerCommand>,
    /// How long that may take, in seconds.
    #[serde(default)]
    pub power_within: u64,
}

impl Method for PlaceOffer {
    const NAME: &'static str = "place.offer";
    type Answer = ();
}

/// Takes a place out of the farm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceWithdraw {
    /// The place's name.
    pub name: String,
}

impl Method for PlaceWithdraw {
    const NAME: &'static str = "place.withdraw";
    type Answer = ();
}

/// A notice: a command runs for a place from now on, and nobody is let in meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandBegan {
    /// The place's name.
    pub place: String,
    /// Why it runs.
    pub occasion: Occasion,
    /// How long it may take, in seconds.
    pub within: u64,
}

impl Method for CommandBegan {
    const NAME: &'static str = "place.command_began";
    type Answer = ();
}

/// What came of a command; if it `closes` the place, that is out of service when this is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandEnded {
    /// The place's name.
    pub place: String,
    /// The command.
    pub run: CommandRun,
    /// Whether the place must not be used since it failed.
    pub closes: bool,
}

impl Method for CommandEnded {
    const NAME: &'static str = "place.command_ended";
    type Answer = ();
}

/// Asks an exporter to switch the power of one of its places; answered when that is done, well or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacePower {
    /// The place's name.
    pub place: String,
    /// What to do.
    pub command: PowerCommand,
    /// What people call whoever wants it.
    pub asker: String,
    /// The lease of whoever has the place.
    #[serde(default)]
    pub lease: Option<HeldLease>,
}

impl Method for PlacePower {
    const NAME: &'static str = "place.power";
    type Answer = CommandRun;
}

/// Tells an exporter who has one of its places from now on; answered when nobody else can reach it any more and the new
/// holder can, which takes as long as the commands before and after a reservation do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceHeld {
    /// The place's name.
    pub place: String,
    /// The lease; none when nobody may reach the place.
    pub lease: Option<HeldLease>,
    /// The id of the lease that stands while its holder is away, so that nobody may reach the place.
    #[serde(default)]
    pub standing: Option<String>,
}

impl Method for PlaceHeld {
    const NAME: &'static str = "place.held";
    type Answer = ();
}

/// A lease, as an exporter needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// Its id.
    pub id: String,
    /// The epoch of the hub that gave it: an exporter believes no older one than it has seen.
    pub epoch: i64,
    /// What people call the holder.
    pub holder: String,
    /// What the holder calls it; may be empty.
    #[serde(default)]
    pub name: String,
    /// Where a holder comes from that speaks not-my-board's protocol; none for others.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Until when at the most.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
}

/// Everything that streams lead to of these parts.
pub fn targets(parts: &[Part]) -> impl Iterator<Item = Target> {
    let tcp = parts.iter().flat_map(|part| part.tcp.values());
    let usb = parts.iter().flat_map(|part| part.usb.values());
    tcp.filter_map(|tcp| target(&tcp.host, tcp.port)).chain(usb.filter_map(|usb| usb_target(&usb.usbid)))
}

/// What of these parts may be used in a browser.
pub fn terminals(parts: &[Part]) -> impl Iterator<Item = Target> {
    let tcp = parts.iter().flat_map(|part| part.tcp.values()).filter(|tcp| tcp.web_terminal);
    tcp.filter_map(|tcp| target(&tcp.host, tcp.port))
}

/// The target by which a stream leads to a USB device of a node; `None` for what is no bus id.
pub fn usb_target(busid: &str) -> Option<Target> {
    let is_busid = busid.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    is_busid.then(|| format!("{busid}.usb.nave.localhost:3240").parse().ok()).flatten()
}

/// The target of a TCP interface, if a stream can lead there.
pub fn target(host: &str, port: u64) -> Option<Target> {
    let port = u16::try_from(port).ok()?;
    let text = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    text.parse().ok()
}
