//! One connection of a client: who it is, the place that it brought, the places that it has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::hub::access::{self, Action};
use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::leases::{Held, Seat};
use nave_core::hub::op::{Actor, Client, Op};
use nave_core::id::{LeaseId, RequestId};
use serde_json::json;

use super::channel::Channel;
use super::logins::Logins;
use super::message::Failure;
use crate::hub::gate::Exporter;
use crate::hub::places::{Description, Place};
use crate::hub::reserve::{self, Reserved};
use crate::hub::{Boards, REGISTER};

/// One connection.
pub(super) struct Session {
    boards: Boards,
    hub: Arc<Hub>,
    id: u64,
    address: IpAddr,
    may: Vec<Action>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    registered: Option<Arc<Place>>,
    /// By the number that the place had when this client got it, which is how the client calls it ever after.
    has: HashMap<u64, (String, LeaseId)>,
}

impl Session {
    pub(super) fn new(boards: Boards, hub: Arc<Hub>, address: IpAddr, may: Vec<Action>) -> Arc<Self> {
        let id = boards.next_connection();
        Arc::new(Self { boards, hub, id, address, may, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each request is an operation of its own.
    fn op(&self) -> Op {
        let client = Client {
            dialect: "not-my-board",
            id: self.address.to_string(),
            name: format!("<{}>", self.id),
            may: self.may.clone(),
        };
        Op {
            actor: Actor::Client(client),
            source: Some(self.address),
            request: RequestId::new(),
            clock: self.hub.clock.clone(),
        }
    }

    fn seat(&self) -> Seat {
        Seat(self.id)
    }

    pub(super) fn logins(&self) -> &Logins {
        &self.boards.0.logins
    }

    /// Lets pass whoever may do this; not-my-board knows two roles.
    pub(super) fn require(&self, action: Action) -> Result<(), Failure> {
        access::require(&self.op(), action).map_err(|_| {
            let role = if action == REGISTER { "exporter" } else { "importer" };
            Failure::raised(format!("Permission denied: requires role \"{role}\""))
        })
    }

    /// Puts this client's place into the farm; its number.
    pub(super) fn register(
        self: &Arc<Self>,
        channel: Channel,
        description: Description,
    ) -> Result<u64, Failure> {
        let mut state = self.state();
        if state.registered.is_some() {
            return Err(Failure::raised("Place already registered"));
        }
        let name = description.name.clone();
        let whence = (self.id, self.address);
        let exporter = Remote(channel);
        let op = self.op();
        let place = reserve::register(&op, &self.hub, &self.boards, whence, description, exporter);
        let place = place
            .map_err(|error| failed(&error))?
            .ok_or_else(|| Failure::raised(format!("Place with name \"{name}\" already registered")))?;
        tracing::info!(place = name, host = %self.address, "a place is there");
        state.registered = Some(place);
        Ok(self.id)
    }

    pub(super) async fn reserve(&self, candidates: &[u64]) -> Result<Reserved, Failure> {
        let op = self.op();
        let reserved = reserve::reserve(&op, &self.hub, &self.boards, self.seat(), candidates);
        reserved.await.map_err(|error| match error {
            reserve::ReserveError::Failed(error) => failed(&error),
            other => Failure::raised(other.to_string()),
        })
    }

    /// The client has it now.
    pub(super) fn take(&self, reserved: Reserved) {
        let Reserved { place, granted } = reserved;
        let lease = granted.keep();
        self.state().has.insert(place.id, (place.name.clone(), lease.id));
    }

    /// The client does not want it any more.
    pub(super) fn untake(&self, id: u64) -> Option<(String, LeaseId)> {
        self.state().has.remove(&id)
    }

    pub(super) async fn give_back(&self, place: &str, lease: LeaseId) -> Result<(), Failure> {
        let given = reserve::give_back(&self.op(), &self.hub, &self.boards, place, lease).await;
        given.map_err(|error| failed(&error))
    }

    pub(super) fn reservations(&self) -> Result<Vec<(Arc<Place>, Held)>, Failure> {
        reserve::reservations(&self.op(), &self.hub, &self.boards).map_err(|error| failed(&error))
    }

    pub(super) fn place(&self, id: u64) -> Option<Arc<Place>> {
        self.boards.places().by_id(id)
    }

    /// The connection ended, and every request with it.
    pub(super) async fn end(&self) {
        let op = self.op();
        let registered = self.state().registered.take();
        if let Some(place) = registered {
            tracing::info!(place = place.name, "a place is gone");
            if let Err(error) = reserve::withdraw(&op, &self.hub, &self.boards, &place) {
                tracing::error!(place = place.name, %error, "a place cannot be withdrawn");
            }
        }
        if let Ok(pool) = Boards::pool(&self.hub) {
            pool.leave(&op, &self.hub, self.seat()).await;
        }
    }
}

/// What a client is told of a service's error.
fn failed(error: &Error) -> Failure {
    if let Error::Internal(source) | Error::Unavailable { source, .. } = error {
        tracing::error!(%source, "a client's request failed");
    }
    Failure::raised(error.message())
}

/// An exporter at the other end of a channel.
struct Remote(Channel);

impl Exporter for Remote {
    fn allow(&self, addresses: Vec<IpAddr>) -> BoxFuture<'static, Result<(), String>> {
        let channel = self.0.clone();
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        async move {
            let called = channel.call("set_allowed_ips", json!([addresses])).await;
            called.map(drop).map_err(|error| error.to_string())
        }
        .boxed()
    }
}
