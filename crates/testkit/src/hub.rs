//! A hub in this process, on loopback, in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_core::api::{GrantRequest, InviteRequest};
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_core::hub::context::Hub;
use nave_core::hub::edge::Inherited;
use nave_core::hub::fleet::Fleet;
use nave_core::hub::identity::KeyKind;
use nave_core::hub::nodes;
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::running::{HubSetup, RunningHub, StartError};
use nave_core::id::RequestId;
use nave_link::address::HubUrl;
use nave_link::random::Random;
use nave_link::token::JoinToken;
use nave_web::section::Section;
use tempfile::TempDir;

/// How a test's hub is made.
#[derive(Default)]
pub struct TestHubSetup {
    /// The configuration; a hub on loopback unless it says otherwise.
    pub config: HubConfig,
    /// The fleets.
    pub fleets: Vec<Arc<dyn Fleet>>,
    /// What the fleets bring to the console.
    pub sections: Vec<Arc<dyn Section>>,
    /// The clock; the machine's own unless given.
    pub clock: Option<Clock>,
}

/// A hub that serves.
pub struct TestHub {
    running: Option<RunningHub>,
    folder: Arc<TempDir>,
    clock: Clock,
}

impl TestHub {
    /// A hub as it comes.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(TestHubSetup::default()).await
    }

    /// A hub with settings.
    pub async fn with(setup: TestHubSetup) -> anyhow::Result<Self> {
        let folder = Arc::new(tempfile::Builder::new().prefix("nave-hub-").tempdir()?);
        Self::on(folder, setup).await.map_err(Into::into)
    }

    /// A hub on a folder that another one used before.
    pub async fn on(folder: Arc<TempDir>, setup: TestHubSetup) -> Result<Self, StartError> {
        let mut config = setup.config;
        if config.listen.is_empty() && config.listener.is_empty() {
            config.listen = vec![([127, 0, 0, 1], 0).into()];
        }
        // RSA keys take a while to find, and no test that uses this hub looks at the key.
        config.tls.self_key = KeyKind::EcdsaP256;
        let clock = setup.clock.unwrap_or_else(Clock::system);
        let setup = HubSetup {
            folder: folder.path().to_owned(),
            config,
            descriptors: Vec::new(),
            handed_over: Inherited::none(),
            credentials: None,
            fleets: setup.fleets,
            pages: nave_web::routes(setup.sections),
            clock: clock.clone(),
            random: Random::system(),
        };
        Ok(Self { running: Some(setup.start().await?), folder, clock })
    }

    /// The running hub.
    pub fn running(&self) -> &RunningHub {
        self.running.as_ref().expect("only stopping takes it away")
    }

    /// Its services' context.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.running().hub
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running().addresses[0]
    }

    /// Its address as nodes write it.
    pub fn url(&self) -> HubUrl {
        HubUrl::new(self.address().ip().to_string(), self.address().port())
    }

    /// Its data folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.path().join("hub.sock")
    }

    /// Keeps the folder for another hub.
    pub fn folder(&self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }

    /// What the hub's operator does.
    pub fn operator(&self) -> Op {
        Op {
            actor: Actor::Operator { uid: 0 },
            source: None,
            request: RequestId::new(),
            clock: self.clock.clone(),
        }
    }

    /// An invitation for a node of that name which may open those targets (`NODE:[HOST:]PORT`).
    pub async fn invite(&self, name: &str, open: &[String]) -> anyhow::Result<JoinToken> {
        let grants = open
            .iter()
            .map(|scope| GrantRequest { action: "open".to_owned(), scope: scope.clone() })
            .collect();
        let request = InviteRequest { name: Some(name.to_owned()), grants, ..InviteRequest::default() };
        let invitation = nodes::invite(&self.operator(), self.hub(), &request).await?;
        Ok(invitation.token.parse()?)
    }

    /// Stops it as a signal would.
    pub async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}
