//! One act's turn to write, and the task that commits the acts of a group together.

use std::sync::Arc;

use sqlx::AnyConnection;
use sqlx::{Connection as _, Executor as _};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use super::error::{self, StoreError};
use super::url::{DatabaseUrl, Engine};
use crate::hub::error::Result;

/// Hubs that share a PostgreSQL commit their groups one after the other, so that event numbers are in the order in
/// which they become visible. The number is "nave" in ASCII.
const POSTGRES_BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(1851881061)";

/// Runs once what was written is durable.
type AfterCommit = Box<dyn FnOnce() + Send>;

/// The one write connection and the state of its transaction.
#[derive(Default)]
pub(super) struct Slot {
    connection: Option<AnyConnection>,
    group: Option<Group>,
    /// An act began and did not end: its part of the transaction must be rolled back first.
    unfinished: bool,
}

/// Acts that will be committed together.
struct Group {
    outcome: watch::Sender<Option<Result<(), StoreError>>>,
    after: Vec<AfterCommit>,
}

impl Slot {
    pub(super) async fn disconnect(&mut self) {
        self.commit().await;
        if let Some(connection) = self.connection.take() {
            // Closing is a courtesy: the server notices a dropped connection too.
            let _ = connection.close().await;
        }
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let connection = self.connection.as_mut().ok_or(StoreError::Lost)?;
        connection.execute(sqlx::raw_sql(sql)).await.map(drop).map_err(error::map)
    }

    async fn roll_back_unfinished(&mut self) -> Result<(), StoreError> {
        if self.unfinished {
            self.execute("ROLLBACK TO SAVEPOINT act; RELEASE SAVEPOINT act").await?;
            self.unfinished = false;
        }
        Ok(())
    }

    /// Nobody in the group was told that it succeeded; now all are told that it did not.
    fn fail(&mut self, error: StoreError) {
        self.connection = None;
        self.unfinished = false;
        if let Some(group) = self.group.take() {
            group.outcome.send_replace(Some(Err(error)));
        }
    }

    async fn commit(&mut self) {
        if self.group.is_none() {
            return;
        }
        let committed = match self.roll_back_unfinished().await {
            Ok(()) => self.execute("COMMIT").await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(()) => {
                if let Some(group) = self.group.take() {
                    for hook in group.after {
                        hook();
                    }
                    group.outcome.send_replace(Some(Ok(())));
                }
            }
            Err(error) => self.fail(error),
        }
    }
}

/// Commits every group: it queues for the same turn as the acts, so that a group holds all who were waiting when
/// it began, and a lone act is committed at once.
pub(super) async fn commit_groups(slot: Arc<Mutex<Slot>>, opened: Arc<Notify>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = opened.notified() => slot.lock().await.commit().await,
            () = stop.cancelled() => return,
        }
    }
}

/// One turn to write. Dropping it undoes what it wrote.
pub struct Act {
    slot: OwnedMutexGuard<Slot>,
    engine: Engine,
    after: Vec<AfterCommit>,
}

impl Act {
    pub(super) async fn begin(
        mut slot: OwnedMutexGuard<Slot>,
        url: &DatabaseUrl,
        group_opened: &Notify,
    ) -> Result<Self> {
        if let Err(error) = slot.roll_back_unfinished().await {
            slot.fail(error);
        }
        if slot.connection.is_none() {
            slot.connection = Some(super::connect_writer(url).await?);
        }
        let engine = url.engine();
        let opened = open(&mut slot, engine, group_opened).await;
        if let Err(error) = opened {
            slot.fail(error.clone());
            return Err(error.into());
        }
        Ok(Self { slot, engine, after: Vec::new() })
    }

    /// The connection to write on.
    pub fn connection(&mut self) -> &mut AnyConnection {
        self.slot
            .connection
            .as_mut()
            .expect("an act begins with a connection, and only its end takes it away")
    }

    /// Which engine it writes to.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Does something once what this act wrote is durable; never, if it does not come to that. It holds up all
    /// other writers, so it must be quick.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.after.push(Box::new(hook));
    }

    /// Ends the turn and returns once what was written is durable.
    pub async fn commit(mut self) -> Result<()> {
        if let Err(error) = self.slot.execute("RELEASE SAVEPOINT act").await {
            self.slot.fail(error.clone());
            return Err(error.into());
        }
        self.slot.unfinished = false;
        let mut outcome = match &mut self.slot.group {
            Some(group) => {
                group.after.append(&mut self.after);
                group.outcome.subscribe()
            }
            None => return Err(StoreError::Lost.into()),
        };
        drop(self);
        let outcome = match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(StoreError::Lost)),
            Err(_) => Err(StoreError::Lost),
        };
        Ok(outcome?)
    }
}

async fn open(slot: &mut Slot, engine: Engine, group_opened: &Notify) -> Result<(), StoreError> {
    if slot.group.is_none() {
        let begin = match engine {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => POSTGRES_BEGIN,
        };
        slot.execute(begin).await?;
        slot.group = Some(Group { outcome: watch::Sender::new(None), after: Vec::new() });
        group_opened.notify_one();
    }
    slot.unfinished = true;
    slot.execute("SAVEPOINT act").await
}
