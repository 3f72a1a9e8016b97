//! `Pool`: what can be done with the leases of one pool. Each function authorizes, lets the book decide, and answers
//! when the decision is durable.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};

use super::book::{Asked, Asker, Book, Stands, Step, Taken, Turn};
use super::journal::Journal;
use super::write::{self, Amendment};
use super::{
    Booking, EndReason, Granted, Heir, Held, Holder, Lease, LeaseError, Past, PoolKind, ResourceId, Seat,
    Spans, Telling, Usage, Wanted, store,
};
use crate::hub::access;
use crate::hub::bus::Notice;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::Op;
use crate::id::LeaseId;

/// The resources that this hub gives out under one name.
pub struct Pool {
    kind: PoolKind,
    epoch: i64,
    book: Mutex<Book>,
    journal: Journal,
    /// Changes whenever a resource stands still again.
    still: watch::Sender<()>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.kind.name)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Somebody in the queue.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Who.
    pub holder: Holder,
    /// With which priority.
    pub priority: i32,
    /// For each want, the numbers of the resources that would do.
    pub wants: Vec<Arc<Vec<u32>>>,
    /// Since when.
    pub since: OffsetDateTime,
    /// For how long at the most, once it is granted.
    pub expires_in: Option<Duration>,
}

/// The queue as it stands at a moment. A thousand may wait for any of a thousand: so the resources have numbers here.
#[derive(Clone, Debug, Default)]
pub struct Waiters {
    /// Who waits, the first first.
    pub waiting: Vec<Waiting>,
    /// The names of the resources.
    pub names: HashMap<u32, Arc<str>>,
    /// Those that nobody is given for now.
    pub closed: HashSet<u32>,
}

impl Waiters {
    /// How many would take each of the resources.
    pub fn counts(&self) -> HashMap<&str, usize> {
        let mut counts: HashMap<u32, (usize, usize)> = HashMap::new();
        for (at, waiting) in self.waiting.iter().enumerate() {
            for id in waiting.wants.iter().flat_map(|want| want.iter()) {
                let (last, count) = counts.entry(*id).or_insert((usize::MAX, 0));
                // Several wants of one are one.
                *count += usize::from(*last != at);
                *last = at;
            }
        }
        counts.iter().filter_map(|(id, (_, count))| Some((&**self.names.get(id)?, *count))).collect()
    }
}

impl Pool {
    pub(super) fn new(
        kind: PoolKind,
        epoch: i64,
        held: Vec<Lease>,
        booked: Vec<Booking>,
        now: OffsetDateTime,
    ) -> Self {
        let book = Mutex::new(Book::new(epoch, kind.patience, held, booked, now));
        Self { kind, epoch, book, journal: Journal::default(), still: watch::Sender::default() }
    }

    /// What the fleet says about it.
    pub fn kind(&self) -> &PoolKind {
        &self.kind
    }

    /// How often its owner changed: what is told to a resource under an older one does not hold.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn book_mut(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a resource for each want, and waits for them in the queue if others have them: all of them are granted at
    /// once, or none. `choose` picks one of those that are free, by its index. Whoever drops this future takes the wish
    /// back. Returns a lease for each want, in their order.
    ///
    /// Whoever asks again for one after its connection broke gets what it had, if that is acceptable; so does whoever asks
    /// for a connection and holds it without one.
    ///
    /// # Errors
    ///
    /// [`LeaseError::NoneThere`] at once, [`LeaseError::AllGone`] while waiting; otherwise as any service.
    pub async fn acquire(
        self: &Arc<Self>,
        op: &Op,
        hub: &Arc<Hub>,
        wanted: Wanted,
        choose: impl FnMut(&[ResourceId]) -> usize,
    ) -> Result<Vec<Granted>, LeaseError> {
        access::require(op, self.kind.take)?;
        let (answer, answered) = oneshot::channel();
        let asker = Asker {
            op: op.clone(),
            holder: Holder::of(op),
            seat: wanted.seat,
            priority: wanted.priority,
            labels: wanted.wants.iter().map(|want| want.label.clone()).collect(),
            expires_in: wanted.expires_in,
            waits: wanted.waits,
            asked_at: op.clock.now(),
            answer,
        };
        let asked = self.book_mut().ask(&wanted.wants, asker, op.clock.now(), choose);
        let _in_queue = match asked {
            Asked::Step(step) => {
                write::start(op, hub, self, *step);
                None
            }
            Asked::Again(again) => {
                let (lease, number, asker) = *again;
                // Received below, since the receiver is alive.
                let _ = asker.answer.send(Ok(vec![Granted::again(hub, self, lease, number)]));
                None
            }
            Asked::Waits(turn) => {
                self.tell(hub, "");
                Some(InQueue { pool: self, hub, turn })
            }
            Asked::Taken => return Err(LeaseError::Taken),
            Asked::NoneThere => return Err(LeaseError::NoneThere),
        };
        answered.await.unwrap_or_else(|_| Err(Error::internal("a wish for a lease was forgotten").into()))
    }

    /// Ends a lease: its holder returns it, or whoever may revokes it. Returns the number of what was told of the
    /// resource, and whether it passed on to whoever waited; `None` when it had ended already.
    pub async fn end(self: &Arc<Self>, op: &Op, hub: &Arc<Hub>, id: LeaseId) -> Result<Option<(u64, bool)>> {
        let Some(reason) = self.authorize(op, id)? else { return Ok(None) };
        write::end(op, hub, self, id, reason).await
    }

    /// Ends a lease for a reason that the fleet knows; one that has ended stays as it is.
    pub async fn end_because(
        self: &Arc<Self>,
        op: &Op,
        hub: &Arc<Hub>,
        id: LeaseId,
        reason: EndReason,
    ) -> Result<()> {
        access::require(op, self.kind.manage)?;
        write::end(op, hub, self, id, reason).await.map(drop)
    }

    /// Says until when a lease is held at the most; `None` takes the limit away. `None` when it has ended.
    pub async fn extend(
        self: &Arc<Self>,
        op: &Op,
        hub: &Arc<Hub>,
        id: LeaseId,
        until: Option<OffsetDateTime>,
    ) -> Result<Option<Lease>> {
        if self.authorize(op, id)?.is_none() {
            return Ok(None);
        }
        if until.is_some_and(|until| until <= op.clock.now()) {
            return Err(Error::invalid("until", "lies in the past: return the lease instead"));
        }
        write::amend(op, hub, self, id, Amendment::Until(until)).await
    }

    /// Gives a lease to another holder. `None` when it has ended.
    pub async fn hand_over(
        self: &Arc<Self>,
        op: &Op,
        hub: &Arc<Hub>,
        id: LeaseId,
        to: Heir,
    ) -> Result<Option<Lease>> {
        if self.authorize(op, id)?.is_none() {
            return Ok(None);
        }
        write::amend(op, hub, self, id, Amendment::To(to)).await
    }

    /// Lets the holder pass with its own lease, and everybody who may manage any; why the lease would end by it. `None`
    /// when it has ended.
    fn authorize(&self, op: &Op, id: LeaseId) -> Result<Option<EndReason>> {
        access::require_somebody(op)?;
        let Some(held) = self.book_mut().find(id) else { return Ok(None) };
        if held.lease.holder.is(&Holder::of(op)) {
            access::require(op, self.kind.take)?;
            return Ok(Some(EndReason::Returned));
        }
        access::require(op, self.kind.manage)?;
        Ok(Some(EndReason::Revoked))
    }

    /// Puts a resource into the pool, with the lease that it may have from before; what is told of it from now on.
    /// The fleet calls it, which knows that the resource is what it says.
    pub fn appear(&self, op: &Op, resource: &str) -> (ResourceId, Telling) {
        self.book_mut().appear(resource, op.clock.now())
    }

    /// A resource that is known by its name: one that is there, held or booked.
    pub fn id_of(&self, resource: &str) -> Option<ResourceId> {
        self.book_mut().id_of(resource)
    }

    /// Takes a resource out of the pool: its connection ended. A lease on it lasts for the grace.
    pub fn vanish(self: &Arc<Self>, op: &Op, hub: &Arc<Hub>, resource: &str) {
        let (failed, steps) = self.book_mut().vanish(resource, op.clock.now());
        for asker in failed {
            // Whoever stopped waiting needs no answer.
            let _ = asker.answer.send(Err(LeaseError::AllGone));
        }
        self.follow(hub, steps);
    }

    /// What follows from a change, by the hub's own doing.
    pub(super) fn follow(self: &Arc<Self>, hub: &Arc<Hub>, steps: Vec<Step>) {
        for step in steps {
            write::start(&hub.op("lease.queue"), hub, self, step);
        }
    }

    /// A holder's connection ended: what it holds is left behind, and ends after the grace.
    pub async fn leave(self: &Arc<Self>, op: &Op, hub: &Arc<Hub>, seat: Seat) {
        let left = self.book_mut().leave(seat, op.clock.now());
        if !self.kind.grace.is_zero() {
            return;
        }
        for id in left {
            if let Err(error) = write::end(op, hub, self, id, EndReason::HolderGone).await {
                tracing::warn!(lease = %id, %error, "a lease that was left behind is not ended yet");
            }
        }
    }

    /// Ends what is over; returns how many leases that were.
    pub async fn end_due(self: &Arc<Self>, op: &Op, hub: &Arc<Hub>) -> Result<usize> {
        access::require(op, self.kind.manage)?;
        let due = self.book_mut().due(self.kind.grace, op.clock.now());
        let mut ended = 0;
        for (id, reason) in due {
            ended += usize::from(write::end(op, hub, self, id, reason).await?.is_some());
        }
        Ok(ended)
    }

    /// Every lease that is held.
    pub fn held(&self) -> Vec<Held> {
        self.book_mut().held()
    }

    /// What one holder has, in no order.
    pub fn held_by(&self, holder: &Holder) -> Vec<Lease> {
        self.book_mut().held_by(holder)
    }

    /// Who has a resource. While that changes, who had it until now.
    pub fn holder_of(&self, resource: &str) -> Option<Held> {
        self.book_mut().of(resource)
    }

    /// Keeps a resource from being given to anybody else, or stops doing so. Whoever has it keeps it, and whoever wants
    /// it waits.
    pub fn set_closed(self: &Arc<Self>, op: &Op, hub: &Arc<Hub>, resource: &str, closed: bool) -> Result<()> {
        access::require(op, self.kind.manage)?;
        let steps = self.book_mut().set_closed(resource, closed, op.clock.now());
        self.follow(hub, steps);
        self.tell(hub, resource);
        Ok(())
    }

    /// The leases on a resource that have ended, the newest first.
    pub async fn past(&self, hub: &Hub, resource: &str, most: u32) -> Result<Vec<Past>> {
        let mut reader = hub.store.read().await?;
        store::past(&mut reader, self.kind.name, resource, most).await
    }

    /// How the resources were used in spans of time, up to now.
    pub async fn usage(&self, hub: &Hub, spans: Spans, now: OffsetDateTime) -> Result<Usage> {
        let mut reader = hub.store.read().await?;
        store::usage(&mut reader, self.kind.name, spans, crate::clock::to_millis(now)).await
    }

    /// Who waits, the first first.
    pub fn waiting(&self) -> Waiters {
        let book = self.book_mut();
        let waiting = book.waiters().map(|waiter| Waiting {
            holder: waiter.asker.holder.clone(),
            priority: waiter.asker.priority,
            wants: waiter.wants.clone(),
            since: waiter.since,
            expires_in: waiter.asker.expires_in,
        });
        Waiters { waiting: waiting.collect(), names: book.names(), closed: book.closed() }
    }

    /// How many wait.
    pub fn queue_length(&self) -> usize {
        self.book_mut().queue_length()
    }

    /// Tells pages that a resource changed; the queue did, where none is named.
    pub(super) fn tell(&self, hub: &Hub, resource: &str) {
        hub.bus.publish(Notice { topic: self.kind.name, key: resource.to_owned() });
    }

    /// Decides something once what it is about does not change any more; `None` when it is gone by then.
    pub(super) async fn when_still<T>(&self, mut decide: impl FnMut(&mut Book) -> Taken<T>) -> Option<T> {
        let mut still = self.still.subscribe();
        loop {
            still.mark_unchanged();
            match decide(&mut self.book_mut()) {
                Taken::Now(taken) => return Some(taken),
                Taken::Unknown => return None,
                Taken::Busy => {}
            }
            // The sender lives as long as this pool.
            let _ = still.changed().await;
        }
    }

    pub(super) fn settle(&self, stand: Vec<Stands<'_>>, now: OffsetDateTime) -> (Vec<u64>, Vec<Step>) {
        let settled = self.book_mut().settle(stand, now);
        self.now_still();
        settled
    }

    /// Tells those who wait until something does not change any more.
    pub(super) fn now_still(&self) {
        self.still.send_replace(());
    }
}

/// Leaves the queue with whoever stops waiting.
struct InQueue<'a> {
    pool: &'a Arc<Pool>,
    hub: &'a Arc<Hub>,
    turn: Turn,
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        let steps = self.pool.book_mut().stop_waiting(self.turn, self.hub.clock.now());
        self.pool.follow(self.hub, steps);
        self.pool.tell(self.hub, "");
    }
}

/// How long until somebody looks again whether leases are over.
pub(super) const LOOK: Duration = Duration::from_secs(1);
