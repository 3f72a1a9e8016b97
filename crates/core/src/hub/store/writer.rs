//! The one writer of a hub, and group commit: acts take turns on one connection, the first of a group in its transaction
//! itself and each further one in a savepoint of it, and are answered once the group is durable. What is written is none
//! of its business.
//!
//! Turns are a fair mutex. Whoever opens a group also queues a commit for it, behind everyone who was waiting by
//! then: under load groups form by themselves, and an act that is alone is committed at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::{AnyConnection, Connection as _};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::Instant;

use super::connect::{self, STEP, within};
use super::{DatabaseUrl, Engine, StoreError};

/// How long an act waits for its turn. Acts are short, so only a stuck database takes this long.
const TURN: Duration = Duration::from_secs(20);
/// Pauses between attempts to reach a lost database.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Something to do once the act is durable, such as telling others of it.
pub(super) type Hook = Box<dyn FnOnce() + Send>;

pub(super) struct Writer {
    url: DatabaseUrl,
    slot: Arc<Mutex<Slot>>,
    commits: AtomicU64,
    acts: AtomicU64,
}

/// What whoever has the turn holds.
pub(super) struct Slot {
    connection: Option<AnyConnection>,
    group: Option<Group>,
    /// The act that is under way, or the one before that ended without a release: then it must be undone first.
    unfinished: Option<Within>,
    pause: Duration,
    retry_at: Option<Instant>,
    closed: bool,
}

/// Acts that become durable together.
struct Group {
    outcome: watch::Sender<Outcome>,
    hooks: Vec<Hook>,
    acts: u64,
}

/// What an act is undone by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// The group's transaction: nobody else wrote in it so far. Most acts are alone in their group, and a savepoint makes
    /// SQLite keep a copy of every page that is changed.
    Transaction,
    /// A savepoint of its own.
    Savepoint,
}

#[derive(Clone)]
pub(super) enum Outcome {
    Pending,
    Committed,
    Failed(Arc<StoreError>),
}

impl Writer {
    pub(super) fn new(url: DatabaseUrl) -> Arc<Self> {
        let slot = Slot {
            connection: None,
            group: None,
            unfinished: None,
            pause: FIRST_PAUSE,
            retry_at: None,
            closed: false,
        };
        Arc::new(Self {
            url,
            slot: Arc::new(Mutex::new(slot)),
            commits: AtomicU64::new(0),
            acts: AtomicU64::new(0),
        })
    }

    /// Connects now rather than with the first act.
    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        self.reconnect(&mut *self.slot.lock().await).await
    }

    /// Waits for a turn, and sets a savepoint where others wrote before.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<OwnedMutexGuard<Slot>, StoreError> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.slot).lock_owned());
        let slot = turn.await.map_err(|_| StoreError::Slow(TURN.as_secs()))?;
        // A task of its own, so that a caller who stops waiting cannot leave half a step behind.
        finish(tokio::spawn(Arc::clone(self).start(slot))).await
    }

    async fn start(
        self: Arc<Self>,
        mut slot: OwnedMutexGuard<Slot>,
    ) -> Result<OwnedMutexGuard<Slot>, StoreError> {
        slot.settle().await;
        if slot.closed {
            return Err(StoreError::Closed);
        }
        if slot.group.is_none() {
            self.open_group(&mut slot).await?;
        }
        let within = match &slot.group {
            Some(group) if group.acts > 0 => Within::Savepoint,
            _ => Within::Transaction,
        };
        if within == Within::Savepoint
            && let Err(error) = slot.run("SAVEPOINT act").await
        {
            return Err(slot.fail(error));
        }
        slot.unfinished = Some(within);
        Ok(slot)
    }

    async fn open_group(self: &Arc<Self>, slot: &mut Slot) -> Result<(), StoreError> {
        let begin = match self.url.engine() {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            // The lock makes the groups of several hubs follow each other, so that event ids are in commit order.
            Engine::Postgres if self.url.schema().is_some() => {
                "BEGIN; SELECT pg_advisory_xact_lock(6796203427384517222)"
            }
            Engine::Postgres => "BEGIN; SELECT pg_advisory_xact_lock(6796203427384517221)",
        };
        let reused = slot.connection.is_some();
        if !reused {
            self.reconnect(slot).await?;
        }
        match slot.run(begin).await {
            // The connection died while nobody used it; nothing was lost with it.
            Err(StoreError::Lost(_)) if reused => {
                slot.disconnect();
                self.reconnect(slot).await?;
                slot.run(begin).await
            }
            result => result,
        }
        .map_err(|error| slot.fail(error))?;
        slot.group =
            Some(Group { outcome: watch::Sender::new(Outcome::Pending), hooks: Vec::new(), acts: 0 });
        let writer = Arc::clone(self);
        tokio::spawn(async move {
            let mut slot = Arc::clone(&writer.slot).lock_owned().await;
            writer.commit_group(&mut slot).await;
        });
        Ok(())
    }

    async fn reconnect(&self, slot: &mut Slot) -> Result<(), StoreError> {
        if slot.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(StoreError::Lost(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into())));
        }
        match connect::writer(&self.url).await {
            Ok(connection) => {
                slot.connection = Some(connection);
                (slot.pause, slot.retry_at) = (FIRST_PAUSE, None);
                Ok(())
            }
            Err(error) => {
                slot.retry_at = Some(Instant::now() + slot.pause);
                slot.pause = (slot.pause * 2).min(LONGEST_PAUSE);
                Err(error)
            }
        }
    }

    /// Ends an act well: its savepoint is released, and the receiver tells when the group is durable.
    pub(super) async fn release(
        slot: OwnedMutexGuard<Slot>,
        hooks: Vec<Hook>,
    ) -> Result<watch::Receiver<Outcome>, StoreError> {
        match slot.unfinished {
            Some(Within::Savepoint) => finish(tokio::spawn(release(slot, hooks))).await,
            _ => Ok(released(slot, hooks)),
        }
    }

    async fn commit_group(&self, slot: &mut Slot) {
        slot.settle().await;
        if slot.group.is_none() {
            return;
        }
        if let Err(error) = slot.run("COMMIT").await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a group of acts was not committed");
            slot.fail(error);
            return;
        }
        let Some(group) = slot.group.take() else { return };
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.acts.fetch_add(group.acts, Ordering::Relaxed);
        for hook in group.hooks {
            // The acts are durable, whatever happens now; their callers must hear so.
            if catch_unwind(AssertUnwindSafe(hook)).is_err() {
                tracing::error!("a task after a commit panicked");
            }
        }
        group.outcome.send_replace(Outcome::Committed);
    }

    /// Commits what is open and lets nobody in any more.
    pub(super) async fn close(&self) {
        let mut slot = self.slot.lock().await;
        slot.closed = true;
        self.commit_group(&mut slot).await;
        if let Some(connection) = slot.connection.take() {
            // The last connection of a SQLite file also folds its log into it.
            if let Err(error) = within(STEP, connection.close()).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the database was not closed cleanly"
                );
            }
        }
    }

    /// Acts and commits so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.acts.load(Ordering::Relaxed), self.commits.load(Ordering::Relaxed))
    }
}

impl Slot {
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        self.connection.as_mut().expect("whoever has a turn got it with a connection")
    }

    /// Undoes an act that was dropped before its end.
    async fn settle(&mut self) {
        let Some(within) = self.unfinished.take() else { return };
        let undo = match within {
            Within::Transaction => "ROLLBACK",
            Within::Savepoint => "ROLLBACK TO act; RELEASE act",
        };
        match self.run(undo).await {
            // Nobody else was in it. Whoever is queued to commit it finds none, or commits the next one early.
            Ok(()) if within == Within::Transaction => self.group = None,
            Ok(()) => {}
            Err(error) => {
                // SQLite ends the whole transaction on some errors, a full disk among them; then the savepoint is gone
                // and with it every act of the group.
                tracing::warn!(error = &error as &dyn std::error::Error, "an act could not be undone alone");
                self.fail(error);
            }
        }
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match &mut self.connection {
            Some(connection) => within(STEP, sqlx::raw_sql(sql).execute(connection)).await.map(drop),
            None => Err(StoreError::Lost(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into()))),
        }
    }

    /// Gives the group up: none of its acts is told that it succeeded. Returns the same reason for the act at hand.
    fn fail(&mut self, reason: StoreError) -> StoreError {
        let reason = Arc::new(reason);
        self.unfinished = None;
        self.disconnect();
        if let Some(group) = self.group.take() {
            group.outcome.send_replace(Outcome::Failed(Arc::clone(&reason)));
        }
        StoreError::Group(reason)
    }

    /// Closing a connection rolls back what is open on it.
    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            tokio::spawn(within(STEP, connection.close()));
        }
    }
}

async fn release(
    mut slot: OwnedMutexGuard<Slot>,
    hooks: Vec<Hook>,
) -> Result<watch::Receiver<Outcome>, StoreError> {
    if let Err(error) = slot.run("RELEASE act").await {
        return Err(slot.fail(error));
    }
    Ok(released(slot, hooks))
}

fn released(mut slot: OwnedMutexGuard<Slot>, hooks: Vec<Hook>) -> watch::Receiver<Outcome> {
    slot.unfinished = None;
    let group = slot.group.as_mut().expect("an act is only begun in a group");
    group.acts += 1;
    group.hooks.extend(hooks);
    group.outcome.subscribe()
}

/// A task that was cut off belongs to a runtime that is shutting down.
async fn finish<T>(task: tokio::task::JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    match task.await {
        Ok(result) => result,
        Err(cut) if cut.is_panic() => std::panic::resume_unwind(cut.into_panic()),
        Err(_) => Err(StoreError::Closed),
    }
}
