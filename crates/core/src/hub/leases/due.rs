//! What time does to leases: they expire, they end when who or what is away stays away, and old ones are forgotten.

use std::time::Duration;

use super::{pool, store};
use crate::hub::access::{self, Action, Roles};
use crate::hub::context::Hub;
use crate::hub::error::Result;
use crate::hub::job::Job;
use crate::hub::op::Op;

/// Forgetting leases that ended long ago.
const FORGET: Action = Action::new("lease.forget", Roles::ADMINS);

/// The jobs.
pub fn jobs() -> Vec<Job> {
    vec![
        Job::new("leases.end_due", pool::LOOK, None, |hub| async move {
            let op = hub.op("leases.end_due");
            let (mut ended, mut begun) = (0, 0);
            for pool in hub.leases.pools() {
                ended += pool.end_due(&op, &hub).await?;
                begun += pool.begin_due(&op, &hub).await?;
            }
            Ok(format!("{ended} leases ended, {begun} bookings were due"))
        }),
        Job::new("leases.forget_old", Duration::from_hours(6), None, |hub| async move {
            let forgotten = forget_old(&hub.op("leases.forget_old"), &hub).await?;
            Ok(format!("{forgotten} leases forgotten"))
        }),
    ]
}

/// Forgets leases that ended longer ago than the audit log reaches; returns how many.
async fn forget_old(op: &Op, hub: &Hub) -> Result<u64> {
    access::require(op, FORGET)?;
    let mut act = hub.store.begin().await?;
    let forgotten = store::delete_ended(&mut act, op.clock.now() - hub.settings.keep_events).await?;
    act.commit().await?;
    Ok(forgotten)
}
