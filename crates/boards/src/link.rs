//! What the hub and a Nave exporter say to each other, on a WebSocket of their own at [`PATH`], which the exporter opens
//! as its node. The framing is that of a node's link.

use std::net::IpAddr;

use nave_link::address::Target;
use nave_link::rpc::Method;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::api::Part;

/// Where the hub takes exporters.
pub const PATH: &str = "/nave/v1/boards/link";

/// What an exporter asks of the hub, by the names of the methods.
pub const EXPORTER_METHODS: [&str; 2] = [PlaceOffer::NAME, PlaceWithdraw::NAME];

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

/// Tells an exporter who has one of its places from now on; answered when nobody else can reach it any more and the new
/// holder can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceHeld {
    /// The place's name.
    pub place: String,
    /// The lease; none when nobody may reach the place.
    pub lease: Option<HeldLease>,
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
