//! Who is let through: the addresses that the hub named last. What an address has open ends when it leaves the list.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How long the end of what was cut is waited for: a hub gives an exporter 5 s.
const ENDING: Duration = Duration::from_secs(3);

/// The addresses that are let through.
#[derive(Debug, Default)]
pub struct Gate(Mutex<HashMap<IpAddr, Guest>>);

/// Somebody who is let through.
#[derive(Debug, Default)]
struct Guest {
    cut: CancellationToken,
    open: TaskTracker,
}

/// A connection that was let through. The guest counts as there until it is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    /// Cancelled when its address is not let through any more.
    pub(super) cut: CancellationToken,
    _open: TaskTrackerToken,
}

/// What was cut and ends now.
#[derive(Debug)]
#[must_use]
pub struct Leaving(Vec<TaskTracker>);

impl Gate {
    fn guests(&self) -> MutexGuard<'_, HashMap<IpAddr, Guest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets these addresses through and no others; IPv4 in IPv6 is IPv4. At once: what is returned only waits for the end
    /// of what was cut.
    pub fn allow(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Leaving {
        let addresses: HashSet<IpAddr> =
            addresses.into_iter().map(|address| address.to_canonical()).collect();
        let mut guests = self.guests();
        let mut leaving = Vec::new();
        guests.retain(|address, guest| {
            let stays = addresses.contains(address);
            if !stays {
                tracing::info!(%address, "an address is not let through any more");
                guest.cut.cancel();
                guest.open.close();
                leaving.push(guest.open.clone());
            }
            stays
        });
        for address in addresses {
            guests.entry(address).or_insert_with(|| {
                tracing::info!(%address, "an address is let through");
                Guest::default()
            });
        }
        Leaving(leaving)
    }

    /// Whether these are let through, and nobody else.
    pub fn lets_only(&self, addresses: &[IpAddr]) -> bool {
        let addresses: HashSet<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
        let guests = self.guests();
        guests.len() == addresses.len() && guests.keys().all(|guest| addresses.contains(guest))
    }

    /// Lets a connection through, or not.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Entry> {
        let guests = self.guests();
        let guest = guests.get(&address.to_canonical())?;
        Some(Entry { cut: guest.cut.clone(), _open: guest.open.token() })
    }
}

impl Leaving {
    /// Waits until it has ended, or for 3 s.
    pub async fn ended(self) {
        let all = futures::future::join_all(self.0.iter().map(TaskTracker::wait));
        if tokio::time::timeout(ENDING, all).await.is_err() {
            tracing::warn!("connections that were cut have not ended after {} s", ENDING.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn who_leaves_is_cut_and_who_stays_is_not() {
        let gate = Gate::default();
        assert!(gate.enter(ip("192.0.2.1")).is_none());
        gate.allow([ip("192.0.2.1"), ip("::ffff:192.0.2.2")]).ended().await;
        let first = gate.enter(ip("::ffff:192.0.2.1")).unwrap();
        let second = gate.enter(ip("192.0.2.2")).unwrap();
        let leaving = gate.allow([ip("192.0.2.2"), ip("2001:db8::1")]);
        assert!(first.cut.is_cancelled() && !second.cut.is_cancelled());
        assert!(gate.enter(ip("192.0.2.1")).is_none() && gate.enter(ip("2001:db8::1")).is_some());
        let ended = tokio::spawn(leaving.ended());
        drop(first);
        ended.await.unwrap();
        drop(second);
        // Let in again, an address begins anew.
        gate.allow([ip("192.0.2.1")]).ended().await;
        assert!(!gate.enter(ip("192.0.2.1")).unwrap().cut.is_cancelled());
    }
}
