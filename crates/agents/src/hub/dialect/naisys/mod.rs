//! NAISYS: its runners as they are, of version 3.0 (namespace `/naisys`, the key with a fingerprint) and of the later ones
//! (default namespace, `/hub/socket.io`). What they send and expect was recorded from version 3.0.0; texts are part of it,
//! since runners and agents read them.

mod attachments;
mod door;
mod events;
mod lists;
mod pushes;
mod session;
mod wire;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use nave_core::hub::access::Action;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::http::Routes;

use self::lists::Lists;
use self::pushes::Pushes;
use self::session::Session;
use super::socket_io::{Application, Asking, Endpoint, Event, Gone, Server, Settings, Socket, Verdict};
use crate::hub::{Agents, MANAGE, READ, RUN};

/// Where runners look for their hub: those of version 3.0, and the later ones.
const ENDPOINTS: &[Endpoint] = &[
    // A runner that was given an address with a slash at its end asks for `//naisys`.
    Endpoint { path: "/socket.io/", namespaces: &["/naisys", "//naisys", "/"] },
    Endpoint { path: "/hub/socket.io/", namespaces: &["/", "/naisys"] },
];

/// The events that a client may send, and what it takes. Others are ignored.
pub const EVENTS: [(&str, Action); 20] = [
    ("session_create", RUN),
    ("session_increment", RUN),
    ("mail_send", RUN),
    ("mail_list", RUN),
    ("mail_peek", RUN),
    ("mail_unread", RUN),
    ("mail_mark_read", RUN),
    ("mail_archive", RUN),
    ("mail_search", RUN),
    ("cost_write", RUN),
    ("agent_start", RUN),
    ("agent_stop", RUN),
    ("agent_peek", RUN),
    ("heartbeat", RUN),
    ("log_write", RUN),
    ("rotate_access_key", nave_core::hub::identity::ROTATE),
    ("users_changed", MANAGE),
    ("variables_changed", MANAGE),
    ("models_changed", MANAGE),
    ("hosts_changed", MANAGE),
];

/// What a supervisor may do.
const SUPERVISOR: [Action; 4] = [READ, RUN, MANAGE, nave_core::hub::identity::ROTATE];

/// The dialect. Cloning it is cheap; all clones are one.
#[derive(Clone)]
pub(in crate::hub) struct Naisys(Arc<Inner>);

struct Inner {
    agents: Agents,
    /// The hub has its fleets, so they do not keep it.
    hub: OnceLock<Weak<Hub>>,
    connected: Mutex<Connected>,
    lists: Lists,
    pushes: Pushes,
}

/// Who is connected.
#[derive(Default)]
struct Connected {
    /// Runners, by their host's number.
    hosts: BTreeMap<i64, There>,
    /// Supervisors, by their connection's number.
    supervisors: BTreeMap<u64, There>,
    last: u64,
}

/// A connection that stands.
#[derive(Clone)]
struct There {
    connection: u64,
    socket: Socket,
    /// From where.
    source: IpAddr,
}

impl Connected {
    /// Notes a connection: of a host, or of a supervisor.
    fn enter(&mut self, host: Option<i64>, asking: &Asking) -> u64 {
        self.last += 1;
        let (connection, socket, source) = (self.last, asking.socket.clone(), asking.source);
        let there = There { connection, socket, source };
        match host {
            Some(host) => self.hosts.insert(host, there),
            None => self.supervisors.insert(self.last, there),
        };
        self.last
    }
}

impl Naisys {
    pub(in crate::hub) fn new(agents: &Agents) -> Self {
        Self(Arc::new(Inner {
            agents: agents.clone(),
            hub: OnceLock::new(),
            connected: Mutex::default(),
            lists: Lists::default(),
            pushes: Pushes::default(),
        }))
    }

    /// From now on there is a hub, and changes are told.
    pub(in crate::hub) fn begin(&self, hub: &Arc<Hub>) {
        if self.0.hub.set(Arc::downgrade(hub)).is_ok() {
            self.0.agents.live().listen(Arc::new(self.clone()));
            tokio::spawn(pushes::push_changes(Arc::downgrade(&self.0)));
        }
    }

    /// Declares its routes.
    pub(in crate::hub) fn routes(&self, routes: Routes) -> Routes {
        let settings = Settings::new(ENDPOINTS, self.0.agents.config().naisys.longest_message);
        let routes = attachments::routes(&self.0.agents, routes);
        Server::shared(Arc::new(self.clone()), settings).routes(routes)
    }

    fn hub(&self) -> Result<Arc<Hub>, Error> {
        let hub = self.0.hub.get().and_then(Weak::upgrade);
        hub.ok_or_else(|| Error::internal("a runner came when the hub was not there"))
    }

    fn connected(&self) -> MutexGuard<'_, Connected> {
        self.0.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many runners and supervisors are connected.
    fn connections(&self) -> u32 {
        let connected = self.connected();
        u32::try_from(connected.hosts.len() + connected.supervisors.len()).unwrap_or(u32::MAX)
    }

    /// How many runners are connected.
    pub(in crate::hub) fn count(&self) -> usize {
        self.connected().hosts.len()
    }
}

impl Application for Naisys {
    type Session = Session;

    async fn connect(&self, asking: Asking) -> Verdict<Session> {
        self.decide(asking).await
    }

    async fn event(&self, session: &Session, event: Event) {
        self.hear(session, event).await;
    }

    async fn gone(&self, session: Session, why: Gone) {
        tracing::debug!(host = session.name, ?why, "a runner's connection ended");
        self.leave(session).await;
    }
}
