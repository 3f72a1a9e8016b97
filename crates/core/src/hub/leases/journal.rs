//! The journal of a pool: what is decided at the same time is written together. Whoever comes while a group is written
//! waits for the next one: so under load a few statements serve everybody, and one who is alone waits for nobody.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use time::OffsetDateTime;

use super::{EndReason, Lease, Pool, store};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::{self, Event};
use crate::hub::op::Op;
use crate::hub::store::{Act, Together, WriteGroup};
use crate::id::{BookingId, LeaseId};

/// What is written as one: all of it or nothing.
#[derive(Default)]
pub(super) struct Entry {
    /// Leases that end.
    pub(super) ends: Vec<(LeaseId, EndReason)>,
    /// Leases that begin, on resources that nobody has or whose lease ends by the same; each with the time at which somebody
    /// asked for it.
    pub(super) begins: Vec<(Lease, OffsetDateTime)>,
    /// Bookings that begin by it, each with the resource.
    pub(super) fulfils: Vec<(BookingId, String)>,
    /// What is told of it.
    pub(super) events: Vec<(Op, Event)>,
}

/// What waits to be written.
pub(super) type Journal = Together<Entry>;

/// Writes an entry; when this returns, it is durable.
///
/// # Errors
///
/// [`Error::Unavailable`] when that is not certain, any other when nothing was written.
pub(super) async fn write(hub: &Arc<Hub>, pool: &Arc<Pool>, entry: Entry) -> Result<()> {
    let writer = Writer { hub: Arc::clone(hub), pool: Arc::clone(pool) };
    pool.journal().write(&hub.tasks, writer, entry).await
}

struct Writer {
    hub: Arc<Hub>,
    pool: Arc<Pool>,
}

impl WriteGroup<Entry> for Writer {
    fn begin(&self) -> BoxFuture<'_, Result<Act>> {
        owned(&self.hub, &self.pool).boxed()
    }

    fn write<'a>(&'a self, act: Act, group: &'a [Entry]) -> BoxFuture<'a, Result<()>> {
        self.write_in(act, group).boxed()
    }
}

impl Writer {
    async fn write_in(&self, mut act: Act, group: &[Entry]) -> Result<()> {
        let entries = || group.iter();
        let ends: Vec<_> = entries().flat_map(|entry| entry.ends.iter().copied()).collect();
        let begins: Vec<_> = entries().flat_map(|entry| &entry.begins).collect();
        let events: Vec<_> =
            entries().flat_map(|entry| entry.events.iter().map(|(op, event)| (op, event))).collect();
        for (booking, resource) in entries().flat_map(|entry| &entry.fulfils) {
            // Nothing begins twice, whatever this hub believes.
            if !store::end_booking(&mut act, *booking, "begun", self.hub.clock.now()).await? {
                return Err(Error::Conflict(format!("the booking of {resource} has ended already")));
            }
        }
        store::end(&mut act, &ends, self.hub.clock.now()).await?;
        store::insert(&mut act, self.pool.kind().name, &begins).await?;
        event::record_all(&mut act, &self.hub.bus, &events).await?;
        act.commit().await
    }
}

/// An act in a pool that is still this hub's.
pub(super) async fn owned(hub: &Hub, pool: &Pool) -> Result<Act> {
    let mut act = hub.store.begin().await?;
    if store::is_epoch(&mut act, pool.kind().name, pool.epoch()).await? {
        Ok(act)
    } else {
        Err(Error::Unavailable {
            what: "giving things out (another hub does it now)",
            source: format!("pool {} is past epoch {}", pool.kind().name, pool.epoch()).into(),
        })
    }
}
