//! The server: its routes, the connections by their ids, and each one's watch.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nave_core::hub::context::Hub;
use nave_core::hub::edge;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::nodes::link::websocket_answer;
use nave_link::pipe::Prefixed;
use nave_link::random::Random;
use tokio_util::sync::CancellationToken;

use super::application::{Application, Gone};
use super::connection::{Common, Connection};
use super::namespaces::{Join, Joining};
use super::request::{Asked, Fault, Transport};
use super::settings::{Endpoint, Settings};
use super::strangers::Strangers;
use super::{polling, websocket};

/// A server of Socket.IO for one application. Cloning it is cheap; all clones are one.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    settings: Settings,
    join: Arc<dyn Join>,
    strangers: Arc<Strangers>,
    common: OnceLock<Arc<Common>>,
    connections: Mutex<HashMap<String, Arc<Connection>>>,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Altogether.
    pub connections: usize,
    /// Those that nobody let in yet.
    pub strangers: usize,
}

/// Connections have ids of 20 characters, as the original's; they are secret, since whoever has one speaks for the client.
pub(super) fn random_id(random: &Random) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random.bytes::<15>())
}

impl Server {
    /// A server that nothing is connected to.
    pub fn new(application: impl Application, settings: Settings) -> Self {
        Self::shared(Arc::new(application), settings)
    }

    /// As [`Self::new`], for an application that is used elsewhere too.
    pub fn shared(application: Arc<impl Application>, settings: Settings) -> Self {
        Self(Arc::new(Shared {
            strangers: Strangers::new(settings.strangers),
            settings,
            join: Arc::new(Joining { application }),
            common: OnceLock::new(),
            connections: Mutex::default(),
        }))
    }

    /// Declares its routes.
    pub fn routes(&self, mut routes: Routes) -> Routes {
        for endpoint in self.0.settings.endpoints {
            let (getting, posting) = (self.clone(), self.clone());
            routes = routes
                .get(endpoint.path, Access::Proof, move |hub, connection, request| async move {
                    getting.get(endpoint, hub, connection, request).await
                })
                .post(endpoint.path, Access::Proof, move |request| async move {
                    posting.post(endpoint, request).await
                });
        }
        routes
    }

    /// How many connections there are.
    pub fn counts(&self) -> Counts {
        Counts { connections: self.connections().len(), strangers: self.0.strangers.count() }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<String, Arc<Connection>>> {
        self.0.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, endpoint: &'static Endpoint, sid: &str) -> Result<Arc<Connection>, Fault> {
        let found = self.connections().get(sid).cloned();
        found.filter(|found| found.endpoint.path == endpoint.path).ok_or(Fault::UnknownSession)
    }
}

type Whence = Option<Extension<edge::Connection>>;

impl Server {
    async fn get(
        self,
        endpoint: &'static Endpoint,
        State(hub): State<Arc<Hub>>,
        whence: Whence,
        mut request: Request,
    ) -> Response {
        let asked = Asked::read(request.method(), request.uri().query().unwrap_or_default());
        let answered = match asked {
            Ok(Asked { transport: Transport::Polling, sid: None }) => {
                self.open_polling(endpoint, &hub, whence)
            }
            Ok(Asked { transport: Transport::Polling, sid: Some(sid) }) => {
                match self.polled(endpoint, &sid) {
                    Ok(connection) => return polling::get(connection).await,
                    Err(fault) => Err(fault),
                }
            }
            Ok(Asked { transport: Transport::WebSocket, sid: None }) => {
                self.open_websocket(endpoint, &hub, whence, &mut request)
            }
            Ok(Asked { transport: Transport::WebSocket, sid: Some(sid) }) => {
                self.upgrade(endpoint, &sid, &hub, &mut request)
            }
            Err(fault) => Err(fault),
        };
        answered.unwrap_or_else(Fault::answer)
    }

    async fn post(self, endpoint: &'static Endpoint, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let asked = Asked::read(&parts.method, parts.uri.query().unwrap_or_default());
        let found = asked.and_then(|asked| match asked {
            Asked { transport: Transport::Polling, sid: Some(sid) } => self.polled(endpoint, &sid),
            _ => Err(Fault::BadRequest),
        });
        match found {
            Ok(connection) => polling::post(connection, body).await,
            Err(fault) => fault.answer(),
        }
    }

    /// A connection whose packets travel in requests.
    fn polled(&self, endpoint: &'static Endpoint, sid: &str) -> Result<Arc<Connection>, Fault> {
        let connection = self.find(endpoint, sid)?;
        match connection.transport() {
            Transport::Polling => Ok(connection),
            Transport::WebSocket => Err(Fault::BadRequest),
        }
    }

    fn open_polling(
        &self,
        endpoint: &'static Endpoint,
        hub: &Hub,
        whence: Whence,
    ) -> Result<Response, Fault> {
        let connection = self.open(endpoint, hub, whence, Transport::Polling)?;
        Ok(polling::opened(&connection))
    }

    fn open_websocket(
        &self,
        endpoint: &'static Endpoint,
        hub: &Hub,
        whence: Whence,
        request: &mut Request,
    ) -> Result<Response, Fault> {
        let answer = websocket_answer(request.headers()).map_err(|_| Fault::BadRequest)?;
        let upgrade = hyper::upgrade::on(request);
        let connection = self.open(endpoint, hub, whence, Transport::WebSocket)?;
        hub.tasks.spawn(async move {
            match upgrade.await.map(edge::upgraded) {
                Ok(Ok((io, early))) => websocket::serve(connection, Prefixed::new(early, io)).await,
                _ => connection.close(Gone::Lost),
            }
        });
        Ok(answer.map(|()| Body::empty()))
    }

    fn upgrade(
        &self,
        endpoint: &'static Endpoint,
        sid: &str,
        hub: &Hub,
        request: &mut Request,
    ) -> Result<Response, Fault> {
        let connection = self.find(endpoint, sid)?;
        let answer = websocket_answer(request.headers()).map_err(|_| Fault::BadRequest)?;
        let upgrade = hyper::upgrade::on(request);
        connection.begin_upgrade().map_err(|_| Fault::BadRequest)?;
        hub.tasks.spawn(async move {
            match upgrade.await.map(edge::upgraded) {
                Ok(Ok((io, early))) => websocket::upgrade(connection, Prefixed::new(early, io)).await,
                _ => connection.upgrade_goes(false),
            }
        });
        Ok(answer.map(|()| Body::empty()))
    }

    /// Makes a connection, and the task that watches it.
    fn open(
        &self,
        endpoint: &'static Endpoint,
        hub: &Hub,
        whence: Whence,
        transport: Transport,
    ) -> Result<Arc<Connection>, Fault> {
        let Extension(whence) = whence.ok_or(Fault::BadRequest)?;
        let source: IpAddr = whence.peer.ip();
        if self.connections().len() >= self.0.settings.connections {
            tracing::warn!(%source, "a Socket.IO client is sent away: there are as many as there may be");
            return Err(Fault::Crowded);
        }
        let stranger = self.0.strangers.enter(source).ok_or(Fault::Crowded)?;
        let common = self.0.common.get_or_init(|| {
            Arc::new(Common {
                settings: self.0.settings.clone(),
                tasks: hub.tasks.clone(),
                random: hub.random.clone(),
                join: Arc::clone(&self.0.join),
            })
        });
        let sid = random_id(&hub.random);
        let connection =
            Connection::new(Arc::clone(common), (sid.clone(), source, endpoint), transport, stranger);
        self.connections().insert(sid, Arc::clone(&connection));
        hub.tasks.spawn(self.clone().watch(Arc::clone(&connection), whence.shutdown.soft().clone()));
        Ok(connection)
    }

    /// Follows a connection to its end.
    async fn watch(self, connection: Arc<Connection>, stop: CancellationToken) {
        let why = tokio::select! {
            why = connection.watch() => why,
            () = stop.cancelled() => Gone::Stopping,
            () = connection.closing.cancelled() => Gone::Lost,
        };
        connection.close(why);
        // A client that polls hears of it if it asks once more.
        let last_words = connection.closed.cancelled();
        let _ = tokio::time::timeout(connection.settings().goodbye, last_words).await;
        self.connections().remove(&connection.sid);
    }
}
