//! Bookings: leases that begin later. Each is for one resource, which is chosen when it is made, and durable before
//! whoever asked is answered. When its time comes it becomes a lease; while its resource is away or closed then, it comes
//! before everybody who waits, until its time is over.

use std::sync::Arc;

use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::book::{Booked, Moved};
use super::{Choice, Holder, Lease, Pool, ResourceId, journal, store};
use crate::clock::to_millis;
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::op::Op;
use crate::id::BookingId;

/// The most bookings that one holder has at a time.
const MOST: usize = 100;

/// A lease that begins later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// Which one.
    pub id: BookingId,
    /// What it is about.
    pub resource: String,
    /// Who will have it.
    pub holder: Holder,
    /// What its holder calls it, and will call the lease.
    pub label: String,
    /// When it was made.
    pub made_at: OffsetDateTime,
    /// From when.
    pub starts_at: OffsetDateTime,
    /// Until when.
    pub ends_at: OffsetDateTime,
}

/// What is to be booked.
#[derive(Clone, Debug)]
pub struct WantedBooking {
    /// The resources of which one is wanted.
    pub acceptable: Choice,
    /// What it will be called; may be empty.
    pub label: String,
    /// With which priority: nobody who waits with as much is overtaken.
    pub priority: i32,
    /// From when.
    pub starts_at: OffsetDateTime,
    /// Until when.
    pub ends_at: OffsetDateTime,
}

/// The times that a booking is moved to.
#[derive(Clone, Debug)]
pub struct BookingTimes {
    /// From when.
    pub starts_at: OffsetDateTime,
    /// Until when.
    pub ends_at: OffsetDateTime,
    /// With which priority: when it begins sooner, nobody who waits with as much is overtaken.
    pub priority: i32,
}

/// Why a booking ended that did not become a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookingEnd {
    /// Its holder, or whoever may manage leases, took it back.
    Cancelled,
    /// Its resource was away or closed until its time was over.
    Missed,
}

impl BookingEnd {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Missed => "missed",
        }
    }
}

/// Why nothing was booked.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// None of the resources asked for is there, or those that are there are closed.
    #[error("none of what was asked for is there and in service")]
    NoneThere,
    /// None of them is free from the one time to the other; the text says why one of them is not.
    #[error("nothing that would do is free for that time: {0}")]
    Taken(String),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A time, as an error says it.
pub(super) fn exact(at: OffsetDateTime) -> String {
    let shape = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    at.to_offset(time::UtcOffset::UTC).format(&shape).unwrap_or_else(|_| at.to_string())
}

impl Pool {
    /// Books one of several resources from one time to another; answered when it is durable. `choose` picks one of those
    /// that are free then, by its index.
    pub async fn book(
        self: &Arc<Self>,
        op: &Op,
        hub: &Arc<Hub>,
        wanted: WantedBooking,
        mut choose: impl FnMut(&[ResourceId]) -> usize,
    ) -> Result<Booking, BookError> {
        access::require(op, self.kind().take)?;
        let now = op.clock.now();
        if wanted.starts_at <= now {
            return Err(Error::invalid("starts_at", "is not in the future: reserve it now instead").into());
        }
        if wanted.ends_at <= wanted.starts_at {
            return Err(Error::invalid("seconds", "must be one second at the least").into());
        }
        let holder = Holder::of(op);
        if self.bookings().iter().filter(|booking| booking.holder.is(&holder)).count() >= MOST {
            let words = format!("{MOST} bookings are the most that one has at a time: cancel one first");
            return Err(Error::Conflict(words).into());
        }
        let noun = self.kind().noun;
        let decide = |book: &mut super::book::Book| match book.book(&wanted, &holder, now, &mut choose) {
            Booked::Now(booking) => super::book::Taken::Now(Ok(*booking)),
            Booked::Busy => super::book::Taken::Busy,
            Booked::NoneThere => super::book::Taken::Now(Err(BookError::NoneThere)),
            Booked::Taken(obstacle) => super::book::Taken::Now(Err(BookError::Taken(obstacle.words(noun)))),
        };
        let booking = self.when_still(decide).await.ok_or(BookError::NoneThere)??;
        let (op, own_hub, pool) = (op.clone(), Arc::clone(hub), Arc::clone(self));
        let work = hub.tasks.spawn(async move {
            let written = async {
                let mut act = journal::owned(&own_hub, &pool).await?;
                store::insert_booking(&mut act, pool.kind().name, &booking).await?;
                let event = booking_event(&pool, "lease.booked", &booking, None);
                own_hub.record(&mut act, &op, event).await?;
                act.commit().await
            };
            let done = written.await;
            // What is not certain is looked up: somebody who was told no has no booking.
            let stands = match &done {
                Ok(()) => true,
                Err(_) => !pool.unbook(&own_hub, &booking).await,
            };
            pool.settle_booking(&own_hub, &booking, stands);
            done.map(|()| booking)
        });
        Ok(work.await.map_err(Error::internal)??)
    }

    /// After a failure: takes back what was written after all. Whether that is certain.
    async fn unbook(&self, hub: &Arc<Hub>, booking: &Booking) -> bool {
        let undone = async {
            let mut act = hub.store.begin().await?;
            store::end_booking(&mut act, booking.id, "failed", hub.clock.now()).await?;
            act.commit().await
        };
        if let Err(error) = undone.await {
            tracing::warn!(resource = booking.resource, %error, "it is not certain that something is not booked");
            return false;
        }
        true
    }

    fn settle_booking(self: &Arc<Self>, hub: &Arc<Hub>, booking: &Booking, stands: bool) {
        let steps = {
            let mut book = self.book_mut();
            if stands {
                book.booking_settled(booking.id, true);
                Vec::new()
            } else {
                book.booking_gone(booking, hub.clock.now())
            }
        };
        self.now_still();
        self.follow(hub, steps);
        self.tell(hub, &booking.resource);
    }

    /// Takes a booking back: its holder does, or whoever may manage leases. `None` when it has ended, or has become a
    /// lease.
    pub async fn cancel_booking(
        self: &Arc<Self>,
        op: &Op,
        hub: &Arc<Hub>,
        id: BookingId,
    ) -> Result<Option<Booking>> {
        access::require_somebody(op)?;
        let Some(booking) = self.bookings().into_iter().find(|booking| booking.id == id) else {
            return Ok(None);
        };
        let own = booking.holder.is(&Holder::of(op));
        access::require(op, if own { self.kind().take } else { self.kind().manage })?;
        self.end_booking(op, hub, id, BookingEnd::Cancelled).await
    }

    /// Moves a booking to other times, on the same resource: its holder does, or whoever may manage leases. It keeps what it
    /// has until that is durable, and if it cannot be. `None` when it has ended, or has become a lease.
    pub async fn change_booking(
        self: &Arc<Self>,
        op: &Op,
        hub: &Arc<Hub>,
        id: BookingId,
        times: BookingTimes,
    ) -> Result<Option<Booking>, BookError> {
        access::require_somebody(op)?;
        let Some(booking) = self.bookings().into_iter().find(|booking| booking.id == id) else {
            return Ok(None);
        };
        let own = booking.holder.is(&Holder::of(op));
        access::require(op, if own { self.kind().take } else { self.kind().manage })?;
        let now = op.clock.now();
        if times.starts_at != booking.starts_at && times.starts_at <= now {
            return Err(Error::invalid("starts_at", "is not in the future").into());
        }
        if times.ends_at <= times.starts_at.max(now) {
            return Err(Error::invalid("seconds", "would have it over by now").into());
        }
        let moved = match self.when_still(|book| book.take_times(id, &times, now)).await {
            None => return Ok(None),
            Some(Err(obstacle)) => return Err(BookError::Taken(obstacle.words(self.kind().noun))),
            Some(Ok(moved)) => moved,
        };
        let (op, own_hub, pool) = (op.clone(), Arc::clone(hub), Arc::clone(self));
        let work = hub.tasks.spawn(async move {
            let Moved { was, becomes } = moved;
            let written = async {
                let mut act = journal::owned(&own_hub, &pool).await?;
                store::move_booking(&mut act, &becomes).await?;
                let mut event = booking_event(&pool, "lease.booking_changed", &becomes, None);
                event.detail["was_from"] = json!(to_millis(was.starts_at));
                event.detail["was_until"] = json!(to_millis(was.ends_at));
                own_hub.record(&mut act, &op, event).await?;
                act.commit().await
            };
            let done = written.await;
            if done.is_err() {
                pool.move_back(&own_hub, &was).await;
            }
            let stands = if done.is_ok() { becomes } else { was };
            let steps = pool.book_mut().booking_moved(stands.clone(), own_hub.clock.now());
            pool.now_still();
            pool.follow(&own_hub, steps);
            pool.tell(&own_hub, &stands.resource);
            done.map(|()| Some(stands))
        });
        Ok(work.await.map_err(Error::internal)??)
    }

    /// After a failure: takes back what was written after all.
    async fn move_back(&self, hub: &Arc<Hub>, was: &Booking) {
        let undone = async {
            let mut act = hub.store.begin().await?;
            store::move_booking(&mut act, was).await?;
            act.commit().await
        };
        if let Err(error) = undone.await {
            tracing::warn!(resource = was.resource, %error, "it is not certain that a booking keeps its times");
        }
    }

    async fn end_booking(
        self: &Arc<Self>,
        op: &Op,
        hub: &Arc<Hub>,
        id: BookingId,
        reason: BookingEnd,
    ) -> Result<Option<Booking>> {
        let Some(booking) = self.when_still(|book| book.take_booking(id)).await else { return Ok(None) };
        let (op, own_hub, pool) = (op.clone(), Arc::clone(hub), Arc::clone(self));
        let work = hub.tasks.spawn(async move {
            let written = async {
                let mut act = journal::owned(&own_hub, &pool).await?;
                store::end_booking(&mut act, booking.id, reason.word(), own_hub.clock.now()).await?;
                let action = match reason {
                    BookingEnd::Cancelled => "lease.booking_cancelled",
                    BookingEnd::Missed => "lease.booking_missed",
                };
                own_hub.record(&mut act, &op, booking_event(&pool, action, &booking, None)).await?;
                act.commit().await
            };
            let done = written.await;
            // One whose end is not certain stands here, and is ended again when it is due.
            pool.settle_booking(&own_hub, &booking, done.is_err());
            done.map(|()| Some(booking))
        });
        work.await.map_err(Error::internal)?
    }

    /// Begins what is due, and ends what nobody could begin in time; returns how many.
    pub async fn begin_due(self: &Arc<Self>, op: &Op, hub: &Arc<Hub>) -> Result<usize> {
        access::require(op, self.kind().manage)?;
        let (steps, missed) = self.book_mut().due_bookings(op.clock.now());
        let begun = steps.len() + missed.len();
        self.follow(hub, steps);
        for id in missed {
            self.end_booking(op, hub, id, BookingEnd::Missed).await?;
        }
        Ok(begun)
    }

    /// Every booking, by when they begin. Those whose time has come wait for their resource.
    pub fn bookings(&self) -> Vec<Booking> {
        self.book_mut().bookings()
    }
}

pub(super) fn booking_event(
    pool: &Pool,
    action: &'static str,
    booking: &Booking,
    lease: Option<&Lease>,
) -> Event {
    let mut detail = json!({
        "booking": booking.id,
        "holder": booking.holder.name,
        "from": to_millis(booking.starts_at),
        "until": to_millis(booking.ends_at),
    });
    if let Some(lease) = lease {
        detail["lease"] = json!(lease.id);
    }
    Event {
        action,
        object_kind: pool.kind().noun,
        object_id: booking.resource.clone(),
        object_name: booking.resource.clone(),
        detail,
    }
}
