//! A node in this process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use nave_core::node::{
    AllowRule, Forward, ForwardError, Happening, Invitation, JoinRequest, Membership, NodeFolder,
    NodeRuntime, RunError, person_folder,
};
use nave_link::random::Random;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::hub::TestHub;
use crate::wait;

/// A node that joined a hub, running or not.
pub struct TestNode {
    /// Its folder.
    pub folder: NodeFolder,
    data: Arc<TempDir>,
    run: Option<(JoinHandle<Result<(), RunError>>, CancellationToken)>,
    happened: watch::Sender<Vec<String>>,
}

impl TestNode {
    /// Joins a hub without running.
    pub async fn join(hub: &TestHub, name: &str, open: &[String], allow: &[String]) -> anyhow::Result<Self> {
        let invitation = Invitation::Token(hub.invite(name, open).await?);
        let data = Arc::new(tempfile::Builder::new().prefix("nave-node-").tempdir()?);
        let request = Self::request(data.path(), hub, invitation, allow)?;
        let joined = nave_core::node::join(request, &Random::system(), |_| {}).await?;
        Ok(Self { folder: joined.folder, data, run: None, happened: watch::Sender::default() })
    }

    /// A node whose folder lies there already.
    pub fn at(data: TempDir) -> anyhow::Result<Self> {
        let folder = NodeFolder::find(data.path(), None)?;
        Ok(Self { folder, data: Arc::new(data), run: None, happened: watch::Sender::default() })
    }

    /// A person's device whose folder lies there already.
    pub fn device(data: TempDir) -> anyhow::Result<Self> {
        let folder = NodeFolder::find(&person_folder(data.path()), None)?;
        Ok(Self { folder, data: Arc::new(data), run: None, happened: watch::Sender::default() })
    }

    /// Lets it listen for streams that do not pass the hub, from its next start on.
    pub fn set_direct(&mut self, address: std::net::SocketAddr) -> anyhow::Result<()> {
        let membership = Membership { direct: Some(address), ..self.membership()? };
        Ok(self.folder.save(&membership)?)
    }

    /// What a machine brings when it joins.
    pub fn request(
        data: &Path,
        hub: &TestHub,
        invitation: Invitation,
        allow: &[String],
    ) -> anyhow::Result<JoinRequest> {
        Ok(JoinRequest {
            data: data.to_owned(),
            url: hub.url(),
            invitation,
            name: None,
            allow: allow.iter().map(|rule| rule.parse::<AllowRule>()).collect::<Result<_, _>>()?,
            direct: None,
            labels: std::collections::BTreeMap::new(),
        })
    }

    /// What it knows.
    pub fn membership(&self) -> anyhow::Result<Membership> {
        self.folder.membership()?.ok_or_else(|| anyhow::anyhow!("the node has not joined"))
    }

    /// The data folder that holds its folder.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Runs it, and waits until it is connected.
    pub async fn connect(mut self) -> anyhow::Result<Self> {
        self.start()?;
        self.happens("connected").await?;
        Ok(self)
    }

    /// Runs it.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let happened = self.happened.clone();
        let happen = move |happening: Happening| {
            let words = match happening {
                Happening::Connected { .. } => "connected".to_owned(),
                Happening::Pending { message } => format!("pending: {message}"),
                Happening::Lost { reason, .. } => format!("lost: {reason}"),
                Happening::Changed(node) => format!("changed: {}", node.name),
            };
            happened.send_modify(|all| all.push(words));
        };
        let membership = self.membership()?;
        let runtime =
            NodeRuntime::new(self.folder.clone(), membership, &Random::system(), happen, stop.clone())?;
        self.run = Some((tokio::spawn(async move { runtime.run().await }), stop));
        Ok(())
    }

    /// Waits until something that begins so happens, from now or earlier, and forgets all up to it.
    pub async fn happens(&self, beginning: &str) -> anyhow::Result<String> {
        let mut happened = self.happened.subscribe();
        let wait = async {
            loop {
                let position = happened.borrow().iter().position(|words| words.starts_with(beginning));
                if let Some(position) = position {
                    let mut found = String::new();
                    self.happened.send_modify(|all| {
                        found.clone_from(&all[position]);
                        all.drain(..=position);
                    });
                    return found;
                }
                // The sender lives as long as this node.
                let _ = happened.changed().await;
            }
        };
        tokio::time::timeout(wait::PATIENCE, wait).await.map_err(|_| {
            anyhow::anyhow!("waited in vain for {beginning:?}; what happened: {:?}", self.happened.borrow())
        })
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> anyhow::Result<Result<(), RunError>> {
        let (run, _) = self.run.take().ok_or_else(|| anyhow::anyhow!("the node does not run"))?;
        Ok(tokio::time::timeout(wait::PATIENCE, run).await??)
    }

    /// Stops it.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some((run, stop)) = self.run.take() {
            stop.cancel();
            run.await??;
        }
        Ok(())
    }

    /// Forwards a target of another node to an unused port.
    pub async fn forward(&self, target: &str) -> Result<TestForward, ForwardError> {
        let stop = CancellationToken::new();
        let target = target.parse().map_err(|_| ForwardError::NoPath {
            name: target.to_owned(),
            problems: "no target".to_owned(),
        })?;
        let forward =
            Forward::prepare(self.folder.clone(), target, None, Random::system(), |_| {}, stop.clone())
                .await?;
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|source| RunError::Listen { address: "127.0.0.1:0".to_owned(), source })?;
        let address = listener
            .local_addr()
            .map_err(|source| RunError::Listen { address: "127.0.0.1:0".to_owned(), source })?;
        let failures: Arc<Mutex<Vec<String>>> = Arc::default();
        let failed = {
            let failures = Arc::clone(&failures);
            move |error: &ForwardError| {
                failures.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
            }
        };
        tokio::spawn(Arc::new(forward).run(listener, stop.clone(), failed));
        Ok(TestForward { address, failures, _stop: stop.drop_guard() })
    }
}

/// A forwarded port; it ends when this is dropped.
pub struct TestForward {
    /// The local address.
    pub address: std::net::SocketAddr,
    /// Why connections were not carried.
    pub failures: Arc<Mutex<Vec<String>>>,
    _stop: tokio_util::sync::DropGuard,
}
