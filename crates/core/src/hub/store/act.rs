//! `Act`: one change of the database, whole or not at all.

use std::sync::Arc;

use sqlx::AnyConnection;
use tokio::sync::OwnedMutexGuard;

use super::writer::{Hook, Outcome, Slot, Writer};
use super::{Engine, StoreError};
use crate::hub::error::Result;

/// One change of the database. Others wait for their turn while it lives, so nothing slow belongs inside.
///
/// Dropping it undoes it, and so does a caller that goes away. It sees what earlier acts of its group wrote, although
/// that is not durable yet: what it concludes from there must be told to nobody before [`Act::commit`] returns.
pub struct Act {
    slot: OwnedMutexGuard<Slot>,
    hooks: Vec<Hook>,
    engine: Engine,
}

impl Act {
    pub(super) fn new(slot: OwnedMutexGuard<Slot>, engine: Engine) -> Self {
        Self { slot, hooks: Vec::new(), engine }
    }

    /// The connection, inside the act's transaction. After a statement failed, drop the act: PostgreSQL takes no
    /// further ones, and SQLite may already have undone the rest.
    pub fn connection(&mut self) -> &mut AnyConnection {
        self.slot.connection()
    }

    /// Does something once the act is durable, before its caller is told; nothing happens if it is undone. Hooks
    /// run in commit order and hold up every writer: they hand over a message and no more.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    /// Which engine it writes to.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Makes it durable. On an error nothing of it is there, with one exception that no database can avoid: when the
    /// connection breaks during the commit itself, it may or may not be.
    ///
    /// # Errors
    ///
    /// [`crate::hub::error::Error::Unavailable`] when the group could not be committed.
    pub async fn commit(self) -> Result<()> {
        let mut outcome = Writer::release(self.slot, self.hooks).await?;
        let reached = outcome.wait_for(|outcome| !matches!(outcome, Outcome::Pending)).await;
        match reached.as_deref() {
            Ok(Outcome::Committed) => Ok(()),
            Ok(Outcome::Failed(reason)) => Err(StoreError::Group(Arc::clone(reason)).into()),
            Ok(Outcome::Pending) | Err(_) => Err(StoreError::Closed.into()),
        }
    }
}
