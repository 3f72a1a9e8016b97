//! Keeping what is reserved: over the end of a connection to the hub, and when a place's exporter comes back as another
//! place.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use serde_json::json;
use tokio::time::Instant;

use super::{Held, Shared};
use crate::node::agent::farm::{Happening, Holding, Place, PlaceId};
use crate::not_my_board::channel::Channel;

/// How often the hub is asked for a place that is not back yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often is looked whether the places that are reserved are still those that they were.
const LOOK_AFTER: Duration = Duration::from_secs(15);
/// A connection that ended sooner than this was not a good one.
const SHORT: Duration = Duration::from_secs(10);

impl Shared {
    /// Keeps a connection until told to stop.
    pub(super) async fn keep(self: Arc<Self>, mut channel: Channel) {
        let mut since = Instant::now();
        loop {
            let look = async {
                loop {
                    // Woken or not, it is time.
                    let _ = tokio::time::timeout(LOOK_AFTER, self.look.notified()).await;
                    self.look_after(&channel).await;
                }
            };
            tokio::select! {
                () = channel.closed() => {}
                () = look => {}
            }
            self.channel.send_replace(None);
            if self.stop.is_cancelled() {
                return;
            }
            let until = Instant::now() + self.grace;
            tracing::warn!(
                hub = self.hub.address(),
                "the hub is gone; attached places stay attached for {} s until it is back",
                self.grace.as_secs()
            );
            let again = async {
                if since.elapsed() < SHORT {
                    // A hub that does not want this agent is not asked over and over.
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                self.reconnect(until).await
            };
            let Some(new) = self.stop.run_until_cancelled(again).await else { return };
            (channel, since) = (new, Instant::now());
            tracing::info!(hub = self.hub.address(), "the hub is back");
            self.recover_all(&channel, until);
        }
    }

    /// Tries until it succeeds, and gives up what is reserved when its time is over.
    async fn reconnect(&self, until: Instant) -> Channel {
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

    /// Reserves again what was reserved on connections that have ended.
    fn recover_all(self: &Arc<Self>, channel: &Channel, until: Instant) {
        for (id, held) in &mut *self.held() {
            if held.channel.is_closed() && !std::mem::replace(&mut held.recovering, true) {
                let (shared, channel, id) = (Arc::clone(self), channel.clone(), *id);
                self.tasks.spawn(async move { shared.recover(id, channel, until).await });
            }
        }
    }

    /// Reserves a place again, until it succeeds or time is over.
    async fn recover(&self, id: PlaceId, channel: Channel, until: Instant) {
        let Some(Held { place, .. }) = self.held().get(&id).cloned() else { return };
        let again = async {
            loop {
                let now = self.places().await.ok().and_then(|places| same(&place, &places));
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
            () = channel.closed() => {
                // Another connection, another try.
                if let Some(held) = self.held().get_mut(&id) {
                    held.recovering = false;
                }
                return;
            }
        };
        let was = self.held().remove(&id);
        match (recovered, was) {
            (Some(now), Some(_)) => {
                self.held().insert(now.id, Held::new(now.clone(), channel));
                self.look.notify_one();
                self.tell(Happening::Moved { was: id, now }).await;
            }
            (Some(now), None) => {
                // It was given back meanwhile.
                let _ = channel.call("return_reservation", json!([now.id])).await;
            }
            (None, Some(_)) => {
                self.ended(id, "it could not be reserved again in time".to_owned()).await;
            }
            (None, None) => {}
        }
    }

    /// Looks whether what is reserved is still so. When an exporter comes back, hubs take its place for another: Nave's
    /// keeps who has it, Python's has forgotten that.
    async fn look_after(self: &Arc<Self>, channel: &Channel) {
        let until = Instant::now() + self.grace;
        self.recover_all(channel, until);
        let held: Vec<(PlaceId, Held)> = self.held().iter().map(|(id, held)| (*id, held.clone())).collect();
        if held.is_empty() {
            return;
        }
        // The places first: what is reserved among them later is also known to whoever is asked later.
        let (Ok(places), Ok(holdings)) = (self.places().await, self.holdings().await) else { return };
        let user = |id: PlaceId| {
            let holding = holdings.iter().find(|holding: &&Holding| holding.place_id == id);
            holding.map(|holding| holding.user.clone())
        };
        for (id, known) in held.into_iter().filter(|(_, held)| !held.recovering) {
            if places.iter().any(|place| place.id == known.place.id) {
                if let Some(held) = self.held().get_mut(&id) {
                    held.user = user(id).or(held.user.take());
                }
                continue;
            }
            let Some(now) = same(&known.place, &places) else { continue };
            let user = user(now.id);
            let is_ours = user == known.user || known.user.is_none();
            match user {
                None => {
                    tracing::warn!(place = now.name, "the hub has forgotten a reservation: it is made again");
                    if let Some(held) = self.held().get_mut(&id)
                        && !std::mem::replace(&mut held.recovering, true)
                    {
                        let (shared, channel) = (Arc::clone(self), channel.clone());
                        self.tasks.spawn(async move { shared.recover(id, channel, until).await });
                    }
                }
                Some(_) if is_ours => {
                    let held = self.held().remove(&id);
                    if let Some(held) = held {
                        self.held().insert(now.id, Held { place: now.clone(), ..held });
                        self.tell(Happening::Moved { was: id, now }).await;
                    }
                }
                Some(_) => {
                    if self.held().remove(&id).is_some() {
                        let why = "its exporter started anew, and somebody else has it now".to_owned();
                        self.ended(id, why).await;
                    }
                }
            }
        }
    }
}

/// The same place as it is now, if it is there and has not changed.
fn same(place: &Place, places: &[Place]) -> Option<Place> {
    places.iter().find(|now| now.name == place.name && now.parts == place.parts).cloned()
}
