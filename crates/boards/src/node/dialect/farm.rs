//! A hub of not-my-board as an agent's farm. When the connection to it is lost, another is made; what was reserved is
//! reserved again, and given up only if that does not succeed for a while.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connect;
use super::connection::{ConnectionError, HubClient};
use super::tokens::TokenSource;
use crate::node::agent::farm::{Farm, FarmError, Happening, Holding, Place, PlaceId, Stats, Target, Terms, Wire};
use crate::not_my_board::channel::{CallError, Channel, Methods, Outcome};
use crate::not_my_board::message::{Failure, Params};

/// How long the hub may be away until what was reserved there is given up.
pub const GRACE: Duration = Duration::from_mins(2);
/// How often the hub is asked for a place that is not back yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long the hub may take to take back what an agent has that stops.
const GOODBYE: Duration = Duration::from_secs(2);
/// A connection that ended sooner than this was not a good one.
const SHORT: Duration = Duration::from_secs(10);

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
    happening: mpsc::Sender<Happening>,
    happened: tokio::sync::Mutex<mpsc::Receiver<Happening>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Clone)]
struct Held {
    place: Place,
    /// Whether the hub knows it as reserved on this connection.
    confirmed: bool,
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

    /// Keeps a connection until told to stop.
    async fn keep(self: Arc<Self>, mut channel: Channel) {
        loop {
            let since = Instant::now();
            channel.closed().await;
            self.channel.send_replace(None);
            if self.stop.is_cancelled() {
                return;
            }
            let until = Instant::now() + self.grace;
            for held in self.held().values_mut() {
                held.confirmed = false;
            }
            tracing::warn!(
                hub = self.hub.address(),
                "the hub is gone; attached places stay attached for {} s until it is back",
                self.grace.as_secs()
            );
            let again = Arc::clone(&self);
            let new = async {
                if since.elapsed() < SHORT {
                    // A hub that does not want this agent is not asked over and over.
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                again.reconnect(until).await
            };
            let Some(new) = self.stop.run_until_cancelled(new).await else { return };
            channel = new;
            tracing::info!(hub = self.hub.address(), "the hub is back");
            let ids: Vec<PlaceId> = self.held().keys().copied().collect();
            for id in ids {
                let (again, channel) = (Arc::clone(&self), channel.clone());
                self.tasks.spawn(async move { again.recover(id, channel, until).await });
            }
        }
    }

    /// Tries until it succeeds, and gives up what is reserved when its time is over.
    async fn reconnect(self: Arc<Self>, until: Instant) -> Channel {
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(10))
            .with_jitter()
            .without_max_times()
            .build();
        let connect = async {
            loop {
                match self.open().await {
                    Ok(channel) => return channel,
                    Err(error) => tracing::info!(%error, "the hub is not back yet"),
                }
                tokio::time::sleep(delays.next().unwrap_or(LOOK_AGAIN)).await;
            }
        };
        let mut connect = std::pin::pin!(connect);
        if let Ok(channel) = tokio::time::timeout_at(until, &mut connect).await {
            return channel;
        }
        let lost: Vec<PlaceId> = self.held().drain().map(|(id, _)| id).collect();
        for place in lost {
            self.ended(place, format!("the hub was away for {} s", self.grace.as_secs())).await;
        }
        connect.await
    }

    async fn ended(&self, place: PlaceId, why: String) {
        self.tell(Happening::Ended { place, why }).await;
    }

    async fn tell(&self, happening: Happening) {
        // Nobody listens when the agent is stopping.
        let _ = self.stop.run_until_cancelled(self.happening.send(happening)).await;
    }

    /// Reserves a place again that was reserved on an earlier connection.
    async fn recover(self: Arc<Self>, id: PlaceId, channel: Channel, until: Instant) {
        let Some(Held { place, .. }) = self.held().get(&id).cloned() else { return };
        let again = async {
            loop {
                let now = self.find(&place).await;
                if let Some(now) = now
                    && self.reserve_on(&channel, &[now.id]).await.is_ok()
                {
                    return now;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let recovered = tokio::select! {
            recovered = tokio::time::timeout_at(until, again) => recovered.ok(),
            // Another connection, another try.
            () = channel.closed() => return,
        };
        let Some(now) = recovered else {
            if self.held().remove(&id).is_some() {
                let why =
                    "it could not be reserved again after the connection to the hub was lost".to_owned();
                self.ended(id, why).await;
            }
            return;
        };
        let wanted = {
            let mut held = self.held();
            let wanted = held.remove(&id).is_some();
            if wanted {
                held.insert(now.id, Held { place: now.clone(), confirmed: true });
            }
            wanted
        };
        if wanted {
            self.tell(Happening::Moved { was: id, now }).await;
        } else {
            // It was given back meanwhile.
            let _ = channel.call("return_reservation", json!([now.id])).await;
        }
    }

    /// The same place as the hub knows it now, if it is there and has not changed.
    async fn find(&self, place: &Place) -> Option<Place> {
        let places = self.places().await.ok()?;
        places.into_iter().find(|now| now.name == place.name && now.parts == place.parts)
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
        let unwanted = CancellationToken::new();
        let heard = unwanted.clone();
        // A task of its own: it must hear how the hub and a cancellation that crossed got on with each other.
        let reserving = self.tasks.spawn(async move {
            let answer = channel.call_until("reserve", params, heard).await;
            let answer = answer.ok_or_else(|| FarmError::Refused("it is not wanted any more".to_owned()))?;
            let id = understood(answer.map_err(failed)?)?;
            Ok(OnTheWay { given: Some((id, channel)), tasks, runtime: Handle::current() })
        });
        async move {
            let cancels = unwanted.drop_guard();
            let reserved = reserving.await;
            cancels.disarm();
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
            let id = self.0.reserve_on(&self.0.connected()?, &ids).await?;
            if let Some(place) = candidates.into_iter().find(|place| place.id == id) {
                self.0.held().insert(id, Held { place, confirmed: true });
            }
            Ok(id)
        }
        .boxed()
    }

    fn give_back(&self, place: PlaceId) -> BoxFuture<'_, Result<(), FarmError>> {
        async move {
            let known = self.0.held().remove(&place);
            if !known.is_some_and(|held| held.confirmed) {
                // The connection on which it was reserved is gone, and the reservation with it.
                return Ok(());
            }
            match self.0.call::<Value>("return_reservation", json!([place])).await {
                Ok(_) | Err(FarmError::Away(_)) => Ok(()),
                // The hub's way of saying that it is not reserved.
                Err(FarmError::Refused(words)) if words.trim_matches('\'') == place.to_string() => {
                    tracing::warn!(%place, "a place was not reserved any more when it was given back");
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn holdings(&self) -> BoxFuture<'_, Result<Vec<Holding>, FarmError>> {
        #[derive(Deserialize)]
        struct Reservations {
            reservations: Vec<Holding>,
        }
        async {
            let answer: Reservations = self.0.call("get_reservations", json!({})).await?;
            Ok(answer.reservations)
        }
        .boxed()
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
            let held: Vec<(PlaceId, Held)> = self.0.held().drain().collect();
            // A hub may keep what somebody has who is merely gone.
            if let Ok(channel) = self.0.connected() {
                let back = held.iter().filter(|(_, held)| held.confirmed).map(|(id, _)| {
                    let channel = channel.clone();
                    async move { channel.call("return_reservation", json!([id])).await }
                });
                let _ = tokio::time::timeout(GOODBYE, futures::future::join_all(back)).await;
            }
            self.0.stop.cancel();
            self.0.tasks.close();
            self.0.tasks.wait().await;
        }
        .boxed()
    }
}
