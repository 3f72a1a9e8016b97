//! Keeps the places of this machine in the farm of its hub: offers them, and lets nobody in but who has them. What is run
//! before that is in `turns`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::node::{Attached, RunError};
use nave_link::dial;
use nave_link::rpc::{CallError, Handler, Limits, Method as _, Peer, RpcError, code};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::doors::Doors;
use super::leases::Leases;
use super::reports::Reports;
use crate::api::CommandRun;
use crate::link::{HeldLease, PATH, PlaceHeld, PlaceOffer, PlacePower, PlaceWithdraw};
use crate::node::commands::Hooks;

/// How the link is watched.
const LIMITS: Limits =
    Limits { heartbeat: Some(Duration::from_secs(10)), lost_after: Duration::from_secs(30) };
/// How long the hub may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest time between two attempts to reach the hub.
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// For how long a lease is believed in while the hub is away: as long as the hub would hold it for a holder that is.
const GRACE: Duration = Duration::from_mins(2);

/// What happens, for whoever shows it to a person.
#[derive(Clone, Debug)]
pub enum ExportHappening {
    /// A place is in the farm.
    Offered(String),
    /// The hub does not take a place, in its words.
    Refused {
        /// The place.
        place: String,
        /// Why.
        problem: String,
    },
    /// A place is somebody's from now on, or nobody's.
    Held {
        /// The place.
        place: String,
        /// Who has it.
        lease: Option<HeldLease>,
    },
    /// A command was run for a place.
    Ran {
        /// The place.
        place: String,
        /// The command.
        run: CommandRun,
    },
    /// The hub is away; another attempt follows.
    Lost {
        /// Why.
        problem: String,
        /// When.
        retry_in: Duration,
    },
}

/// The places of this machine, offered to its hub.
pub struct Exporter {
    attached: Attached,
    pub(super) doors: Arc<Doors>,
    leases: Mutex<Leases>,
    /// One change at a time reaches the node.
    lending: tokio::sync::Mutex<()>,
    pub(super) hooks: Hooks,
    pub(super) reports: Reports,
    /// The number of what was told last of each place.
    pub(super) turns: Mutex<BTreeMap<String, u64>>,
    /// Cancelled when this does not run any more.
    pub(super) ended: CancellationToken,
    pub(super) happen: Box<dyn Fn(ExportHappening) + Send + Sync>,
}

impl Exporter {
    /// Offers the places whose doors are open, from the machine whose node `attached` is. `happen` hears of it.
    pub fn new(
        attached: Attached,
        doors: Arc<Doors>,
        happen: impl Fn(ExportHappening) + Send + Sync + 'static,
    ) -> Arc<Self> {
        // Beside the node's key: what was run for whom belongs to this machine as a member of this hub.
        let hooks = Hooks::new(doors.clock.clone(), doors.folder.join("commands"));
        Arc::new(Self {
            attached,
            doors,
            leases: Mutex::default(),
            lending: tokio::sync::Mutex::default(),
            hooks,
            reports: Reports::default(),
            turns: Mutex::default(),
            ended: CancellationToken::new(),
            happen: Box::new(happen),
        })
    }

    /// Runs until it is dropped, or until the node is not this hub's any more.
    ///
    /// # Errors
    ///
    /// What trying again would not help against.
    pub async fn run(self: &Arc<Self>) -> Result<(), RunError> {
        let _ended = Ended(self);
        tokio::select! {
            ended = self.keep_lent() => ended,
            ended = self.keep_offered() => ended,
        }
    }

    /// The process that runs the node may be started anew, and knows nothing then.
    async fn keep_lent(&self) -> Result<(), RunError> {
        loop {
            let link = self.attached.link().await?;
            self.lend(None).await?;
            link.closed().await;
        }
    }

    async fn keep_offered(self: &Arc<Self>) -> Result<(), RunError> {
        let schedule = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(LONGEST_DELAY)
            .with_jitter()
            .without_max_times();
        let mut delays = schedule.build();
        let mut lost = tokio::time::Instant::now();
        loop {
            let problem = match dial::websocket(self.attached.known(), PATH).await {
                Ok(socket) => {
                    let peer = Peer::start(socket, Arc::new(Answers(Arc::clone(self))), LIMITS);
                    self.reports.go_to(Some(peer.clone()));
                    let (why, took_any) = self.offer_all(&peer).await;
                    self.reports.go_to(None);
                    // A hub that ends each link at once, since this node may offer nothing, is away for those who have its places
                    // too, and is not asked all the time.
                    if took_any {
                        lost = tokio::time::Instant::now();
                        delays = schedule.build();
                    }
                    why
                }
                Err(error) if error.is_passing() => error.to_string(),
                Err(error) => return Err(RunError::Dial(error)),
            };
            if lost.elapsed() > GRACE {
                self.leases().forget();
                self.lend(None).await?;
                let doors: Vec<_> = self.doors.watch().borrow().values().cloned().collect();
                for door in doors {
                    door.let_in(&[]).await;
                }
            }
            let retry_in = delays.next().unwrap_or(LONGEST_DELAY);
            (self.happen)(ExportHappening::Lost { problem, retry_in });
            tokio::time::sleep(retry_in).await;
        }
    }

    /// Offers what there is, and what changes, until the link ends; says why it did, and whether the hub took any of it.
    async fn offer_all(&self, peer: &Peer) -> (String, bool) {
        let mut took_any = false;
        let why = self.offer_until_lost(peer, &mut took_any).await;
        (why, took_any)
    }

    async fn offer_until_lost(&self, peer: &Peer, took_any: &mut bool) -> String {
        let mut doors = self.doors.watch();
        let mut offered: BTreeMap<String, PlaceOffer> = BTreeMap::new();
        loop {
            let now = doors.borrow_and_update().clone();
            let services = now.iter().map(|(name, door)| (name.clone(), door.services().to_vec()));
            self.leases().set_offered(services);
            if let Err(error) = self.lend(None).await {
                return error.to_string();
            }
            let gone: Vec<String> = offered.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
            for name in gone {
                offered.remove(&name);
                // What the hub does not know is withdrawn already.
                let _ = peer.call(&PlaceWithdraw { name }, PATIENCE).await;
            }
            for offer in now.values().map(|door| door.offer()) {
                if offered.get(&offer.name) == Some(&offer) {
                    continue;
                }
                let place = offer.name.clone();
                match peer.call(&offer, PATIENCE).await {
                    Ok(()) => {
                        *took_any = true;
                        (self.happen)(ExportHappening::Offered(place.clone()));
                        self.reports.again(&place).await;
                    }
                    Err(CallError::Closed(why)) => return why.to_string(),
                    Err(error) => {
                        let problem = error.to_string();
                        (self.happen)(ExportHappening::Refused { place: place.clone(), problem });
                    }
                }
                offered.insert(place, offer);
            }
            // What ended while the hub was away.
            self.reports.send().await;
            tokio::select! {
                // The sender lives as long as the doors.
                _ = doors.changed() => {}
                why = peer.closed() => return why.to_string(),
            }
        }
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others open what they may, without one place.
    async fn lend(&self, without: Option<&str>) -> Result<(), RunError> {
        let _one_at_a_time = self.lending.lock().await;
        let open = self.leases().open(without);
        self.attached.lend(&open).await
    }

    /// Lets a holder in and nobody else, or nobody at all; done when others are out.
    pub(super) async fn let_in(&self, place: &str, lease: Option<HeldLease>) -> Result<(), RpcError> {
        let passed_on = self.leases().hold(place, lease.clone());
        let passed_on = passed_on.map_err(|stale| RpcError::refused("stale", stale.to_string()))?;
        let failed = |error: RunError| RpcError::new(code::INTERNAL, error.to_string());
        if passed_on {
            // The streams of whoever had it end by this.
            self.lend(Some(place)).await.map_err(failed)?;
        }
        self.lend(None).await.map_err(failed)?;
        if let Some(door) = self.doors.find(place) {
            door.let_in(lease.as_ref().map_or(&[], |lease| &lease.addresses)).await;
        }
        Ok(())
    }
}

/// With the exporter, its link ends and the commands that it runs.
struct Ended<'a>(&'a Exporter);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.cancel();
        self.0.reports.leave();
    }
}

/// Answers what the hub asks.
struct Answers(Arc<Exporter>);

impl Handler for Answers {
    fn call(
        &self,
        method: String,
        params: Box<RawValue>,
    ) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
        let exporter = Arc::clone(&self.0);
        async move {
            match method.as_str() {
                PlaceHeld::NAME => write(&exporter.hold(read(&params)?).await?),
                PlacePower::NAME => write(&exporter.power(read(&params)?).await?),
                _ => Err(RpcError::unknown_method(&method)),
            }
        }
        .boxed()
    }

    fn notice(&self, method: &str, _: &RawValue) {
        tracing::debug!(method, "the hub sent a notice that is not understood");
    }
}

fn read<T: DeserializeOwned>(params: &RawValue) -> Result<T, RpcError> {
    serde_json::from_str(params.get()).map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))
}

fn write(answer: &impl Serialize) -> Result<Box<RawValue>, RpcError> {
    serde_json::value::to_raw_value(answer).map_err(|error| RpcError::new(code::INTERNAL, error.to_string()))
}
