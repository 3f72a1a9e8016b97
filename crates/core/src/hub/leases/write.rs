//! Makes decisions durable: each step in an act of its own, by a task of its own, so that whoever asked may go away at
//! any moment. What the database says afterwards is what holds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::book::{Asker, Step};
use super::{EndReason, Granted, Heir, Lease, LeaseError, Pool, store};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::op::Op;
use crate::hub::store::Act;
use crate::id::LeaseId;

/// The pause before the database is asked again what became of an act that it did not confirm.
const PAUSE: Duration = Duration::from_secs(1);

/// Ends a lease; returns the number of what was told of it, and whether it passed on to whoever waited. An unknown one
/// has ended already.
pub(super) async fn end(
    op: &Op,
    hub: &Arc<Hub>,
    pool: &Arc<Pool>,
    id: LeaseId,
    reason: EndReason,
) -> Result<Option<(u64, bool)>> {
    let decide = |book: &mut super::book::Book| book.end(id, reason, op.clock.now());
    let Some(step) = pool.when_still(decide).await else { return Ok(None) };
    let passes_on = step.begins.is_some();
    let number = start(op, hub, pool, step).await.map_err(Error::internal)??;
    Ok(Some((number, passes_on)))
}

/// Takes a step to its end, whatever happens to whoever waits for it; gives the number of what was told.
pub(super) fn start(
    op: &Op,
    hub: &Arc<Hub>,
    pool: &Arc<Pool>,
    step: Step,
) -> tokio::task::JoinHandle<Result<u64>> {
    let (op, own_hub, pool) = (op.clone(), Arc::clone(hub), Arc::clone(pool));
    hub.tasks.spawn(async move {
        let (first, mut next) = take(&op, &own_hub, &pool, step).await;
        // Whoever asked while it changed comes next, and then whoever asked meanwhile.
        while let Some(step) = next {
            next = take(&own_hub.op("lease.queue"), &own_hub, &pool, step).await.1;
        }
        first
    })
}

/// One step, and what follows from it.
async fn take(op: &Op, hub: &Arc<Hub>, pool: &Arc<Pool>, step: Step) -> (Result<u64>, Option<Step>) {
    let Step { resource, ends, begins } = step;
    let begun = begins.as_ref().map(|(lease, asker)| (lease, asker));
    let ending = ends.as_ref().map(|(held, reason)| (&held.lease, *reason));
    let written = write(op, hub, pool, ending, begun).await;
    let now = hub.clock.now();
    match written {
        Ok(()) => {
            let (lease, asker) = begins.unzip();
            let seat = asker.as_ref().and_then(|asker| asker.seat);
            let (number, next) = pool.settle(&resource, lease.clone(), seat, now);
            pool.tell(hub, &resource);
            if let (Some(lease), Some(asker)) = (lease, asker) {
                // Whoever went away meanwhile gets nothing, and by that the lease ends.
                let _ = asker.answer.send(Ok(Granted::new(hub, pool, lease, number)));
            }
            (Ok(number), next)
        }
        Err(error) => {
            tracing::warn!(pool = pool.kind().name, resource, %error, "a lease was not changed");
            let granted = begins.map(|(lease, asker)| {
                let _ = asker.answer.send(Err(LeaseError::Failed(again(&error))));
                lease.id
            });
            let next = mend(hub, pool, &resource, granted).await;
            (Err(error), next)
        }
    }
}

/// After a failure it is not certain what was written: the database is asked. A lease that was granted after all, to
/// somebody who was told that it failed, ends.
async fn mend(hub: &Arc<Hub>, pool: &Pool, resource: &str, granted: Option<LeaseId>) -> Option<Step> {
    loop {
        let found = async {
            let mut act = hub.store.begin().await?;
            let mut found = store::held_on(&mut act, pool.kind().name, resource).await?;
            if let Some(lease) = found.take_if(|lease| Some(lease.id) == granted) {
                finish(&hub.op("lease.not_taken"), hub, pool, &mut act, &lease, EndReason::NotTaken).await?;
                act.commit().await?;
            }
            Ok::<_, Error>(found)
        };
        match found.await {
            Ok(found) => return pool.settle(resource, found, None, hub.clock.now()).1,
            Err(error) => tracing::debug!(resource, %error, "it is not known yet who has a lease"),
        }
        tokio::time::sleep(PAUSE).await;
        if hub.tasks.is_closed() {
            return None;
        }
    }
}

/// What one of two is told who wait for the same act.
fn again(error: &Error) -> Error {
    match error {
        Error::Unavailable { what, .. } => Error::Unavailable { what, source: "see the log".into() },
        other => Error::internal(other.to_string()),
    }
}

async fn write(
    op: &Op,
    hub: &Hub,
    pool: &Pool,
    ends: Option<(&Lease, EndReason)>,
    begins: Option<(&Lease, &Asker)>,
) -> Result<()> {
    let mut act = owned(hub, pool).await?;
    if let Some((lease, reason)) = ends {
        finish(op, hub, pool, &mut act, lease, reason).await?;
    }
    if let Some((lease, asker)) = begins {
        store::insert(&mut act, pool.kind().name, lease, asker.asked_at).await?;
        let until = lease.expires_at.map(crate::clock::to_millis);
        let detail = json!({ "lease": lease.id, "epoch": lease.epoch, "until": until });
        hub.record(&mut act, &asker.op, event(pool, "lease.granted", lease, detail)).await?;
    }
    act.commit().await
}

/// Writes the end of a lease.
async fn finish(
    op: &Op,
    hub: &Hub,
    pool: &Pool,
    act: &mut Act,
    lease: &Lease,
    reason: EndReason,
) -> Result<()> {
    store::end(act, lease.id, reason, hub.clock.now()).await?;
    let detail = json!({ "lease": lease.id, "holder": lease.holder.name, "reason": reason.word() });
    hub.record(act, op, event(pool, "lease.ended", lease, detail)).await?;
    Ok(())
}

/// An act in a pool that is still this hub's.
async fn owned(hub: &Hub, pool: &Pool) -> Result<Act> {
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

fn event(pool: &Pool, action: &'static str, lease: &Lease, detail: serde_json::Value) -> Event {
    Event {
        action,
        object_kind: pool.kind().noun,
        object_id: lease.resource.clone(),
        object_name: lease.resource.clone(),
        detail,
    }
}

/// Changes whose a lease is, or until when; returns it as it is then.
pub(super) async fn amend(
    op: &Op,
    hub: &Arc<Hub>,
    pool: &Arc<Pool>,
    id: LeaseId,
    change: Amendment,
) -> Result<Option<Lease>> {
    let Some(held) = pool.when_still(|book| book.take(id)).await else { return Ok(None) };
    let (op, own_hub, pool) = (op.clone(), Arc::clone(hub), Arc::clone(pool));
    let work = hub.tasks.spawn(async move {
        let (mut lease, mut seat) = (held.lease, None);
        let (action, detail) = match change {
            Amendment::Until(until) => {
                lease.expires_at = until;
                ("lease.extended", json!({ "lease": id, "until": until.map(crate::clock::to_millis) }))
            }
            Amendment::To(heir) => {
                let detail = json!({ "lease": id, "from": lease.holder.name, "to": heir.holder.name });
                (lease.holder, lease.address, lease.bound) = (heir.holder, heir.address, heir.seat.is_some());
                seat = heir.seat;
                ("lease.handed_over", detail)
            }
        };
        let written = async {
            let mut act = owned(&own_hub, &pool).await?;
            store::amend(&mut act, &lease).await?;
            own_hub.record(&mut act, &op, event(&pool, action, &lease, detail)).await?;
            act.commit().await
        };
        let (done, next) = match written.await {
            Ok(()) => {
                let next = pool.settle(&lease.resource, Some(lease.clone()), seat, own_hub.clock.now()).1;
                pool.tell(&own_hub, &lease.resource);
                (Ok(Some(lease)), next)
            }
            Err(error) => (Err(error), mend(&own_hub, &pool, &lease.resource, None).await),
        };
        if let Some(step) = next {
            start(&own_hub.op("lease.queue"), &own_hub, &pool, step);
        }
        done
    });
    work.await.map_err(Error::internal)?
}

/// What changes about a lease that is held.
pub(super) enum Amendment {
    /// Until when it is held at the most.
    Until(Option<time::OffsetDateTime>),
    /// Whose it is.
    To(Heir),
}
