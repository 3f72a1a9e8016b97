//! `Hub`: what every service of a running hub needs, made once and shared.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use nave_link::address::HubUrl;
use nave_link::key::SecretKey;
use nave_link::random::Random;
use tokio_util::task::TaskTracker;

use super::bus::Bus;
use super::error::Result;
use super::event::{self, Event};
use super::fleet::{Fleet, NodeHappening};
use super::identity::{AccessKeys, TlsIdentity};
use super::job::Jobs;
use super::leases::Leases;
use super::mail::MailServer;
use super::metrics::Metrics;
use super::nodes::{Connections, Presence};
use super::op::Op;
use super::people::People;
use super::seal::Sealer;
use super::store::{Act, Store};
use super::streams::Streams;
use super::tasks::Tasks;
use super::throttle::Throttle;
use crate::clock::Clock;

/// What can be set about nodes.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// How often a node pings.
    pub heartbeat: Duration,
    /// After how much silence it is lost.
    pub lost_after: Duration,
    /// What becomes of a machine that shows the shared access key.
    pub join_with_access_key: JoinWithAccessKey,
    /// For how long the audit log is kept.
    pub keep_events: Duration,
}

/// What becomes of a machine that shows the shared access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinWithAccessKey {
    /// It waits for an operator.
    Pending,
    /// It is let in at once.
    Approve,
    /// It is refused.
    Refuse,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            lost_after: Duration::from_secs(30),
            join_with_access_key: JoinWithAccessKey::Pending,
            keep_events: Duration::from_hours(9600),
        }
    }
}

/// A running hub.
pub struct Hub {
    /// Tells the time.
    pub clock: Clock,
    /// Makes secrets.
    pub random: Random,
    /// The hub's own key.
    pub key: SecretKey,
    /// The shared access key.
    pub access_keys: AccessKeys,
    /// What can be set.
    pub settings: NodeSettings,
    /// The address that invitations name; set once the listeners stand.
    pub url: OnceLock<HubUrl>,
    /// Where the hub listens; set once the listeners stand.
    pub listeners: OnceLock<Vec<String>>,
    /// Seals what must be read again.
    pub sealer: Sealer,
    /// The database.
    pub store: Store,
    /// What is written a lot and can be missed, such as log lines.
    pub bulk: Store,
    /// Tells the parts of the hub what happens.
    pub bus: Arc<dyn Bus>,
    /// Who is connected.
    pub presence: Presence,
    /// What nodes have open besides.
    pub connections: Connections,
    /// Streams under way.
    pub streams: Streams,
    /// Who holds what.
    pub leases: Leases,
    /// Work for nodes, which stands in the database.
    pub queue: Tasks,
    /// What people need to sign in.
    pub people: People,
    /// Wrong keys, passwords and tokens, by source address.
    pub wrong_keys: Throttle,
    /// What is counted.
    pub metrics: Metrics,
    /// The file with the token that lets others than loopback read the metrics.
    pub metrics_token: Option<PathBuf>,
    /// The server that takes the hub's mail, if one is configured.
    pub mail: Option<MailServer>,
    /// How the background jobs are.
    pub jobs: Jobs,
    /// What nodes are put to work in.
    pub fleets: Vec<Arc<dyn Fleet>>,
    /// The data folder.
    pub folder: PathBuf,
    /// The identities that are served, for checks.
    pub identities: RwLock<Vec<TlsIdentity>>,
    /// Work that outlives the request that began it.
    pub tasks: TaskTracker,
}

impl Hub {
    /// Writes an event into an act.
    pub async fn record(&self, act: &mut Act, op: &Op, event: Event) -> Result<()> {
        event::record(act, op, &self.bus, event).await
    }

    /// Tells every fleet what happened to a node.
    pub async fn tell_fleets(self: &Arc<Self>, happening: NodeHappening) {
        for fleet in &self.fleets {
            fleet.hear(Arc::clone(self), happening).await;
        }
    }

    /// An operation of the hub itself.
    pub fn op(&self, job: &'static str) -> Op {
        Op::hub(job, self.clock.clone())
    }
}
