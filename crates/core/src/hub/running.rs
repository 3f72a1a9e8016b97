//! A whole hub: from a configuration to listeners that serve, and back down again.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use axum::Router;
use nave_link::address::HubUrl;
use nave_link::random::Random;
use tokio_util::task::TaskTracker;

use super::bus::LocalBus;
use super::config::HubConfig;
use super::context::Hub;
use super::edge::{self, BindError, Identities, Inherited, Shutdown};
use super::error::Error;
use super::fleet::Fleet;
use super::http::{self, Document, RouteRow, Routes};
use super::identity::{self, AccessKeys, DataFolder, IdentityError, TlsIdentity};
use super::job;
use super::leases::{Leases, PoolKind};
use super::mail::{MailError, MailServer};
use super::nodes::{Connections, Presence};
use super::people::People;
use super::people::oidc::SetupError;
use super::people::providers::Providers;
use super::seal::{MasterFile, SealError, Sealer};
use super::store::{DatabaseUrl, MigrationSet, Store};
use super::streams::Streams;
use super::tasks::Tasks;
use super::throttle::Throttle;
use crate::clock::Clock;

/// The port unless another is configured.
pub const DEFAULT_PORT: u16 = 3101;
/// The hub's own socket, below the data folder.
pub const SOCKET: &str = "hub.sock";
/// How long requests under way may take when the hub stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Why a hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its database.
    #[error("the database {url} cannot be used: {words}")]
    Store {
        /// Where it is.
        url: DatabaseUrl,
        /// What is wrong, and what to do.
        words: String,
    },
    /// A certificate that TLS cannot use.
    #[error("a certificate cannot be served: {0}")]
    Tls(rustls::Error),
    /// The master key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The configuration names a database that cannot be one.
    #[error("{0}")]
    Database(String),
    /// A file that the settings of mail name.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// A file that the settings of a provider of sign-in name.
    #[error(transparent)]
    Provider(#[from] SetupError),
    /// Its own socket.
    #[error(transparent)]
    Local(#[from] edge::local::LocalError),
}

/// What a hub is made of.
pub struct HubSetup {
    /// The data folder.
    pub folder: PathBuf,
    /// The configuration.
    pub config: HubConfig,
    /// Descriptors of listening sockets to serve, besides those that `handed_over` announces.
    pub descriptors: Vec<RawFd>,
    /// Sockets that whoever started the process handed over.
    pub handed_over: Inherited,
    /// systemd's folder of credentials.
    pub credentials: Option<PathBuf>,
    /// What nodes are put to work in.
    pub fleets: Vec<Arc<dyn Fleet>>,
    /// The pages for people.
    pub pages: Routes,
    /// Tells the time.
    pub clock: Clock,
    /// Makes secrets.
    pub random: Random,
}

/// A hub that serves.
pub struct RunningHub {
    /// Its services' context.
    pub hub: Arc<Hub>,
    /// Where it really listens.
    pub addresses: Vec<SocketAddr>,
    /// The authorization table.
    pub routes: Vec<RouteRow>,
    shutdown: Shutdown,
    doors: TaskTracker,
    identities: Identities,
    setup: IdentityFiles,
    _folder: DataFolder,
}

struct IdentityFiles {
    config: HubConfig,
    credentials: Option<PathBuf>,
    clock: Clock,
}

impl HubSetup {
    /// Starts the hub. When this returns, it serves.
    pub async fn start(mut self) -> Result<RunningHub, StartError> {
        let folder = DataFolder::open(&self.folder)?;
        let now = self.clock.now();
        let certificates = folder.certificates()?;
        let key = identity::hub_key(folder.path(), &self.random)?;
        let own = identity::self_signed(&certificates, self.config.tls.self_key, now)?;
        let (access_keys, renamed) = AccessKeys::load_or_make(&certificates, own.fingerprint, &self.random)?;
        if renamed {
            tracing::warn!(
                file = %access_keys.path().display(),
                "the certificate of identity self was replaced: the access key has a new first part; clients with the old one must be given the new one"
            );
        }
        let master = MasterFile::find(folder.path(), self.credentials.as_deref());
        let mail = self.config.mail.clone();
        let mail = mail.map(|table| MailServer::new(table, self.credentials.as_deref())).transpose()?;
        let files = IdentityFiles {
            config: self.config.clone(),
            credentials: self.credentials,
            clock: self.clock.clone(),
        };
        let loaded = files.load(folder.path(), own)?;
        let identities = Identities::new();
        for identity in &loaded {
            identities.set(&identity.name, Arc::clone(&identity.certified)).map_err(StartError::Tls)?;
        }

        let providers = Providers::new(&self.config.people.oidc)?;
        let store = open_store(&self.folder, &self.config, &self.fleets, &self.clock).await?;
        let bulk = Store::open_bulk(store.url(), &bulk_sets(&self.fleets), &self.clock).await;
        let bulk =
            bulk.map_err(|error| StartError::Store { url: store.url().bulk(), words: words(&error) })?;
        let pools: Vec<PoolKind> = self.fleets.iter().flat_map(|fleet| fleet.pools()).collect();
        let leases = Leases::open(&store, &pools, &self.clock).await;
        let leases =
            leases.map_err(|error| StartError::Store { url: store.url().clone(), words: words(&error) })?;
        let queue = Tasks::new(self.fleets.iter().flat_map(|fleet| fleet.tasks()).collect());
        let sealer = Sealer::open(&store, master, &self.random, &self.clock).await?;
        let hub = Arc::new(Hub {
            clock: self.clock.clone(),
            random: self.random,
            key,
            access_keys,
            sealer,
            settings: self.config.node_settings(),
            url: OnceLock::new(),
            listeners: OnceLock::new(),
            store,
            bulk,
            bus: LocalBus::new(),
            presence: Presence::default(),
            connections: Connections::default(),
            streams: Streams::default(),
            leases,
            queue,
            people: People::new(self.config.people.settings(), providers, &self.clock),
            wrong_keys: Throttle::new(self.clock),
            metrics: super::metrics::Metrics::default(),
            metrics_token: self.config.metrics.token_file.clone(),
            mail,
            jobs: job::Jobs::default(),
            fleets: self.fleets,
            folder: folder.path().to_owned(),
            identities: RwLock::new(loaded),
            tasks: TaskTracker::new(),
        });

        for fleet in &hub.fleets {
            let begun = fleet.begin(Arc::clone(&hub)).await;
            begun
                .map_err(|error| StartError::Store { url: hub.store.url().clone(), words: words(&error) })?;
        }
        let (router, routes) = router(&hub, self.pages);
        let shutdown = Shutdown::new();
        let descriptors: Vec<RawFd> =
            self.descriptors.into_iter().chain(self.handed_over.announced()).collect();
        let bound = edge::bind(&self.config.listeners(&descriptors), &mut self.handed_over)?;
        let addresses: Vec<SocketAddr> = bound.addresses().map(|(_, address)| address).collect();
        let url = self.config.url.clone().unwrap_or_else(|| guess_url(&addresses));
        hub.url.get_or_init(|| url);
        hub.listeners.get_or_init(|| addresses.iter().map(ToString::to_string).collect());
        let local = edge::local::bind(&folder.path().join(SOCKET))?;
        let server =
            edge::Server::new(router, identities.clone(), self.config.connection_limits(), shutdown.clone());
        let doors = TaskTracker::new();
        let own = server.clone();
        doors.spawn(async move { own.serve_local(local).await });
        doors.spawn(async move {
            if let Err(error) = server.serve(bound).await {
                tracing::error!(%error, "the hub does not listen");
            }
        });
        let fleet_jobs: Vec<job::Job> = hub.fleets.iter().flat_map(|fleet| fleet.jobs()).collect();
        for job in job::core_jobs().into_iter().chain(fleet_jobs) {
            job::start(Arc::clone(&hub), job, shutdown.soft().clone());
        }
        Ok(RunningHub { hub, addresses, routes, shutdown, doors, identities, setup: files, _folder: folder })
    }
}

impl RunningHub {
    /// Reads the certificates again; connections that stand are left alone. An identity that cannot be read stays as it was.
    pub fn reload(&self) -> Result<(), IdentityError> {
        let certificates = self.hub.folder.join("cert");
        let own =
            identity::self_signed(&certificates, self.setup.config.tls.self_key, self.setup.clock.now())?;
        if own.fingerprint != self.hub.access_keys.fingerprint() {
            tracing::warn!(
                "the certificate of identity self was replaced: it is served, with its access key, after a restart"
            );
        }
        let loaded = self.setup.load(&self.hub.folder, own)?;
        for identity in &loaded {
            if identity.name != "self" || identity.fingerprint == self.hub.access_keys.fingerprint() {
                let set = self.identities.set(&identity.name, Arc::clone(&identity.certified));
                set.map_err(|error| IdentityError::Unusable {
                    path: identity.certificate.clone(),
                    problem: error.to_string(),
                })?;
            }
        }
        *self.hub.identities.write().unwrap_or_else(std::sync::PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// Stops: takes nothing new, finishes what is under way, then ends everything.
    pub async fn stop(self) {
        self.shutdown.stop();
        self.hub.presence.close_all("the hub is stopping");
        self.hub.streams.end_all();
        self.hub.tasks.close();
        self.doors.close();
        let finished = async {
            self.doors.wait().await;
            self.hub.tasks.wait().await;
        };
        if tokio::time::timeout(STOP_PATIENCE, finished).await.is_err() {
            tracing::warn!("some connections did not end in time and were cut");
            self.shutdown.cut();
        }
        self.hub.bulk.close().await;
        self.hub.store.close().await;
    }
}

impl IdentityFiles {
    fn load(&self, folder: &std::path::Path, own: TlsIdentity) -> Result<Vec<TlsIdentity>, IdentityError> {
        let now = self.clock.now();
        let credentials = self.credentials.as_deref();
        let mut loaded = vec![own];
        if let (Some(certificate), Some(key)) = (&self.config.tls.cert, &self.config.tls.key) {
            loaded.push(TlsIdentity::load("files", certificate, key, credentials, now)?);
        }
        if let Some(host) = &self.config.tls.ca_host {
            let (certificate, key) = identity::ca::issued(folder, host);
            loaded.push(TlsIdentity::load("ca", &certificate, &key, credentials, now)?);
        }
        Ok(loaded)
    }
}

/// The database that a configuration names.
pub fn database_url(folder: &std::path::Path, config: &HubConfig) -> Result<DatabaseUrl, Error> {
    match &config.database {
        Some(url) => url.parse(),
        None => Ok(DatabaseUrl::in_folder(folder)),
    }
}

/// Every table set: the core's, then each fleet's.
pub fn migration_sets(fleets: &[Arc<dyn Fleet>]) -> Vec<MigrationSet> {
    std::iter::once(http::MIGRATIONS).chain(fleets.iter().map(|fleet| fleet.migrations())).collect()
}

/// Every set of tables for bulk data.
pub fn bulk_sets(fleets: &[Arc<dyn Fleet>]) -> Vec<MigrationSet> {
    fleets.iter().map(|fleet| fleet.bulk_migrations()).collect()
}

async fn open_store(
    folder: &std::path::Path,
    config: &HubConfig,
    fleets: &[Arc<dyn Fleet>],
    clock: &Clock,
) -> Result<Store, StartError> {
    let failed =
        |url: &DatabaseUrl, error: Error| StartError::Store { url: url.clone(), words: words(&error) };
    let url = database_url(folder, config).map_err(|error| StartError::Database(error.message()))?;
    Store::open(url.clone(), folder, &migration_sets(fleets), clock)
        .await
        .map_err(|error| failed(&url, error))
}

/// At the start, whoever reads the error is whoever can mend it: the reason is told too.
fn words(error: &Error) -> String {
    match error {
        Error::Unavailable { source, .. } | Error::Internal(source) => source.to_string(),
        other => other.message(),
    }
}

fn router(hub: &Arc<Hub>, pages: Routes) -> (Router, Vec<RouteRow>) {
    let routes = hub.fleets.iter().fold(http::core_routes(), |routes, fleet| fleet.routes(routes));
    let routes = routes.merge(pages);
    let rows = routes.rows().to_vec();
    let document = Document::new(&routes.document());
    let router = routes
        .into_router()
        .fallback(http::not_found)
        .method_not_allowed_fallback(http::method_not_allowed)
        .layer(axum::Extension(document))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(hub), http::count))
        .with_state(Arc::clone(hub));
    (router, rows)
}

/// An address under which other machines most likely reach this one: the one that is listened on, if it is a particular
/// one; else the machine's name, if it leads here; else its first address.
fn guess_url(listening: &[SocketAddr]) -> HubUrl {
    let port = listening.first().map_or(DEFAULT_PORT, SocketAddr::port);
    if let Some(particular) = listening.iter().find(|address| !address.ip().is_unspecified()) {
        return HubUrl::new(particular.ip().to_string(), particular.port());
    }
    let own = crate::machine::own_addresses();
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let leads_here = (name.as_str(), port)
        .to_socket_addrs()
        .is_ok_and(|mut addresses| addresses.any(|address| own.contains(&address.ip())));
    if leads_here {
        return HubUrl::new(name, port);
    }
    let first = own.iter().find(|address| matches!(address, IpAddr::V4(_))).or(own.first());
    first.map_or_else(|| HubUrl::new("localhost", port), |address| HubUrl::new(address.to_string(), port))
}
