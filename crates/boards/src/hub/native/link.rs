//! The link of a Nave exporter: the places that it offers, and what it is told of who has them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::hub::access::Action;
use nave_core::hub::bus::Notice;
use nave_core::hub::context::Hub;
use nave_core::hub::edge::Connection;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::{EndReason, Held, Lease};
use nave_core::hub::nodes;
use nave_core::hub::nodes::fleet_link::{FleetLink, take_over};
use nave_core::hub::op::{Actor, Op, Person, Via};
use nave_core::id::{LeaseId, NodeId};
use nave_link::rpc::{CallError, Handler, Method as _, Peer, RpcError, code};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::api::RunningCommand;
use crate::hub::gate::{Exporter, Refusal};
use crate::hub::places::{Description, Place, PowerControl, Reach};
use crate::hub::{Boards, NAME, REGISTER, commands, reserve};
use crate::link::{
    CommandBegan, CommandEnded, HeldLease, LONGEST_COMMAND, NOT_READY, PlaceHeld, PlaceOffer, PlaceWithdraw,
};

/// The most places that one exporter offers.
const MOST_PLACES: usize = 1_000;
/// The most parts that a place has, and words and interfaces that a part has.
const MOST_PARTS: usize = 100;
/// The longest name, in characters.
const LONGEST_NAME: usize = 100;
/// How long an exporter may take to let a holder in, apart from the commands that it runs before.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many commands there are between two reservations at the most.
const MOST_HOOKS: u64 = 3;
/// How long a command may take to end whose time is over.
const MERCY: Duration = Duration::from_secs(5);

/// Takes an exporter in.
pub(super) async fn open(
    boards: Boards,
    State(hub): State<Arc<Hub>>,
    op: Op,
    connection: Option<Extension<Connection>>,
    request: Request,
) -> Result<Response> {
    let (Actor::Node { id, .. } | Actor::Person(Person { via: Via::Device(id), .. })) = op.actor else {
        return Err(Error::Forbidden(
            "places are offered by nodes: `nave board export` runs on a machine that has joined".to_owned(),
        ));
    };
    let mut reader = hub.store.read().await?;
    let name = nodes::name_of(&mut reader, id).await?.unwrap_or_default();
    drop(reader);
    let link = Link { boards, hub, op, node: (id, name), peer: OnceLock::new(), places: Mutex::default() };
    take_over(Arc::new(link), connection, request)
}

struct Link {
    boards: Boards,
    hub: Arc<Hub>,
    op: Op,
    node: (NodeId, String),
    peer: OnceLock<Peer>,
    places: Mutex<HashMap<String, Arc<Place>>>,
}

impl Link {
    fn places(&self) -> MutexGuard<'_, HashMap<String, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn offer(&self, offer: PlaceOffer) -> Result<()> {
        let op = nodes::renewed(&self.op, &self.hub).await?;
        check(&offer)?;
        let peer = self.peer.get().cloned().ok_or_else(|| Error::internal("a link without its peer"))?;
        // What this very node has put there gives way: it was restarted, or describes the place anew.
        if let Some(older) = self.boards.places().by_name(&offer.name)
            && older.reach.node.as_ref().is_some_and(|(id, _)| *id == self.node.0)
        {
            self.places().remove(&offer.name);
            reserve::withdraw(&op, &self.hub, &self.boards, &older)?;
        }
        if self.places().len() >= MOST_PLACES {
            return Err(Error::Conflict(format!("an exporter offers {MOST_PLACES} places at the most")));
        }
        let legacy = offer.legacy_port.and_then(|port| Some((op.source?, u64::from(port))));
        let power = PowerControl {
            peer: peer.clone(),
            commands: offer.power,
            within: seconds(offer.power_within, 2 * LONGEST_COMMAND) + PATIENCE,
        };
        let description = Description {
            name: offer.name.clone(),
            parts: offer.parts,
            reach: Reach { node: Some(self.node.clone()), legacy },
            power: Some(power).filter(|power| !power.commands.is_empty()),
        };
        let exporter = Remote {
            peer,
            hub: Arc::downgrade(&self.hub),
            node: self.node.0,
            place: offer.name.clone(),
            patience: seconds(offer.hooks_within, MOST_HOOKS * LONGEST_COMMAND) + PATIENCE,
        };
        let id = self.boards.next_connection();
        let place = reserve::register(&op, &self.hub, &self.boards, id, description, exporter)?;
        let place = place.ok_or_else(|| {
            Error::Conflict(format!(
                "another exporter offers a place named {:?}: give it another name",
                offer.name
            ))
        })?;
        tracing::info!(place = offer.name, node = self.node.1, "a place is there");
        self.places().insert(offer.name, place);
        Ok(())
    }

    fn withdraw(&self, name: &str) -> Result<()> {
        let place = self.places().remove(name).ok_or_else(|| Error::not_found("place", name))?;
        tracing::info!(place = name, node = self.node.1, "a place is gone");
        reserve::withdraw(&self.hub.op("boards.withdraw"), &self.hub, &self.boards, &place)
    }

    /// An exporter does something to one of its places from now on.
    fn began(&self, began: &CommandBegan) {
        let Some(place) = self.places().get(&began.place).cloned() else { return };
        let running = RunningCommand { occasion: began.occasion, since: self.hub.clock.now() };
        place.gate.set_running(Some((running, seconds(began.within, LONGEST_COMMAND) + MERCY)));
        self.hub.bus.publish(Notice { topic: NAME, key: began.place.clone() });
    }

    async fn ended(&self, ended: CommandEnded) -> Result<()> {
        let place = self.places().get(&ended.place).cloned();
        let place = place.ok_or_else(|| Error::not_found("place", &ended.place))?;
        let op = nodes::renewed(&self.op, &self.hub).await?;
        commands::record(&op, &self.hub, &self.boards, &place, ended.run, ended.closes).await
    }
}

impl FleetLink for Link {
    fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    fn node(&self) -> NodeId {
        self.node.0
    }

    fn for_what(&self) -> Action {
        REGISTER
    }

    fn handler(self: &Arc<Self>) -> Arc<dyn Handler> {
        Arc::new(Answers(Arc::downgrade(self)))
    }

    fn begin(self: &Arc<Self>, peer: &Peer) {
        let _ = self.peer.set(peer.clone());
    }

    async fn tell(&self, _: &Peer) {
        std::future::pending::<()>().await;
    }

    fn end(self: &Arc<Self>, _: &Peer) {
        let names: Vec<String> = self.places().keys().cloned().collect();
        for name in names {
            if let Err(error) = self.withdraw(&name) {
                tracing::error!(place = name, %error, "a place cannot be withdrawn");
            }
        }
    }
}

/// What an exporter says must fit into a page and a database.
fn check(offer: &PlaceOffer) -> Result<()> {
    let name = |field: &str, text: &str| {
        if text.is_empty() || text.chars().count() > LONGEST_NAME || text.contains(char::is_control) {
            return Err(Error::invalid(
                field.to_owned(),
                format!("must be 1 to {LONGEST_NAME} characters, none of them a control character"),
            ));
        }
        Ok(())
    };
    name("name", &offer.name)?;
    let many = |field: &str, count: usize| {
        if count > MOST_PARTS {
            return Err(Error::invalid(field.to_owned(), format!("there may be {MOST_PARTS} at the most")));
        }
        Ok(())
    };
    many("power", offer.power.len())?;
    many("parts", offer.parts.len())?;
    for (at, part) in offer.parts.iter().enumerate() {
        many(&format!("parts[{at}]"), part.compatible.len().max(part.usb.len()).max(part.tcp.len()))?;
        for word in part.compatible.iter().chain(part.usb.keys()).chain(part.tcp.keys()) {
            name(&format!("parts[{at}]"), word)?;
        }
        for (interface, tcp) in &part.tcp {
            if crate::link::target(&tcp.host, tcp.port).is_none() {
                let problem = format!("{}:{} is no host and port", tcp.host, tcp.port);
                return Err(Error::invalid(format!("parts[{at}].tcp.{interface}"), problem));
            }
        }
    }
    Ok(())
}

/// Answers what the exporter asks, as long as its link stands.
struct Answers(Weak<Link>);

impl Handler for Answers {
    fn call(
        &self,
        method: String,
        params: Box<RawValue>,
    ) -> BoxFuture<'static, std::result::Result<Box<RawValue>, RpcError>> {
        let link = self.0.upgrade();
        async move {
            let link = link.ok_or_else(|| RpcError::new(code::INTERNAL, "this link has ended"))?;
            let done = match method.as_str() {
                PlaceOffer::NAME => link.offer(read(&params)?).await,
                PlaceWithdraw::NAME => link.withdraw(&read::<PlaceWithdraw>(&params)?.name),
                CommandEnded::NAME => link.ended(read(&params)?).await,
                _ => return Err(RpcError::unknown_method(&method)),
            };
            done.map_err(|error| RpcError::refused(error.code(), error.message()))?;
            serde_json::value::to_raw_value(&())
                .map_err(|error| RpcError::new(code::INTERNAL, error.to_string()))
        }
        .boxed()
    }

    fn notice(&self, method: &str, params: &RawValue) {
        match (method, self.0.upgrade(), read(params)) {
            (CommandBegan::NAME, Some(link), Ok(began)) => link.began(&began),
            (CommandBegan::NAME, None, _) => {}
            _ => tracing::debug!(method, "an exporter sent a notice that is not understood"),
        }
    }
}

fn read<T: DeserializeOwned>(params: &RawValue) -> std::result::Result<T, RpcError> {
    serde_json::from_str(params.get()).map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))
}

/// The exporter at the other end, for one of its places.
struct Remote {
    peer: Peer,
    /// Not kept alive: the gate that tells the exporter is the hub's.
    hub: Weak<Hub>,
    node: NodeId,
    place: String,
    /// How long it may take.
    patience: Duration,
}

impl Exporter for Remote {
    fn allow(&self, held: Option<Held>) -> BoxFuture<'static, std::result::Result<(), Refusal>> {
        let (peer, hub, node, patience) = (self.peer.clone(), self.hub.clone(), self.node, self.patience);
        let lease = held.as_ref().map(|held| held.lease.id);
        let (away, here) = held.into_iter().partition::<Vec<_>, _>(Held::is_left_behind);
        let held = PlaceHeld {
            place: self.place.clone(),
            lease: here.into_iter().next().map(|held| told(held.lease)),
            standing: away.first().map(|held| held.lease.id.to_string()),
        };
        async move {
            // Whoever had it has it no longer: its streams end whether or not the exporter answers.
            if let Some(hub) = hub.upgrade()
                && let Err(error) = hub.streams.recheck_to(&hub, node).await
            {
                tracing::warn!(%error, "streams to a place cannot be looked at again");
            }
            match peer.call(&held, patience).await {
                Ok(()) => Ok(()),
                Err(CallError::Refused(error)) if error.reason.as_deref() == Some(NOT_READY) => {
                    // Whoever waits for it hears why; whoever does not, has no place that cannot be used.
                    if let (Some(hub), Some(lease)) = (hub.upgrade(), lease)
                        && let Err(error) = end_unready(&hub, lease).await
                    {
                        tracing::warn!(%error, "the lease on a place that is not ready is not ended yet");
                    }
                    Err(Refusal::NotReady(error.message))
                }
                Err(error) => Err(Refusal::Other(error.to_string())),
            }
        }
        .boxed()
    }

    fn begins_closed(&self) -> bool {
        false
    }
}

async fn end_unready(hub: &Arc<Hub>, lease: LeaseId) -> Result<()> {
    Boards::pool(hub)?.end_because(&hub.op("boards.not_ready"), hub, lease, EndReason::NotReady).await
}

fn seconds(seconds: u64, most: u64) -> Duration {
    Duration::from_secs(seconds.min(most))
}

pub(in crate::hub) fn told(lease: Lease) -> HeldLease {
    // Others come by streams, wherever they are.
    let is_legacy = lease.holder.kind == "client";
    HeldLease {
        id: lease.id.to_string(),
        epoch: lease.epoch,
        holder: lease.holder.name,
        name: lease.label,
        addresses: lease.address.filter(|_| is_legacy).into_iter().collect(),
        until: lease.expires_at,
    }
}
