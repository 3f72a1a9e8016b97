//! The seam between an agent and the hub that it works with: there is one for each protocol.

use std::fmt;
use std::io;
use std::time::Duration;

use futures::future::BoxFuture;
use nave_link::pipe::Pipe;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_util::either::Either;

use crate::api::Part;

/// What a hub calls a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlaceId(pub u64);

impl fmt::Display for PlaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place that is there, as hubs of not-my-board and agents show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// The port of its exporter.
    pub port: u64,
    /// What it consists of.
    pub parts: Vec<Part>,
    /// What the hub calls it; another exporter's run, another id.
    pub id: PlaceId,
    /// The address of its exporter.
    pub host: String,
}

/// Who has a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The place.
    pub place_id: PlaceId,
    /// Its holder's name.
    pub user: String,
}

/// What a hub has counted about a place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// From 0 to 1: how few others would have done for those who asked for it.
    pub uniqueness: f64,
}

/// What a connection to a place leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP service, as the exporter reaches it.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u64,
    },
    /// A USB device, by the exporter's own USB/IP server.
    Usb {
        /// The port that it hangs on there.
        usbid: String,
    },
}

/// How somebody wants a place; a hub of not-my-board knows no such terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What the reservation is called here.
    pub name: String,
    /// For how long at the most; `None`: as long as can be.
    pub limit: Option<Duration>,
}

/// A connection to a target: its socket, where the bytes go over it as they are.
pub type Wire = Either<TcpStream, Box<dyn Pipe>>;

/// Why the hub did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FarmError {
    /// The hub says so; its own words.
    #[error("{0}")]
    Refused(String),
    /// The hub cannot be asked now.
    #[error("the hub cannot be reached now: {0}")]
    Away(String),
}

/// What happens to a reservation without anybody here having asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It goes on, but the place is reached in another way now.
    Moved {
        /// What the hub called the place before.
        was: PlaceId,
        /// The place.
        now: Place,
    },
    /// It has ended.
    Ended {
        /// The place.
        place: PlaceId,
        /// Why.
        why: String,
    },
}

/// A hub and its places.
pub trait Farm: Send + Sync + 'static {
    /// The places that are there, in the hub's order.
    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, FarmError>>;

    /// Reserves one of these, waiting for it if others have them all. Whoever drops the future has reserved nothing.
    fn reserve(&self, candidates: Vec<Place>, terms: Terms) -> BoxFuture<'_, Result<PlaceId, FarmError>>;

    /// Whether the hub takes a place back when its time is over. Where it does not, the agent gives it back.
    fn keeps_time(&self) -> bool;

    /// Says anew, to a hub that keeps time, for how long from now a place is reserved.
    fn renew(&self, place: PlaceId, limit: Option<Duration>) -> BoxFuture<'_, Result<(), FarmError>>;

    /// Gives a reserved place back; one that is not reserved any more is no error.
    fn give_back(&self, place: PlaceId) -> BoxFuture<'_, Result<(), FarmError>>;

    /// Who has which place.
    fn holdings(&self) -> BoxFuture<'_, Result<Vec<Holding>, FarmError>>;

    /// What is counted about a place.
    fn stats(&self, place: PlaceId) -> BoxFuture<'_, Result<Stats, FarmError>>;

    /// Opens a connection to a target of a reserved place.
    fn connect(&self, place: &Place, target: &Target) -> BoxFuture<'static, io::Result<Wire>>;

    /// Finds out whether a target can be connected to.
    fn check(&self, place: &Place, target: &Target) -> BoxFuture<'static, io::Result<()>>;

    /// The next thing that happens to a reservation; one listener alone.
    fn next(&self) -> BoxFuture<'_, Happening>;

    /// Leaves the hub: what is still reserved is given back.
    fn leave(&self) -> BoxFuture<'_, ()>;
}
