//! `Granted`: a lease on its way to whoever asked. Nobody has it yet: if it does not arrive, it ends.

use std::sync::Arc;

use super::{EndReason, Lease, Pool, write};
use crate::hub::context::Hub;

/// A lease that is durable and was not handed over yet. Dropping it ends the lease; so nothing leaks when whoever asked
/// goes away at the wrong moment.
#[must_use = "dropping it ends the lease"]
pub struct Granted {
    lease: Option<Lease>,
    number: u64,
    /// Whether it was its holder's before, without any connection: then it does not end by not being taken.
    stands: bool,
    hub: Arc<Hub>,
    pool: Arc<Pool>,
}

impl Granted {
    pub(super) fn new(hub: &Arc<Hub>, pool: &Arc<Pool>, lease: Lease, number: u64) -> Self {
        Self { lease: Some(lease), number, stands: false, hub: Arc::clone(hub), pool: Arc::clone(pool) }
    }

    /// One that its holder has already.
    pub(super) fn again(hub: &Arc<Hub>, pool: &Arc<Pool>, lease: Lease, number: u64) -> Self {
        let stands = !lease.bound;
        let mut again = Self::new(hub, pool, lease, number);
        again.stands = stands;
        again
    }

    /// The lease.
    pub fn lease(&self) -> &Lease {
        self.lease.as_ref().expect("it is there until it is kept")
    }

    /// The number of the change by which it was told (see [`super::Told`]).
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Ends it, since nobody wants it after all; done when others can have it.
    pub async fn give_up(mut self) {
        let Some(lease) = self.lease.take().filter(|_| !self.stands) else { return };
        end(&self.hub, &self.pool, &lease).await;
    }

    /// Whoever asked has it now.
    pub fn keep(mut self) -> Lease {
        self.lease.take().expect("it is there until it is kept")
    }
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Granted").field(&self.lease).finish()
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        if self.stands {
            return;
        }
        let (hub, pool) = (Arc::clone(&self.hub), Arc::clone(&self.pool));
        self.hub.tasks.spawn(async move { end(&hub, &pool, &lease).await });
    }
}

async fn end(hub: &Arc<Hub>, pool: &Arc<Pool>, lease: &Lease) {
    let op = hub.op("lease.not_taken");
    if let Err(error) = write::end(&op, hub, pool, lease.id, EndReason::NotTaken).await {
        // Its holder's connection is gone, or goes soon: then it is ended as one that was left behind.
        tracing::warn!(resource = lease.resource, %error, "a lease that nobody took is not ended yet");
    }
}
