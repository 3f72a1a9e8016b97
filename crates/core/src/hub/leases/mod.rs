//! Leases: exclusive use of one resource by one holder, until it is returned, expires or is revoked. A pool is the set
//! of resources that one hub gives out at a time: it matches in memory, in the order of priority and of asking, and
//! answers when what it decided is durable. What a resource is, and what its holder may do with it, is a fleet's matter.
//!
//! Who holds what survives the hub: a lease stands in the database. Who waits does not: a wait ends with the connection
//! of whoever waits. A booking is a lease that begins later: it stands in the database, for one resource, which others
//! have until then at the most. After a restart every resource and every holder is away, and has the pool's grace to come back.

mod book;
mod booking;
mod due;
mod granted;
mod journal;
mod pool;
mod store;
mod usage;
mod write;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::watch;

pub use self::booking::{BookError, Booking, BookingEnd, BookingTimes, WantedBooking};
pub use self::due::jobs;
pub use self::granted::Granted;
pub use self::pool::{Pool, Waiters, Waiting};
pub use self::usage::{Spans, Usage, Used};
use super::access::Action;
use super::context::Hub;
use super::error::{Error, Result};
use super::op::Op;
use super::store::Store;
use crate::clock::Clock;
use crate::id::{LeaseId, OwnerId};

/// What a fleet says about a pool that it leases from.
#[derive(Clone, Copy, Debug)]
pub struct PoolKind {
    /// Its name in the database.
    pub name: &'static str,
    /// What one of its resources is called.
    pub noun: &'static str,
    /// Taking a lease, and ending one's own.
    pub take: Action,
    /// Ending, extending and handing over anybody's.
    pub manage: Action,
    /// How long a lease outlives the connection of its holder, or of its resource.
    pub grace: Duration,
    /// For how long whoever waits for several resources lets others go ahead; then what is free is kept for it.
    pub patience: Duration,
}

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// As the audit log calls such actors: `person`, `node`, `client`.
    pub kind: String,
    /// Which one of them; the same after a reconnect.
    pub id: String,
    /// For people.
    pub name: String,
}

impl Holder {
    /// Whoever asks.
    pub fn of(op: &Op) -> Self {
        Self { kind: op.actor.kind().to_owned(), id: op.actor.id(), name: op.actor.name() }
    }

    /// Whether both are one, whatever they are called.
    pub fn is(&self, other: &Self) -> bool {
        self.kind == other.kind && self.id == other.id
    }
}

/// One lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which one.
    pub id: LeaseId,
    /// What it is about.
    pub resource: String,
    /// Who has it.
    pub holder: Holder,
    /// What its holder calls it; empty where that is nothing of its own.
    pub label: String,
    /// Where the holder is.
    pub address: Option<IpAddr>,
    /// The pool's epoch under which it was given: a later one overrules it.
    pub epoch: i64,
    /// Since when.
    pub granted_at: OffsetDateTime,
    /// Until when at the most, unless the resource is booked before ([`Held::until`]).
    pub expires_at: Option<OffsetDateTime>,
    /// Whether it ends when its holder's connection ends and does not come back. Others stand on their own.
    pub bound: bool,
}

/// A lease that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Which one.
    pub id: LeaseId,
    /// What people called its last holder.
    pub holder: String,
    /// From when.
    pub granted_at: OffsetDateTime,
    /// Until when.
    pub ended_at: OffsetDateTime,
    /// Why it ended, by [`EndReason::word`].
    pub reason: String,
}

/// The connection by which a holder is here; the fleet numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seat(pub u64);

/// A lease with the state of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The lease.
    pub lease: Lease,
    /// The holder's connection; `None` while it is away, and always when the lease is not bound to one.
    pub seat: Option<Seat>,
    /// From when on the resource is booked, and by whom, if the lease ends for that.
    pub booked: Option<(OffsetDateTime, String)>,
    /// Since when it is away.
    pub(super) gone_since: OffsetDateTime,
}

impl Held {
    /// A lease that depends on no connection, or whose connection is there.
    pub fn standing(lease: Lease) -> Self {
        let gone_since = lease.granted_at;
        Self { lease: Lease { bound: false, ..lease }, seat: None, booked: None, gone_since }
    }

    /// Until when it is held at the most: its time is over, or the resource is booked.
    pub fn until(&self) -> Option<OffsetDateTime> {
        self.booked.as_ref().map_or(self.lease.expires_at, |(from, _)| Some(*from))
    }

    /// Whether the lease depends on a connection that is gone.
    pub fn is_left_behind(&self) -> bool {
        self.lease.bound && self.seat.is_none()
    }
}

/// What is known of a resource's use. Each change has a number of its own.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The number of the change that led here.
    pub number: u64,
    /// Who has it; `None` if nobody.
    pub held: Option<Held>,
}

/// Hears who has a resource. Only what is durable is told.
pub type Telling = watch::Receiver<Told>;

/// A resource that a pool knows: its number there, which is used again once the resource is forgotten, and which one of
/// those that had that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId {
    at: u32,
    birth: u64,
}

/// Resources of which one would do, in order and each once. Cloning it is cheap: all who want the same share one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice(Arc<Vec<ResourceId>>);

impl FromIterator<ResourceId> for Choice {
    fn from_iter<T: IntoIterator<Item = ResourceId>>(ids: T) -> Self {
        let mut ids: Vec<ResourceId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.shrink_to_fit();
        Self(Arc::new(ids))
    }
}

impl std::ops::Deref for Choice {
    type Target = [ResourceId];

    fn deref(&self) -> &[ResourceId] {
        &self.0
    }
}

/// One thing that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The resources of which one is wanted.
    pub acceptable: Choice,
    /// What whoever asks will call the lease; may be empty.
    pub label: String,
}

/// What is asked for, and on what terms.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// One resource for each of these, all at once or none.
    pub wants: Vec<Want>,
    /// The connection that the leases shall be bound to; without one they stand until they are returned or expire.
    pub seat: Option<Seat>,
    /// Who waits with a higher one is served first.
    pub priority: i32,
    /// For how long at the most.
    pub expires_in: Option<Duration>,
    /// Whether to wait in the queue while others have them.
    pub waits: bool,
}

/// To whom a lease is handed over.
#[derive(Clone, Debug)]
pub struct Heir {
    /// Who.
    pub holder: Holder,
    /// The connection that the lease is bound to from now on, if any.
    pub seat: Option<Seat>,
    /// Where the new holder is, if that is known.
    pub address: Option<IpAddr>,
}

/// Whoever a text names, as the heir of a lease that stands on its own then: a person by the address, else a node.
pub async fn find_heir(op: &Op, hub: &Hub, text: &str) -> Result<Heir> {
    super::access::require_somebody(op)?;
    let mut reader = hub.store.read().await?;
    let holder = if text.contains('@') {
        let person = super::people::find(&mut reader, text).await?;
        Holder { kind: "person".to_owned(), id: person.id.to_string(), name: person.name }
    } else {
        let node = super::nodes::find(&mut reader, text).await?;
        Holder { kind: "node".to_owned(), id: node.id.to_string(), name: node.name }
    };
    Ok(Heir { holder, seat: None, address: None })
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its holder gave it back.
    Returned,
    /// Somebody else took it away.
    Revoked,
    /// Its time was over.
    Expired,
    /// From then on somebody had booked the resource.
    Booked,
    /// Its holder went away and did not come back.
    HolderGone,
    /// The resource went away and did not come back.
    ResourceGone,
    /// Whoever asked for it was gone when it was granted.
    NotTaken,
    /// It could not be made ready for its holder.
    NotReady,
}

impl EndReason {
    /// As the database and the audit log write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Returned => "returned",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Booked => "booked",
            Self::HolderGone => "holder_gone",
            Self::ResourceGone => "resource_gone",
            Self::NotTaken => "not_taken",
            Self::NotReady => "not_ready",
        }
    }
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// None of the resources asked for is there, or not as many as were asked for at once.
    #[error("none of what was asked for is there, or not enough of it")]
    NoneThere,
    /// Others have them, and the asker does not wait.
    #[error("others have everything of what was asked for")]
    Taken,
    /// While the asker waited, the last of them went away.
    #[error("what was waited for went away")]
    AllGone,
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// The pools of this hub.
#[derive(Debug, Default)]
pub struct Leases(Vec<Arc<Pool>>);

impl Leases {
    /// Takes the pools over, whoever owned them before, with the leases that are held.
    pub async fn open(store: &Store, kinds: &[PoolKind], clock: &Clock) -> Result<Self> {
        let owner = OwnerId::new();
        let mut pools = Vec::new();
        for kind in kinds {
            let mut act = store.begin().await?;
            let epoch = store::take_over(&mut act, kind.name, owner, clock.now()).await?;
            let held = store::held(&mut act, kind.name).await?;
            let booked = store::booked(&mut act, kind.name).await?;
            act.commit().await?;
            pools.push(Arc::new(Pool::new(*kind, epoch, held, booked, clock.now())));
        }
        Ok(Self(pools))
    }

    /// A pool by its name.
    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.0.iter().find(|pool| pool.kind().name == name)
    }

    /// All of them.
    pub fn pools(&self) -> &[Arc<Pool>] {
        &self.0
    }
}
