//! What time does to tasks: pauses end, attempts whose time is over are lost, and old tasks are forgotten.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::work::lose_attempt;
use super::{DUE, Failure, NEVER, TaskKind, store, tell_after_commit};
use crate::clock::to_millis;
use crate::hub::access::{self, Action, Roles};
use crate::hub::context::Hub;
use crate::hub::error::Result;
use crate::hub::job::Job;
use crate::hub::op::Op;

/// Looking after tasks.
const LOOK_AFTER: Action = Action::new("task.look_after", Roles::ADMINS);
/// How many attempts are ended in one act: others wait for it.
const BATCH: i64 = 200;

/// The jobs.
pub fn jobs() -> Vec<Job> {
    vec![
        Job::new("tasks.end_due", Duration::from_mins(1), Some(DUE), |hub| async move {
            let (lost, ready) = end_due(&hub.op("tasks.end_due"), &hub).await?;
            Ok(format!("{lost} attempts lost, {ready} tasks can be tried again"))
        })
        .and_when(next),
        Job::new("tasks.forget_old", Duration::from_hours(1), None, |hub| async move {
            let forgotten = forget_old(&hub.op("tasks.forget_old"), &hub).await?;
            Ok(format!("{forgotten} tasks forgotten"))
        }),
    ]
}

/// How long until something is due.
fn next(hub: &Hub) -> Option<Duration> {
    let due = hub.queue.next_due.load(Ordering::Acquire);
    let left = due.saturating_sub(to_millis(hub.clock.now()));
    (due != NEVER).then(|| Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

/// Ends what is due; returns how many attempts were lost, and how many pauses ended.
async fn end_due(op: &Op, hub: &Hub) -> Result<(usize, usize)> {
    access::require(op, LOOK_AFTER)?;
    // Whoever puts something meanwhile makes it earlier again.
    hub.queue.next_due.store(NEVER, Ordering::Release);
    let ended = end_kinds(op, hub).await;
    if ended.is_err() {
        // Not known: the next round looks.
        hub.queue.next_due.fetch_min(to_millis(op.clock.now()) + 1_000, Ordering::AcqRel);
    }
    ended
}

async fn end_kinds(op: &Op, hub: &Hub) -> Result<(usize, usize)> {
    let (mut lost, mut ready) = (0, 0);
    for kind in hub.queue.kinds() {
        while store::is_due(&mut *hub.store.read().await?, kind.name, op.clock.now()).await? {
            let (more_lost, more_ready) = end_some(op, hub, kind).await?;
            (lost, ready) = (lost + more_lost, ready + more_ready);
        }
        let next = store::next_due(&mut *hub.store.read().await?, kind.name).await?;
        hub.queue.next_due.fetch_min(next.unwrap_or(NEVER), Ordering::AcqRel);
    }
    Ok((lost, ready))
}

async fn end_some(op: &Op, hub: &Hub, kind: &TaskKind) -> Result<(usize, usize)> {
    let now = op.clock.now();
    let mut act = hub.store.begin().await?;
    store::count_from(&mut act, kind.name, now).await?;
    let lost = store::overdue(&mut act, kind.name, now, BATCH).await?;
    let failure = Failure {
        reason: "its time was over: nothing was heard of whoever had taken it".to_owned(),
        again: true,
    };
    for row in &lost {
        lose_attempt(op, hub, &mut act, row, kind, &failure).await?;
    }
    let ready = store::end_pauses(&mut act, kind.name, now).await?;
    for id in &ready {
        tell_after_commit(&mut act, hub, kind.name, *id, None);
    }
    act.commit().await?;
    Ok((lost.len(), ready.len()))
}

/// Forgets tasks that ended long enough ago; returns how many.
async fn forget_old(op: &Op, hub: &Hub) -> Result<u64> {
    access::require(op, LOOK_AFTER)?;
    let mut act = hub.store.begin().await?;
    let mut forgotten = 0;
    for kind in hub.queue.kinds() {
        forgotten += store::delete_ended(&mut act, kind.name, op.clock.now() - kind.keep).await?;
    }
    act.commit().await?;
    Ok(forgotten)
}
