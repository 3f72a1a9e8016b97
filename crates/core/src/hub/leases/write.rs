//! Makes decisions durable: each step by a task of its own, so that whoever asked may go away at any moment. What the
//! database says afterwards is what holds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::book::{Change, Stands, Step, Taken};
use super::booking::exact;
use super::journal::{self, Entry, owned};
use super::{EndReason, Granted, Heir, Lease, LeaseError, Pool, store};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::op::Op;
use crate::hub::store::again;
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
    let Some(mut steps) = pool.when_still(decide).await else { return Ok(None) };
    let first = steps.remove(0);
    pool.follow(hub, steps);
    let passes_on = first.asker.is_some();
    let number = start(op, hub, pool, first).await.map_err(Error::internal)??;
    Ok(Some((number, passes_on)))
}

/// Takes a step to its end, whatever happens to whoever waits for it; gives the number of what was told of the resource
/// whose lease ends by it, or of the first.
pub(super) fn start(
    op: &Op,
    hub: &Arc<Hub>,
    pool: &Arc<Pool>,
    step: Step,
) -> tokio::task::JoinHandle<Result<u64>> {
    let (op, own_hub, pool) = (op.clone(), Arc::clone(hub), Arc::clone(pool));
    hub.tasks.spawn(async move {
        let (done, next) = take(&op, &own_hub, &pool, step).await;
        // Whoever asked while it changed comes next.
        pool.follow(&own_hub, next);
        done
    })
}

/// One step, and what follows from it.
async fn take(op: &Op, hub: &Arc<Hub>, pool: &Arc<Pool>, step: Step) -> (Result<u64>, Vec<Step>) {
    let written = write(op, hub, pool, &step).await;
    let Step { changes, asker } = step;
    match written {
        Ok(()) => {
            let seat = asker.as_ref().and_then(|asker| asker.seat);
            let stand = changes.iter().map(|change| {
                let lease = change.begins.clone();
                let fulfils = change.fulfils.map(|booking| (booking, true));
                Stands { resource: &change.resource, lease, seat, fulfils }
            });
            let (numbers, next) = pool.settle(stand.collect(), hub.clock.now());
            for change in &changes {
                pool.tell(hub, &change.resource);
            }
            let at = changes.iter().position(|change| change.ends.is_some()).unwrap_or_default();
            let number = numbers.get(at).copied().unwrap_or_default();
            if let Some(asker) = asker {
                let begun = changes.into_iter().zip(numbers);
                let granted = begun.filter_map(|(change, number)| {
                    change.begins.map(|lease| Granted::new(hub, pool, lease, number))
                });
                // Whoever went away meanwhile gets nothing, and by that the leases end.
                let _ = asker.answer.send(Ok(granted.collect()));
            }
            (Ok(number), next)
        }
        Err(error) => {
            tracing::warn!(pool = pool.kind().name, resources = names(&changes), %error, "a lease was not changed");
            if let Some(asker) = asker {
                let _ = asker.answer.send(Err(LeaseError::Failed(again(&error))));
            }
            let next = mend(hub, pool, &changes).await;
            (Err(error), next)
        }
    }
}

/// After a failure it is not certain what was written: the database is asked. A lease that was granted after all, to
/// somebody who was told that it failed, ends.
async fn mend(hub: &Arc<Hub>, pool: &Pool, changes: &[Change]) -> Vec<Step> {
    loop {
        let found = async {
            let mut act = hub.store.begin().await?;
            let mut stand = Vec::new();
            for change in changes {
                let mut lease = store::held_on(&mut act, pool.kind().name, &change.resource).await?;
                let mut fulfils = None;
                if let Some(booking) = change.fulfils {
                    fulfils = Some((booking, !store::is_booked(&mut act, booking).await?));
                } else if let Some(begun) = &change.begins
                    && let Some(lease) = lease.take_if(|lease| lease.id == begun.id)
                {
                    store::end(&mut act, &[(lease.id, EndReason::NotTaken)], hub.clock.now()).await?;
                    let event = ended(pool, &lease, EndReason::NotTaken);
                    hub.record(&mut act, &hub.op("lease.not_taken"), event).await?;
                }
                stand.push(Stands { resource: &change.resource, lease, seat: None, fulfils });
            }
            act.commit().await?;
            Ok::<_, Error>(stand)
        };
        match found.await {
            Ok(stand) => return pool.settle(stand, hub.clock.now()).1,
            Err(error) => {
                tracing::debug!(resources = names(changes), %error, "it is not known yet who has a lease");
            }
        }
        tokio::time::sleep(PAUSE).await;
        if hub.tasks.is_closed() {
            return Vec::new();
        }
    }
}

fn names(changes: &[Change]) -> String {
    let names: Vec<&str> = changes.iter().map(|change| &*change.resource).collect();
    names.join(", ")
}

async fn write(op: &Op, hub: &Arc<Hub>, pool: &Arc<Pool>, step: &Step) -> Result<()> {
    let mut entry = Entry::default();
    for (held, reason) in step.changes.iter().filter_map(|change| change.ends.as_ref()) {
        entry.ends.push((held.lease.id, *reason));
        entry.events.push((op.clone(), ended(pool, &held.lease, *reason)));
    }
    let begun: Vec<&Lease> = step.changes.iter().filter_map(|change| change.begins.as_ref()).collect();
    for lease in &begun {
        let until = lease.expires_at.map(crate::clock::to_millis);
        let mut detail = json!({ "lease": lease.id, "epoch": lease.epoch, "until": until });
        if begun.len() > 1 {
            let others = begun.iter().filter(|other| other.id != lease.id).map(|other| &other.resource);
            detail["together_with"] = others.cloned().collect();
        }
        let fulfils = step.changes.iter().find(|change| change.resource.as_ref() == lease.resource);
        if let Some(booking) = fulfils.and_then(|change| change.fulfils) {
            entry.fulfils.push((booking, lease.resource.clone()));
            detail["booking"] = json!(booking);
            detail["holder"] = json!(lease.holder.name);
        }
        let op = step.asker.as_ref().map_or(op, |asker| &asker.op);
        // What was booked was not waited for.
        let asked_at = step.asker.as_ref().map_or(lease.granted_at, |asker| asker.asked_at);
        entry.begins.push(((*lease).clone(), asked_at));
        entry.events.push((op.clone(), event(pool, "lease.granted", lease, detail)));
    }
    journal::write(hub, pool, entry).await
}

fn ended(pool: &Pool, lease: &Lease, reason: EndReason) -> Event {
    let detail = json!({ "lease": lease.id, "holder": lease.holder.name, "reason": reason.word() });
    event(pool, "lease.ended", lease, detail)
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
    let taken = pool.when_still(|book| match &change {
        Amendment::Until(until) => book.take_until(id, *until),
        Amendment::To(_) => match book.take(id) {
            Taken::Now(held) => Taken::Now(Ok(held)),
            Taken::Busy => Taken::Busy,
            Taken::Unknown => Taken::Unknown,
        },
    });
    let held = match taken.await {
        None => return Ok(None),
        Some(Ok(held)) => held,
        Some(Err(booking)) => {
            return Err(Error::Conflict(format!(
                "{} is booked by {} from {} on: it can be yours until then",
                booking.resource,
                booking.holder.name,
                exact(booking.starts_at)
            )));
        }
    };
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
                let stands =
                    Stands { resource: &lease.resource, lease: Some(lease.clone()), seat, fulfils: None };
                let next = pool.settle(vec![stands], own_hub.clock.now()).1;
                pool.tell(&own_hub, &lease.resource);
                (Ok(Some(lease)), next)
            }
            Err(error) => (Err(error), mend(&own_hub, &pool, &[Change::none(&lease.resource)]).await),
        };
        pool.follow(&own_hub, next);
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
