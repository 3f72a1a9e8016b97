//! The journal of a pool: what is decided at the same time is written together. Whoever comes while a group is written
//! waits for the next one: so under load a few statements serve everybody, and one who is alone waits for nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::{EndReason, Lease, Pool, store};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::{self, Event};
use crate::hub::op::Op;
use crate::hub::store::Act;
use crate::id::{BookingId, LeaseId};

/// The most that are written together: others want to write too.
const MOST: usize = 256;

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
#[derive(Default)]
pub(super) struct Journal(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    entries: Vec<Pending>,
    /// Whether somebody is there who writes.
    is_served: bool,
}

struct Pending {
    entry: Entry,
    done: oneshot::Sender<Result<()>>,
}

impl Journal {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what waits.
    fn take(&self) -> Vec<Pending> {
        let mut waiting = self.waiting();
        let count = waiting.entries.len().min(MOST);
        waiting.entries.drain(..count).collect()
    }

    /// Whether something is left to do. If not, the next one who comes has to serve.
    fn is_more(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.is_served = !waiting.entries.is_empty();
        waiting.is_served
    }
}

/// Writes an entry; when this returns, it is durable.
///
/// # Errors
///
/// [`Error::Unavailable`] when that is not certain, any other when nothing was written.
pub(super) async fn write(hub: &Arc<Hub>, pool: &Arc<Pool>, entry: Entry) -> Result<()> {
    let (done, told) = oneshot::channel();
    let serves = {
        let mut waiting = pool.journal().waiting();
        waiting.entries.push(Pending { entry, done });
        !std::mem::replace(&mut waiting.is_served, true)
    };
    if serves {
        let server = Server { hub: Arc::clone(hub), pool: Arc::clone(pool), is_done: false };
        hub.tasks.spawn(server.serve());
    }
    told.await.unwrap_or_else(|_| Err(Error::internal("a change of a lease was forgotten")))
}

/// Whoever writes as long as something waits.
struct Server {
    hub: Arc<Hub>,
    pool: Arc<Pool>,
    is_done: bool,
}

impl Server {
    async fn serve(mut self) {
        while self.pool.journal().is_more() {
            self.group().await;
        }
        self.is_done = true;
    }

    /// Writes what waits when its turn comes, and answers.
    async fn group(&self) {
        let begun = owned(&self.hub, &self.pool).await;
        let group = self.pool.journal().take();
        let written = match begun {
            Ok(act) => self.write(act, &group).await,
            Err(error) => Err(error),
        };
        match written {
            Err(error) if group.len() > 1 && !matches!(error, Error::Unavailable { .. }) => {
                // Nothing was written, for the sake of one of them: the others shall not suffer from it.
                for pending in group {
                    let written = match owned(&self.hub, &self.pool).await {
                        Ok(act) => self.write(act, std::slice::from_ref(&pending)).await,
                        Err(error) => Err(error),
                    };
                    let _ = pending.done.send(written);
                }
            }
            written => {
                for pending in group {
                    // Whoever went away needs no answer.
                    let _ = pending.done.send(written.as_ref().map_err(again).copied());
                }
            }
        }
    }

    async fn write(&self, mut act: Act, group: &[Pending]) -> Result<()> {
        let entries = || group.iter().map(|pending| &pending.entry);
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

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_done {
            // A panic, or the end of the hub. Whoever waits hears that it was forgotten.
            let mut waiting = self.pool.journal().waiting();
            waiting.entries.clear();
            waiting.is_served = false;
        }
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

/// What one of several is told who wait for the same act.
pub(super) fn again(error: &Error) -> Error {
    match error {
        Error::Unavailable { what, .. } => Error::Unavailable { what, source: "see the log".into() },
        other => Error::internal(other.to_string()),
    }
}
