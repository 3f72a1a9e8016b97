//! One connection of a client: who it is, the place that it brought, the places that it has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::hub::access::{self, Action};
use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::leases::{Held, Seat};
use nave_core::hub::op::{Actor, Client, Op};
use nave_core::hub::people::idp;
use nave_core::id::{LeaseId, RequestId};
use serde_json::json;
use time::OffsetDateTime;

use super::auth::{Identity, PROGRAM};
use super::description::Description;
use super::logins::Login;
use crate::hub::gate::{Exporter, Refusal};
use crate::hub::places::{self, Place, Reach};
use crate::hub::reserve::{self, Reserved, Terms, Want};
use crate::hub::{Boards, READ, REGISTER, RESERVE};
use crate::not_my_board::channel::Channel;
use crate::not_my_board::message::Failure;

/// How long a client may take to bring its token.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after its end a token still counts: clocks differ, and a client that renews it does so when it has ended.
const LEEWAY: Duration = Duration::from_secs(30);

/// One connection.
pub(super) struct Session {
    boards: Boards,
    hub: Arc<Hub>,
    id: u64,
    address: IpAddr,
    channel: Channel,
    /// Whether it needs no token, because of where it is.
    open: bool,
    /// One request for a token at a time.
    asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// The connections that stand, by where they come from.
#[derive(Default)]
pub(in crate::hub) struct Sessions(Mutex<HashMap<IpAddr, Vec<Weak<Session>>>>);

impl Sessions {
    fn at(&self) -> MutexGuard<'_, HashMap<IpAddr, Vec<Weak<Session>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, session: &Arc<Session>) {
        self.at().entry(session.address).or_default().push(Arc::downgrade(session));
    }

    fn leave(&self, session: &Session) {
        let mut at = self.at();
        if let Some(here) = at.get_mut(&session.address) {
            here.retain(|known| known.as_ptr() != std::ptr::from_ref(session));
            if here.is_empty() {
                at.remove(&session.address);
            }
        }
    }

    /// Finds out anew what people and machines of this hub may do who are connected; how many connections there are.
    pub(in crate::hub) async fn look_again(&self) -> Result<usize, Error> {
        let all: Vec<Arc<Session>> = self.at().values().flatten().filter_map(Weak::upgrade).collect();
        for session in &all {
            session.look_again().await?;
        }
        Ok(all.len())
    }

    /// Whether somebody who is connected from there may do this.
    pub(super) async fn vouch(&self, address: IpAddr, action: Action) -> bool {
        let here = self.at().get(&address).cloned().unwrap_or_default();
        for session in here {
            if let Some(session) = session.upgrade()
                && session.require(action).await.is_ok()
            {
                return true;
            }
        }
        false
    }
}

#[derive(Default)]
struct State {
    identity: Option<Identity>,
    /// What it has done: when it may not do that any more, its connection ends.
    used: Vec<Action>,
    registered: Option<Arc<Place>>,
    /// By the number that the place had when this client got it, which is how the client calls it ever after.
    has: HashMap<u64, (String, LeaseId)>,
}

impl Session {
    pub(super) fn new(boards: Boards, hub: Arc<Hub>, address: IpAddr, channel: Channel) -> Arc<Self> {
        let id = boards.next_connection();
        let open = boards.config().not_my_board.is_open_to(address);
        let session = Self {
            boards,
            hub,
            id,
            address,
            channel,
            open,
            asking: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        };
        let session = Arc::new(session);
        session.boards.0.sessions.enter(&session);
        session
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each request is an operation of its own.
    fn op(&self) -> Op {
        let known = self.state().identity.as_ref().map(|identity| identity.actor.clone());
        self.op_of(known.unwrap_or_else(|| {
            let may = if self.open { vec![READ, REGISTER, RESERVE] } else { Vec::new() };
            let (id, name) = (self.address.to_string(), format!("<{}>", self.id));
            Actor::Client(Client { dialect: "not-my-board", id, name, may })
        }))
    }

    fn op_of(&self, actor: Actor) -> Op {
        Op { actor, source: Some(self.address), request: RequestId::new(), clock: self.hub.clock.clone() }
    }

    fn seat(&self) -> Seat {
        Seat(self.id)
    }

    /// A command line waits for its browser; `None` when too many do.
    pub(super) fn begin_login(&self, state: &str) -> Option<Login<'_>> {
        self.boards.0.logins.begin(state, self.address)
    }

    /// Lets pass whoever may do this; not-my-board knows two roles. Who the client is, it is asked when that matters
    /// first.
    pub(super) async fn require(self: &Arc<Self>, action: Action) -> Result<(), Failure> {
        if !self.open {
            self.sign_in().await?;
        }
        access::require(&self.op(), action).map_err(|_| {
            let role = if action == REGISTER { "exporter" } else { "importer" };
            Failure::raised(format!("Permission denied: requires role \"{role}\""))
        })?;
        let mut state = self.state();
        if !state.used.contains(&action) {
            state.used.push(action);
        }
        Ok(())
    }

    async fn sign_in(self: &Arc<Self>) -> Result<(), Failure> {
        let _one_at_a_time = self.asking.lock().await;
        if self.state().identity.is_some() {
            return Ok(());
        }
        let identity = self.ask().await?;
        tracing::info!(client = identity.actor.name(), address = %self.address, "a client has signed in");
        let ends = identity.expires_at;
        self.state().identity = Some(identity);
        let session = Arc::clone(self);
        self.hub.tasks.spawn(async move {
            tokio::select! {
                () = session.renew(ends) => session.channel.close(),
                () = session.channel.closed() => {}
            }
        });
        Ok(())
    }

    /// Asks the client for a token.
    async fn ask(&self) -> Result<Identity, Failure> {
        let auth = self.boards.0.auth.as_ref().ok_or_else(|| Failure::raised("nobody can sign in here"))?;
        let asked = tokio::time::timeout(PATIENCE, self.channel.call("get_id_token", json!({}))).await;
        let token = match asked {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => return Err(Failure::raised(error.to_string())),
            Err(_) => return Err(Failure::raised("no ID token came in time")),
        };
        let token = token.as_str().ok_or_else(|| Failure::raised("this is no ID token"))?;
        auth.identify(&self.hub, token).await.map_err(Failure::raised)
    }

    /// Takes over who the client is by now; whether it may still do what it has done.
    fn is_now(&self, identity: Identity) -> bool {
        let op = self.op_of(identity.actor.clone());
        let mut state = self.state();
        let lost = state.used.iter().any(|action| access::require(&op, *action).is_err());
        let same =
            |known: &Identity| (known.actor.kind(), known.actor.id()) == (op.actor.kind(), op.actor.id());
        let other = state.identity.as_ref().is_some_and(|known| !same(known));
        state.identity = Some(identity);
        if lost || other {
            tracing::info!(address = %self.address, "a client may not do any more what it did");
        }
        !lost && !other
    }

    /// Finds out anew what somebody of this hub may do, who is signed in here, and sends away who may not do any more what
    /// was done.
    async fn look_again(&self) -> Result<(), Error> {
        let Some(known) = self.state().identity.clone() else { return Ok(()) };
        if matches!(known.actor, Actor::Client(_)) {
            return Ok(());
        }
        let stays = match idp::renewed(&self.hub, PROGRAM, &known.actor).await? {
            Some(actor) => self.is_now(Identity { actor, ..known }),
            None => false,
        };
        if !stays {
            self.channel.close();
        }
        Ok(())
    }

    /// Asks for a new token whenever one has ended; returns when none comes, or one that allows less than was done.
    async fn renew(&self, mut ends: OffsetDateTime) {
        loop {
            let left = ends + LEEWAY - self.hub.clock.now();
            tokio::time::sleep(left.try_into().unwrap_or_default()).await;
            match self.ask().await {
                Ok(identity) => {
                    ends = identity.expires_at;
                    if !self.is_now(identity) {
                        return;
                    }
                }
                Err(failure) => {
                    tracing::info!(address = %self.address, why = failure.message, "a client has no new token");
                    return;
                }
            }
        }
    }

    /// Puts this client's place into the farm; its number.
    pub(super) fn register(
        self: &Arc<Self>,
        channel: Channel,
        description: Description,
    ) -> Result<u64, Failure> {
        // Before the state is locked: who this is stands there too.
        let op = self.op();
        let mut state = self.state();
        if state.registered.is_some() {
            return Err(Failure::raised("Place already registered"));
        }
        let name = description.name.clone();
        let description = places::Description {
            name: description.name,
            parts: description.parts,
            reach: Reach { node: None, legacy: Some((self.address, description.port)) },
            power: None,
        };
        let exporter = Remote(channel);
        let place = reserve::register(&op, &self.hub, &self.boards, self.id, description, exporter);
        let place = place
            .map_err(|error| failed(&error))?
            .ok_or_else(|| Failure::raised(format!("Place with name \"{name}\" already registered")))?;
        tracing::info!(place = name, host = %self.address, "a place is there");
        state.registered = Some(place);
        Ok(self.id)
    }

    pub(super) async fn reserve(&self, candidates: Vec<u64>) -> Result<Reserved, Failure> {
        let op = self.op();
        let terms =
            Terms { seat: Some(self.seat()), expires_in: None, waits: true, until: None, goes_on: false };
        let mut places = self.boards.places().asked_for(candidates);
        // What only streams lead to is not for agents that speak this protocol.
        places.retain(|place| place.reach.legacy.is_some());
        let want = Want { candidates: places, label: String::new() };
        let reserved = reserve::reserve(&op, &self.hub, &self.boards, terms, vec![want]).await;
        let reserved = reserved.map_err(|error| match error {
            reserve::ReserveError::Failed(error) => failed(&error),
            other => Failure::raised(other.to_string()),
        })?;
        reserved.into_iter().next().ok_or_else(|| Failure::raised("a wish was lost"))
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
        self.boards.0.sessions.leave(self);
        // The hub's own doing: whoever may do nothing any more leaves nothing behind either.
        let op = self.hub.op("boards.connection_ended");
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
    fn allow(&self, held: Option<Held>) -> BoxFuture<'static, Result<(), Refusal>> {
        let channel = self.0.clone();
        let address = held.filter(|held| !held.is_left_behind()).and_then(|held| held.lease.address);
        let addresses: Vec<String> = address.iter().map(IpAddr::to_string).collect();
        async move {
            let called = channel.call("set_allowed_ips", json!([addresses])).await;
            called.map(drop).map_err(|error| Refusal::Other(error.to_string()))
        }
        .boxed()
    }

    fn begins_closed(&self) -> bool {
        true
    }
}
