//! A hub of not-my-board as an agent's farm. When the connection to it is lost, another is made; what was reserved is
//! reserved again, and given up only if that does not succeed for a while.

mod keep;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connect;
use super::connection::{ConnectionError, HubClient};
use super::tokens::TokenSource;
use crate::node::agent::farm::{
    Farm, FarmError, Happening, Holding, Place, PlaceId, Stats, Target, Terms, Wire,
};
use crate::not_my_board::channel::{CallError, Channel, Methods, Outcome};
use crate::not_my_board::message::{Failure, Params};

/// How long the hub may be away until what was reserved there is given up.
pub const GRACE: Duration = Duration::from_mins(2);
/// How long the hub may take to take back what an agent has that stops.
const GOODBYE: Duration = Duration::from_secs(2);
/// What a hub may call at its agents.
struct Called(Arc<TokenSource>);

impl Methods for Called {
    fn call(&self, _: Channel, method: String, _: Params) -> BoxFuture<'static, Result<Outcome, Failure>> {
        let tokens = Arc::clone(&self.0);
        async move {
            if method != "get_id_token" {
                return Err(Failure::no_method());
            }
            let token = tokens.id_token().await.map_err(|error| {
                tracing::warn!("the hub asks for an ID token, and there is none: {error}");
                Failure::raised(error.to_string())
            })?;
            Ok(Outcome::of(&token.expose_secret()))
        }
        .boxed()
    }
}

/// A hub.
pub struct NotMyBoard(Arc<Shared>);

struct Shared {
    hub: HubClient,
    methods: Arc<dyn Methods>,
    grace: Duration,
    /// The connection, while there is one.
    channel: watch::Sender<Option<Channel>>,
    /// What is reserved, by the id that the agent knows.
    held: Mutex<HashMap<PlaceId, Held>>,
    /// Something was reserved: what the hub says of it is looked at.
    look: Notify,
    happening: mpsc::Sender<Happening>,
    happened: tokio::sync::Mutex<mpsc::Receiver<Happening>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A place that is reserved.
#[derive(Clone)]
struct Held {
    place: Place,
    /// What the hub called the place when it was reserved.
    reserved_as: PlaceId,
    /// The connection on which it was reserved: with its end the hub may have forgotten it.
    channel: Channel,
    /// Whom the hub says it is reserved for.
    user: Option<String>,
    /// Whether it is being reserved again.
    recovering: bool,
}

impl Held {
    fn new(place: Place, channel: Channel) -> Self {
        Self { reserved_as: place.id, place, channel, user: None, recovering: false }
    }
}

impl NotMyBoard {
    /// Connects to a hub. While it is away, what is reserved is kept for `grace`.
    pub async fn connect(
        hub: HubClient,
        tokens: TokenSource,
        grace: Duration,
    ) -> Result<Self, ConnectionError> {
        let methods = Arc::new(Called(Arc::new(tokens)));
        let (happening, happened) = mpsc::channel(64);
        let shared = Arc::new(Shared {
            hub,
            methods,
            grace,
            channel: watch::Sender::new(None),
            held: Mutex::default(),
            look: Notify::new(),
            happening,
            happened: tokio::sync::Mutex::new(happened),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let channel = shared.open().await?;
        let keeping = Arc::clone(&shared);
        shared.tasks.spawn(async move { keeping.keep(channel).await });
        Ok(Self(shared))
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, HashMap<PlaceId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Result<Channel, ConnectionError> {
        let stop = self.stop.child_token();
        let (channel, serving) = Box::pin(self.hub.talk(Arc::clone(&self.methods), stop)).await?;
        self.tasks.spawn(serving);
        self.channel.send_replace(Some(channel.clone()));
        Ok(channel)
    }

    async fn places(&self) -> Result<Vec<Place>, FarmError> {
        #[derive(Deserialize)]
        struct Places {
            places: Vec<Value>,
        }
        let answer = self.hub.places().await.map_err(|error| match &error {
            ConnectionError::Refused { .. } => FarmError::Refused(error.to_string()),
            _ => FarmError::Away(error.to_string()),
        })?;
        let answer: Places = understood(answer)?;
        let place = |value| {
            let place = serde_json::from_value(value);
            place.inspect_err(|error| tracing::warn!(%error, "a place of the hub is passed over")).ok()
        };
        Ok(answer.places.into_iter().filter_map(place).collect())
    }

    async fn holdings(&self) -> Result<Vec<Holding>, FarmError> {
        #[derive(Deserialize)]
        struct Reservations {
            reservations: Vec<Holding>,
        }
        let answer: Reservations = self.call("get_reservations", json!({})).await?;
        Ok(answer.reservations)
    }

    fn connected(&self) -> Result<Channel, FarmError> {
        let away = || FarmError::Away("the connection is lost, and a new one is being made".to_owned());
        self.channel.borrow().clone().ok_or_else(away)
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, FarmError> {
        understood(self.connected()?.call(method, params).await.map_err(failed)?)
    }

    /// Reserves one of these; whoever drops the future has reserved nothing.
    fn reserve_on(
        &self,
        channel: &Channel,
        ids: &[PlaceId],
    ) -> BoxFuture<'static, Result<PlaceId, FarmError>> {
        let (channel, params, tasks) = (channel.clone(), json!([ids]), self.tasks.clone());
        let heard = CancellationToken::new();
        let unwanted = heard.clone().drop_guard();
        // A task of its own: it must hear how the hub and a cancellation that crossed got on with each other.
        let reserving = self.tasks.spawn(async move {
            let answer = channel.call_until("reserve", params, heard).await;
            let answer = answer.ok_or_else(|| FarmError::Refused("it is not wanted any more".to_owned()))?;
            let id = understood(answer.map_err(failed)?)?;
            Ok(OnTheWay { given: Some((id, channel)), tasks, runtime: Handle::current() })
        });
        async move {
            let reserved = reserving.await;
            unwanted.disarm();
            reserved
                .unwrap_or_else(|_| Err(FarmError::Away("the agent is stopping".to_owned())))
                .and_then(OnTheWay::arrived)
        }
        .boxed()
    }

    /// Where a place's exporter is. One that is on the hub's own machine is reached where the hub is.
    fn exporter(&self, place: &Place) -> io::Result<(String, u16)> {
        let port = u16::try_from(place.port)
            .map_err(|_| io::Error::other(format!("the exporter has no such port: {}", place.port)))?;
        let is_loopback = place.host.parse().is_ok_and(|host: IpAddr| host.to_canonical().is_loopback());
        let host = if is_loopback { self.hub.host() } else { place.host.clone() };
        Ok((host, port))
    }
}

/// A reserved place on its way to whoever wanted it. Dropped before it arrives, it goes back.
struct OnTheWay {
    given: Option<(PlaceId, Channel)>,
    tasks: TaskTracker,
    runtime: Handle,
}

impl OnTheWay {
    fn arrived(mut self) -> Result<PlaceId, FarmError> {
        let (id, _) = self.given.take().ok_or_else(|| FarmError::Refused("nothing was given".to_owned()))?;
        Ok(id)
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        if let Some((id, channel)) = self.given.take() {
            let back = async move {
                // If the connection is gone, so is the reservation.
                let _ = channel.call("return_reservation", json!([id])).await;
            };
            self.tasks.spawn_on(back, &self.runtime);
        }
    }
}

/// The words of an error, without the traceback that may stand below.
fn failed(error: CallError) -> FarmError {
    match error {
        CallError::Failed(failure) => {
            FarmError::Refused(failure.message.lines().next().unwrap_or_default().to_owned())
        }
        CallError::Closed => FarmError::Away("the connection was lost".to_owned()),
    }
}

fn understood<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, FarmError> {
    serde_json::from_value(answer)
        .map_err(|error| FarmError::Refused(format!("the hub's answer cannot be understood: {error}")))
}

fn name(target: &Target) -> String {
    match target {
        Target::Tcp { host, port } => format!("{host}:{port}"),
        Target::Usb { .. } => connect::USB.to_owned(),
    }
}

impl Farm for NotMyBoard {
    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, FarmError>> {
        self.0.places().boxed()
    }

    fn reserve(&self, candidates: Vec<Place>, _: Terms) -> BoxFuture<'_, Result<PlaceId, FarmError>> {
        async move {
            let ids: Vec<PlaceId> = candidates.iter().map(|place| place.id).collect();
            let channel = self.0.connected()?;
            let id = self.0.reserve_on(&channel, &ids).await?;
            if let Some(place) = candidates.into_iter().find(|place| place.id == id) {
                self.0.held().insert(id, Held::new(place, channel));
            }
            self.0.look.notify_one();
            Ok(id)
        }
        .boxed()
    }

    fn keeps_time(&self) -> bool {
        false
    }

    fn renew(&self, _: PlaceId, _: Option<Duration>) -> BoxFuture<'_, Result<(), FarmError>> {
        std::future::ready(Ok(())).boxed()
    }

    fn give_back(&self, place: PlaceId) -> BoxFuture<'_, Result<(), FarmError>> {
        async move {
            let known = self.0.held().remove(&place);
            let Some(Held { channel, reserved_as, .. }) = known.filter(|held| !held.channel.is_closed())
            else {
                // The connection on which it was reserved is gone, and the reservation with it.
                return Ok(());
            };
            match channel.call("return_reservation", json!([reserved_as])).await.map_err(failed) {
                Ok(_) | Err(FarmError::Away(_)) => Ok(()),
                // The hub's way of saying that it is not reserved.
                Err(FarmError::Refused(words)) if words.trim_matches('\'') == reserved_as.to_string() => {
                    tracing::warn!(%place, "a place was not reserved any more when it was given back");
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn holdings(&self) -> BoxFuture<'_, Result<Vec<Holding>, FarmError>> {
        self.0.holdings().boxed()
    }

    fn stats(&self, place: PlaceId) -> BoxFuture<'_, Result<Stats, FarmError>> {
        async move { self.0.call("get_place_stats", json!([place])).await }.boxed()
    }

    fn connect(&self, place: &Place, target: &Target) -> BoxFuture<'static, io::Result<Wire>> {
        let (exporter, target) = (self.0.exporter(place), name(target));
        async move {
            let (host, port) = exporter?;
            connect::connect(&host, port, &target).await.map(Wire::Left)
        }
        .boxed()
    }

    fn check(&self, place: &Place, target: &Target) -> BoxFuture<'static, io::Result<()>> {
        let (exporter, target) = (self.0.exporter(place), name(target));
        async move {
            let (host, port) = exporter?;
            connect::check(&host, port, &target).await
        }
        .boxed()
    }

    fn next(&self) -> BoxFuture<'_, Happening> {
        async {
            match self.0.happened.lock().await.recv().await {
                Some(happening) => happening,
                // Not while this farm is there, which has the sender.
                None => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        async {
            // A hub may keep what somebody has who is merely gone.
            let held: Vec<Held> = self.0.held().drain().map(|(_, held)| held).collect();
            let back =
                held.iter().map(|held| held.channel.call("return_reservation", json!([held.reserved_as])));
            let _ = tokio::time::timeout(GOODBYE, futures::future::join_all(back)).await;
            self.0.stop.cancel();
            self.0.tasks.close();
            self.0.tasks.wait().await;
        }
        .boxed()
    }
}
