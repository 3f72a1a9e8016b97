//! A lock for each name: what concerns one reservation happens one after the other, and others go on meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// The locks.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    /// Waits for a name, in the order in which it was asked for.
    pub(super) async fn lock(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody has or waits for a lock that only this map knows.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(name.to_owned()).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_locked_once_and_forgotten_when_free() {
        let locks = Locks::default();
        let held = locks.lock("a").await;
        let other = locks.lock("b").await;
        let mut waiting = Box::pin(locks.lock("a"));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop((held, other));
        let held = waiting.await;
        let _c = locks.lock("c").await;
        assert_eq!(locks.0.lock().unwrap().len(), 2);
        drop(held);
    }
}
