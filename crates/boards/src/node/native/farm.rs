//! The farm of a Nave hub, for an agent: places are reserved by the hub's API and reached by streams. A reservation stands at
//! the hub until it is given back or its time is over; an agent that is started anew finds its own again by their names.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use nave_core::node::Dialer;
use nave_link::address::NodeTarget;
use serde_json::{Value, json};
use tokio_util::either::Either;

use super::api::{self, ApiError};
use crate::api::{FarmPlace, Reservation, ReservationChange, ReserveRequest};
use crate::link;
use crate::node::agent::farm::{
    Farm, FarmError, Happening, Holding, Place, PlaceId, Stats, Target, Terms, Wire,
};
use crate::node::dialect::connect;

/// How long a place that was waited for may take to be ready: three commands of an hour.
const MADE_READY: Duration = Duration::from_hours(3);
/// How long the hub may take to answer what it answers at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an agent waits for a place in one request, if nobody says: a day.
const WAIT: Duration = Duration::from_hours(24);
/// What the hub takes for "as long as can be", in seconds.
const LONGEST: u64 = 31_536_000;
/// How often it is looked whether reservations still stand.
const LOOK: Duration = Duration::from_secs(5);

/// The farm.
pub struct NaveFarm {
    dialer: Arc<Dialer>,
    known: Mutex<Names>,
    wait: Duration,
    limit: Option<Duration>,
}

/// What the agent calls places by number; the hub knows them by name.
#[derive(Default)]
struct Names {
    ids: HashMap<String, PlaceId>,
    /// Reserved for this agent, as far as it knows.
    held: HashMap<PlaceId, String>,
}

impl Names {
    fn id(&mut self, name: &str) -> PlaceId {
        let next = PlaceId(self.ids.len() as u64 + 1);
        *self.ids.entry(name.to_owned()).or_insert(next)
    }

    fn name(&self, id: PlaceId) -> Option<String> {
        self.ids.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone())
    }
}

impl NaveFarm {
    /// The farm of the hub that `dialer` knows.
    pub fn new(dialer: Dialer) -> Self {
        Self { dialer: Arc::new(dialer), known: Mutex::default(), wait: WAIT, limit: None }
    }

    /// Waits no longer than this for a place that others have, a day at the most; not at all for zero.
    #[must_use]
    pub fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Reserves for this time, whatever a description says.
    #[must_use]
    pub fn limited(self, limit: Option<Duration>) -> Self {
        Self { limit, ..self }
    }

    fn known(&self) -> MutexGuard<'_, Names> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl serde::Serialize,
        longest: Duration,
    ) -> Result<T, ApiError> {
        api::ask(self.dialer.known(), method, path, body, longest).await
    }

    async fn farm(&self) -> Result<Vec<FarmPlace>, FarmError> {
        Ok(self.ask(Method::GET, "/nave/v1/places", &json!({}), PATIENCE).await?)
    }

    async fn reservations(&self) -> Result<Vec<Reservation>, FarmError> {
        Ok(self.ask(Method::GET, "/nave/v1/reservations", &json!({}), PATIENCE).await?)
    }

    fn name(&self, id: PlaceId) -> Result<String, FarmError> {
        self.known().name(id).ok_or_else(|| FarmError::Refused(format!("there is no place {id}")))
    }

    async fn reserve_one(&self, candidates: Vec<Place>, terms: Terms) -> Result<PlaceId, FarmError> {
        // One that was reserved before this agent was started, or in the browser: under the same name, or the only place that
        // will do.
        let is_own = |held: &Reservation| {
            let named = !held.name.is_empty() && held.name == terms.name;
            held.mine && (named || matches!(candidates.as_slice(), [only] if only.name == held.place))
        };
        let own = self.reservations().await?.into_iter().find(is_own);
        if let Some(own) = own {
            let fits = candidates.iter().find(|place| place.name == own.place);
            let place = fits.ok_or_else(|| {
                FarmError::Refused(format!(
                    "{} is reserved for you as {:?} already, and is not as described: return it first",
                    own.place, terms.name
                ))
            })?;
            self.known().held.insert(place.id, own.id);
            return Ok(place.id);
        }
        let request = ReserveRequest {
            places: candidates.iter().map(|place| place.name.clone()).collect(),
            parts: Vec::new(),
            name: terms.name,
            seconds: seconds(self.limit.or(terms.limit)),
            wait: self.wait.as_secs(),
        };
        let longest = self.wait + MADE_READY + PATIENCE;
        let reserved: Reservation =
            self.ask(Method::POST, "/nave/v1/reservations", &request, longest).await?;
        let mut known = self.known();
        let id = known.id(&reserved.place);
        known.held.insert(id, reserved.id);
        Ok(id)
    }

    /// Whichever of the reservations that this agent knows of has ended.
    async fn ended(&self) -> Option<Happening> {
        let held = self.known().held.clone();
        if held.is_empty() {
            return None;
        }
        // The hub may be away for a while: it keeps what is reserved.
        let standing = self.reservations().await.ok()?;
        let (place, _) =
            held.into_iter().find(|(_, id)| !standing.iter().any(|own| own.id == *id && own.mine))?;
        self.known().held.remove(&place);
        Some(Happening::Ended { place, why: "the hub does not count it as yours any more".to_owned() })
    }
}

impl From<ApiError> for FarmError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Refused { message, .. } => Self::Refused(message),
            other => Self::Away(other.to_string()),
        }
    }
}

/// For how long a place is reserved, as the hub takes it.
fn seconds(limit: Option<Duration>) -> u64 {
    limit.map_or(LONGEST, |limit| limit.as_secs()).clamp(1, LONGEST)
}

/// How a target of a place is reached.
enum Way {
    /// By a stream to the node that offers it.
    Stream(NodeTarget),
    /// By an exporter of not-my-board: its host and port, and the target's name there.
    Legacy(String, u16, String),
}

/// A place that a node offers has its name as the host, and no port; one of not-my-board's exporter has both.
fn way(place: &Place, target: &Target) -> io::Result<Way> {
    let cannot = |what: &str| io::Error::other(format!("{what} cannot be reached"));
    if place.port == 0 {
        let target = match target {
            Target::Tcp { host, port } => link::target(host, *port),
            Target::Usb { usbid } => link::usb_target(usbid),
        };
        let target = target.ok_or_else(|| cannot("a port that no machine has"))?;
        return Ok(Way::Stream(NodeTarget { node: place.host.clone(), target }));
    }
    let port = u16::try_from(place.port).map_err(|_| cannot("an exporter without a port"))?;
    let name = match target {
        Target::Tcp { host, port } => format!("{host}:{port}"),
        Target::Usb { .. } => connect::USB.to_owned(),
    };
    Ok(Way::Legacy(place.host.clone(), port, name))
}

impl Farm for NaveFarm {
    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, FarmError>> {
        async move {
            let farm = self.farm().await?;
            let mut known = self.known();
            let there = farm.into_iter().filter(|place| place.here).filter_map(|place| {
                let (host, port) = match (place.node, place.address) {
                    (Some(node), _) => (node, 0),
                    (None, Some(address)) => {
                        let (host, port) = address.rsplit_once(':')?;
                        (host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?)
                    }
                    (None, None) => return None,
                };
                Some(Place { id: known.id(&place.name), name: place.name, port, parts: place.parts, host })
            });
            Ok(there.collect())
        }
        .boxed()
    }

    fn reserve(&self, candidates: Vec<Place>, terms: Terms) -> BoxFuture<'_, Result<PlaceId, FarmError>> {
        self.reserve_one(candidates, terms).boxed()
    }

    fn keeps_time(&self) -> bool {
        true
    }

    fn renew(&self, place: PlaceId, limit: Option<Duration>) -> BoxFuture<'_, Result<(), FarmError>> {
        async move {
            let id = self.known().held.get(&place).cloned();
            let id = id.ok_or_else(|| FarmError::Refused("it is not reserved any more".to_owned()))?;
            let change = ReservationChange { seconds: seconds(limit) };
            let path = format!("/nave/v1/reservations/{id}");
            self.ask::<Reservation>(Method::PATCH, &path, &change, PATIENCE).await?;
            Ok(())
        }
        .boxed()
    }

    fn give_back(&self, place: PlaceId) -> BoxFuture<'_, Result<(), FarmError>> {
        async move {
            let Some(id) = self.known().held.remove(&place) else { return Ok(()) };
            let path = format!("/nave/v1/reservations/{id}");
            match self.ask::<Value>(Method::DELETE, &path, &json!({}), PATIENCE).await {
                Err(ApiError::Refused { status: StatusCode::NOT_FOUND, .. }) | Ok(_) => Ok(()),
                Err(error) => {
                    self.known().held.insert(place, id);
                    Err(error.into())
                }
            }
        }
        .boxed()
    }

    fn holdings(&self) -> BoxFuture<'_, Result<Vec<Holding>, FarmError>> {
        async move {
            let held = self.reservations().await?;
            let mut known = self.known();
            let holding = |held: Reservation| Holding { place_id: known.id(&held.place), user: held.holder };
            Ok(held.into_iter().map(holding).collect())
        }
        .boxed()
    }

    fn stats(&self, place: PlaceId) -> BoxFuture<'_, Result<Stats, FarmError>> {
        async move {
            let name = self.name(place)?;
            let farm = self.farm().await?;
            let place = farm.into_iter().find(|place| place.name == name);
            let place = place.ok_or_else(|| FarmError::Refused(format!("{name} is gone")))?;
            Ok(Stats { uniqueness: place.uniqueness })
        }
        .boxed()
    }

    fn connect(&self, place: &Place, target: &Target) -> BoxFuture<'static, io::Result<Wire>> {
        let (dialer, way) = (Arc::clone(&self.dialer), way(place, target));
        async move {
            match way? {
                Way::Stream(target) => {
                    let stream = dialer.open(&target, None).await.map_err(io::Error::other)?;
                    Ok(Either::Right(Box::new(stream) as _))
                }
                Way::Legacy(host, port, name) => connect::connect(&host, port, &name).await.map(Either::Left),
            }
        }
        .boxed()
    }

    fn check(&self, place: &Place, target: &Target) -> BoxFuture<'static, io::Result<()>> {
        let (dialer, way) = (Arc::clone(&self.dialer), way(place, target));
        async move {
            match way? {
                // It is opened, not only asked for: the target may be down.
                Way::Stream(target) => dialer.open(&target, None).await.map(drop).map_err(io::Error::other),
                Way::Legacy(host, port, name) => connect::check(&host, port, &name).await,
            }
        }
        .boxed()
    }

    fn next(&self) -> BoxFuture<'_, Happening> {
        async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if let Some(ended) = self.ended().await {
                    return ended;
                }
            }
        }
        .boxed()
    }

    /// What is reserved stands at the hub, and is found again by the next agent.
    fn leave(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}
