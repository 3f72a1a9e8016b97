//! The streams under way, in memory: a hub that stops ends the streams that pass it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use nave_link::address::Target;
use nave_link::key::PublicKey;
use nave_link::pipe::Counts;
use nave_link::protocol::{StreamCut, StreamReport};
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Allowed;
use super::relay::Half;
use crate::api::{Stream, StreamPath};
use crate::hub::bus::Notice;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::nodes;
use crate::hub::op::Op;
use crate::id::{NodeId, StreamId};

/// The most streams that one node may have open at once.
const MOST_PER_NODE: usize = 1024;
/// The most streams that end in the hub on behalf of one person.
const MOST_PER_PERSON: usize = 16;
/// How long a stream may take to find a path.
const OPENING_TIME: Duration = Duration::from_secs(45);
/// How long a direct stream is believed without a report.
const REPORT_PATIENCE: Duration = Duration::from_mins(2);

/// Which side of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The node that opened it.
    Asking,
    /// The node it leads to.
    Asked,
}

const OPENING: u8 = 0;
const RELAYED: u8 = 1;
const DIRECT: u8 = 2;
const HUB: u8 = 3;

/// Who asked for a stream, and so which end it has besides the node that was asked.
#[derive(Clone)]
pub(super) enum Origin {
    /// A node, which reads the bytes.
    Node(NodeId),
    /// The hub itself reads them, on behalf of whoever asked.
    Hub(Op),
}

impl Origin {
    /// The node that asked.
    pub(super) fn node(&self) -> Option<NodeId> {
        match self {
            Self::Node(id) => Some(*id),
            Self::Hub(_) => None,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Node(a), Self::Node(b)) => a == b,
            (Self::Hub(a), Self::Hub(b)) => a.actor.kind() == b.actor.kind() && a.actor.id() == b.actor.id(),
            _ => false,
        }
    }

    fn most(&self) -> usize {
        match self {
            Self::Node(_) => MOST_PER_NODE,
            Self::Hub(_) => MOST_PER_PERSON,
        }
    }
}

/// One stream.
pub(super) struct Live {
    pub(super) id: String,
    pub(super) from: Origin,
    from_name: String,
    to: NodeId,
    to_name: String,
    target: Target,
    since: OffsetDateTime,
    path: AtomicU8,
    /// Bytes that passed this hub.
    pub(super) counts: Arc<Counts>,
    /// Bytes that the opener reports of a stream that does not pass it, and when it last did (milliseconds).
    reported: [AtomicU64; 3],
    pub(super) cut: CancellationToken,
    /// Why it was cut.
    why: OnceLock<String>,
    /// Both connections came.
    pub(super) met: CancellationToken,
    /// The connection that came first and waits for the other.
    waiting: Mutex<Option<(Side, Half)>>,
    /// Where the hub itself waits for the asked node's connection.
    here: Mutex<Option<oneshot::Sender<Half>>>,
}

impl Live {
    /// The connection that came first, with the one that came now; `None` if that is the first, which then waits.
    pub(super) fn meet(&self, side: Side, half: Half) -> Option<((Side, Half), Half)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = waiting.take() {
            self.met.cancel();
            return Some((first, half));
        }
        *waiting = Some((side, half));
        None
    }

    /// Hands the asked node's connection to the hub itself, if the stream ends here; gives it back otherwise.
    pub(super) fn arrive(&self, half: Half) -> Option<Half> {
        if matches!(self.from, Origin::Node(_)) {
            return Some(half);
        }
        if let Some(here) = self.here.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Whoever waited may have given up.
            let _ = here.send(half);
        }
        None
    }

    /// Drops a connection that still waits.
    pub(super) fn stop_waiting(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Both connections are there; the nodes may still meet without them.
    pub(super) fn set_relayed(&self) {
        let _ = self.path.compare_exchange(OPENING, RELAYED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The hub is its other end from now on.
    pub(super) fn set_here(&self) {
        self.path.store(HUB, Ordering::Relaxed);
    }

    /// Why it was cut, in words; `None` where nobody gave a reason.
    pub(super) fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    pub(super) fn is_direct(&self) -> bool {
        self.path.load(Ordering::Relaxed) == DIRECT
    }
}

/// A stream that was just begun: its id and what admits either node to its connection through the hub.
pub(super) struct Opening {
    pub(super) id: String,
    pub(super) asking_ticket: String,
    pub(super) asked_ticket: String,
    pub(super) live: Arc<Live>,
    /// The asked node's connection, if the stream ends in the hub.
    pub(super) here: oneshot::Receiver<Half>,
}

/// What a ticket admits to.
#[derive(Clone)]
pub(super) struct Admits {
    pub(super) live: Arc<Live>,
    pub(super) side: Side,
    pub(super) key: PublicKey,
}

/// All streams.
#[derive(Default)]
pub struct Streams {
    live: Mutex<HashMap<String, Arc<Live>>>,
    tickets: Mutex<HashMap<String, Admits>>,
}

impl Streams {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.live().len()
    }

    /// What the streams are like now; only those between nodes that are wanted. No node asked for those that end in the hub.
    pub fn list(&self, wanted: impl Fn(Option<NodeId>, NodeId) -> bool) -> Vec<Stream> {
        let mut streams: Vec<Stream> = self
            .live()
            .values()
            .filter(|live| wanted(live.from.node(), live.to))
            .map(|live| {
                let path = live.path.load(Ordering::Relaxed);
                let (sent, received) = if path == DIRECT {
                    (&live.reported[0], &live.reported[1])
                } else {
                    (&live.counts.forth, &live.counts.back)
                };
                Stream {
                    id: live.id.clone(),
                    from: live.from_name.clone(),
                    to: live.to_name.clone(),
                    target: live.target.to_string(),
                    path: [StreamPath::Opening, StreamPath::Relayed, StreamPath::Direct, StreamPath::Hub]
                        [usize::from(path.min(HUB))],
                    sent: sent.load(Ordering::Relaxed),
                    received: received.load(Ordering::Relaxed),
                    since: live.since,
                }
            })
            .collect();
        streams.sort_by(|a, b| a.id.cmp(&b.id));
        streams
    }

    pub(super) fn begin(&self, hub: &Hub, allowed: &Allowed, target: &Target) -> Result<Opening> {
        let ticket = || hex::encode(hub.random.bytes::<16>());
        let (id, asking_ticket, asked_ticket) = (StreamId::new().to_string(), ticket(), ticket());
        let (arrives, here) = oneshot::channel();
        let live = Arc::new(Live {
            id: id.clone(),
            from: allowed.from.clone(),
            from_name: allowed.from_name.clone(),
            to: allowed.to.id,
            to_name: allowed.to.name.clone(),
            target: target.clone(),
            since: hub.clock.now(),
            path: AtomicU8::new(OPENING),
            counts: Arc::default(),
            reported: Default::default(),
            cut: CancellationToken::new(),
            why: OnceLock::new(),
            met: CancellationToken::new(),
            waiting: Mutex::default(),
            here: Mutex::new(Some(arrives)),
        });
        {
            let mut all = self.live();
            let most = allowed.from.most();
            if all.values().filter(|live| live.from.is(&allowed.from)).count() >= most {
                return Err(Error::Conflict(format!(
                    "{} has {most} streams open already",
                    allowed.from_name
                )));
            }
            all.insert(id.clone(), Arc::clone(&live));
        }
        let mut tickets = self.tickets();
        let admits = |side, key| Admits { live: Arc::clone(&live), side, key };
        if matches!(allowed.from, Origin::Node(_)) {
            tickets.insert(asking_ticket.clone(), admits(Side::Asking, allowed.from_key));
        }
        tickets.insert(asked_ticket.clone(), admits(Side::Asked, allowed.to_key));
        drop(tickets);
        hub.bus.publish(Notice { topic: "stream", key: id.clone() });
        Ok(Opening { id, asking_ticket, asked_ticket, live, here })
    }

    /// Takes a ticket, which is good once, and only for whoever holds the key it was made for.
    pub(super) fn redeem(&self, ticket: &str, key: &PublicKey) -> Option<Admits> {
        let mut tickets = self.tickets();
        if tickets.get(ticket)?.key != *key {
            return None;
        }
        tickets.remove(ticket)
    }

    /// Forgets a stream that has ended.
    pub(super) fn forget(&self, id: &str) {
        self.live().remove(id);
        self.tickets().retain(|_, admits| admits.live.id != id);
    }

    /// Ends a stream and tells both nodes.
    pub async fn cut(&self, hub: &Hub, id: &str, reason: &str) {
        let live = self.live().remove(id);
        let Some(live) = live else { return };
        self.forget(id);
        // Only the first reason counts.
        let _ = live.why.set(reason.to_owned());
        live.cut.cancel();
        let cut = StreamCut { stream: id.to_owned(), reason: reason.to_owned() };
        for node in live.from.node().into_iter().chain([live.to]) {
            if let Some(session) = hub.presence.session(node) {
                // A node that is just leaving ends its streams itself.
                let _ = session.peer.notify(&cut).await;
            }
        }
    }

    /// Ends all streams that pass this hub: it stops.
    pub fn end_all(&self) {
        self.tickets().clear();
        for (_, live) in self.live().drain() {
            live.cut.cancel();
        }
    }

    /// Ends all streams of a node.
    pub async fn cut_node(&self, hub: &Hub, node: NodeId, reason: &str) {
        for id in self.ids(|live| live.from.node() == Some(node) || live.to == node) {
            self.cut(hub, &id, reason).await;
        }
    }

    /// Ends those streams from a node that nothing allows any more.
    pub async fn recheck(&self, hub: &Hub, node: NodeId) -> Result<()> {
        self.recheck_those(hub, |live| live.from.node() == Some(node)).await
    }

    /// Ends those streams to a node that nothing allows any more.
    pub async fn recheck_to(&self, hub: &Hub, node: NodeId) -> Result<()> {
        self.recheck_those(hub, |live| live.to == node).await
    }

    async fn recheck_those(&self, hub: &Hub, which: impl Fn(&Live) -> bool) -> Result<()> {
        let streams: Vec<Arc<Live>> = self.live().values().filter(|live| which(live)).cloned().collect();
        if streams.is_empty() {
            return Ok(());
        }
        let mut reader = hub.store.read().await?;
        for live in streams {
            let stands = match &live.from {
                Origin::Node(id) => {
                    let Some(row) = nodes::store::by_id(&mut reader, *id).await? else { continue };
                    let op = Op { actor: nodes::actor(&mut reader, &row).await?, ..hub.op("stream.recheck") };
                    super::may_open(&op, hub, &mut reader, live.to, &live.target).await?
                }
                Origin::Hub(op) => super::here::may(op, hub, live.to, &live.target),
            };
            if !stands {
                self.cut(hub, &live.id, "the right that allowed it was taken back").await;
            }
        }
        Ok(())
    }

    /// Takes a node's report about a stream that does not pass the hub. One that the hub does not know (any more) is cut:
    /// nobody could revoke it.
    pub fn report(&self, hub: &Hub, node: NodeId, report: &StreamReport) {
        let live = self.live().get(&report.stream).filter(|live| live.from.node() == Some(node)).cloned();
        match live {
            Some(live) if report.ended => self.forget(&live.id),
            Some(live) => {
                live.reported[0].store(report.sent, Ordering::Relaxed);
                live.reported[1].store(report.received, Ordering::Relaxed);
                let now = u64::try_from(crate::clock::to_millis(hub.clock.now())).unwrap_or(0);
                live.reported[2].store(now, Ordering::Relaxed);
                // Only a stream that found its way without the hub is reported before it ends.
                live.path.store(DIRECT, Ordering::Relaxed);
            }
            None if report.ended => {}
            None => {
                if let Some(session) = hub.presence.session(node) {
                    let reason = "the hub does not know this stream any more".to_owned();
                    let cut = StreamCut { stream: report.stream.clone(), reason };
                    hub.tasks.spawn(async move { session.peer.notify(&cut).await });
                }
            }
        }
    }

    /// Forgets streams that found no path in time, and direct ones of which nothing was heard for long.
    pub fn forget_stale(&self, now: OffsetDateTime) -> usize {
        let stale = self.ids(|live| match live.path.load(Ordering::Relaxed) {
            OPENING => now - live.since > OPENING_TIME,
            DIRECT => {
                let heard = i64::try_from(live.reported[2].load(Ordering::Relaxed)).unwrap_or(i64::MAX);
                now - crate::clock::from_millis(heard) > REPORT_PATIENCE
            }
            _ => false,
        });
        for id in &stale {
            self.forget(id);
        }
        stale.len()
    }

    fn ids(&self, which: impl Fn(&Live) -> bool) -> Vec<String> {
        self.live().values().filter(|live| which(live)).map(|live| live.id.clone()).collect()
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tickets(&self) -> MutexGuard<'_, HashMap<String, Admits>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
