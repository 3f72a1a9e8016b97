//! The gate of a place: whom its exporter lets in. A task of its own tells the exporter whenever the lease on the place
//! changes, and nobody waits for an exporter but those who want that place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use nave_core::hub::leases::{Held, Telling, Told};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::RunningCommand;

/// How long an exporter may take to confirm before those who want the place go on without it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How many refusals are remembered: whoever waits for one looks at once.
const REMEMBERED: usize = 8;

/// An exporter that can be told whom to let in.
pub(super) trait Exporter: Send + Sync + 'static {
    /// Lets in this holder and nobody else; nobody at all while the holder is away, who comes back from an address of its
    /// own.
    fn allow(&self, held: Option<Held>) -> BoxFuture<'static, Result<(), Refusal>>;

    /// Whether it lets nobody in as long as it is told nothing. Others keep what they were told on an earlier connection.
    fn begins_closed(&self) -> bool;
}

/// Why an exporter let nobody in, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It could not, or did not want to.
    Other(String),
    /// It could not make the place ready. The lease has ended by then.
    NotReady(String),
}

/// What came of the newest change that the exporter answered to.
#[derive(Clone, Debug, Default)]
struct Kept {
    number: u64,
    /// The changes that it refused last, with their numbers.
    refused: Vec<(u64, Refusal)>,
    /// What it does at the moment, and until when at the latest.
    running: Option<(RunningCommand, Instant)>,
}

/// What is asked of a thousand places whenever one of them is chosen, so that it takes no lock. Each changes under that of
/// [`Kept`].
#[derive(Debug, Default)]
struct Flags {
    /// Somebody waited too long for the answer to come.
    silent: AtomicBool,
    /// It does something to the place at the moment.
    running: AtomicBool,
}

/// Why a change was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unconfirmed {
    /// The exporter said no.
    #[error("{0}")]
    Refused(String),
    /// The exporter could not make the place ready.
    #[error("{0}")]
    NotReady(String),
    /// It says nothing.
    #[error("the exporter does not answer")]
    Silent,
    /// It is gone.
    #[error("the exporter is gone")]
    Gone,
}

/// The gate. The exporter is told until this is dropped.
#[derive(Debug)]
pub(super) struct Gate {
    kept: watch::Sender<Kept>,
    flags: Arc<Flags>,
    closed: tokio_util::sync::CancellationToken,
    _keeper: tokio_util::sync::DropGuard,
}

impl Gate {
    /// A gate that knows nothing yet: a new exporter lets nobody in.
    pub(super) fn open(telling: Telling, exporter: impl Exporter) -> Self {
        let kept = watch::Sender::new(Kept::default());
        let closed = tokio_util::sync::CancellationToken::new();
        let flags = Arc::new(Flags::default());
        let (told, stop) = ((kept.clone(), Arc::clone(&flags)), closed.clone());
        tokio::spawn(async move { stop.run_until_cancelled(keep(telling, exporter, told)).await });
        Self { kept, flags, closed: closed.clone(), _keeper: closed.drop_guard() }
    }

    /// No exporter is behind it any more.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Whether the exporter was waited for in vain and has still not answered.
    pub(super) fn is_silent(&self) -> bool {
        self.flags.silent.load(Ordering::Relaxed)
    }

    /// Whether the exporter does nothing to the place at the moment.
    pub(super) fn is_idle(&self) -> bool {
        !self.flags.running.load(Ordering::Relaxed)
    }

    /// What the exporter does to the place at the moment: whoever gets it waits for that.
    pub(super) fn running(&self) -> Option<RunningCommand> {
        self.kept.borrow().running.as_ref().map(|(running, _)| running.clone())
    }

    /// The exporter does something to the place from now on, for this long at the most; or nothing any more.
    pub(super) fn set_running(&self, running: Option<(RunningCommand, Duration)>) {
        let running = running.map(|(running, within)| (running, Instant::now() + within));
        self.kept.send_modify(|kept| {
            self.flags.running.store(running.is_some(), Ordering::Relaxed);
            kept.running = running;
        });
    }

    /// Waits until the exporter does something to the place.
    pub(super) async fn runs(&self) {
        let mut kept = self.kept.subscribe();
        if kept.wait_for(|kept| kept.running.is_some()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the exporter has confirmed a change, or a later one; not for long, unless it says what it does
    /// meanwhile.
    pub(super) async fn confirmed(&self, number: u64) -> Result<(), Unconfirmed> {
        let mut kept = self.kept.subscribe();
        let mut until = Instant::now() + PATIENCE;
        let mut was_running = false;
        loop {
            {
                let now = kept.borrow_and_update();
                if now.number >= number {
                    return now.answer(number);
                }
                match &now.running {
                    Some((_, at_the_latest)) => until = *at_the_latest + PATIENCE,
                    None if was_running => until = Instant::now() + PATIENCE,
                    None => {}
                }
                was_running = now.running.is_some();
            }
            tokio::select! {
                biased;
                changed = kept.changed() => if changed.is_err() {
                    return Err(Unconfirmed::Gone);
                },
                () = self.closed.cancelled() => return Err(Unconfirmed::Gone),
                () = tokio::time::sleep_until(until) => break,
            }
        }
        self.kept.send_if_modified(|kept| {
            let silent = kept.number < number;
            if silent {
                self.flags.silent.store(true, Ordering::Relaxed);
            }
            silent
        });
        Err(Unconfirmed::Silent)
    }
}

impl Kept {
    /// What the exporter said to a change that it has answered to.
    fn answer(&self, number: u64) -> Result<(), Unconfirmed> {
        let refused = self.refused.iter().find(|(refused, _)| *refused == number);
        match refused.or_else(|| self.refused.first().filter(|(newest, _)| *newest == self.number)) {
            None => Ok(()),
            Some((_, Refusal::Other(words))) => Err(Unconfirmed::Refused(words.clone())),
            Some((_, Refusal::NotReady(words))) => Err(Unconfirmed::NotReady(words.clone())),
        }
    }
}

/// Where it is noted what the exporter answered.
type Notes = (watch::Sender<Kept>, Arc<Flags>);

async fn keep(mut telling: Telling, exporter: impl Exporter, notes: Notes) {
    let told = telling.borrow_and_update().clone();
    if told.held.is_some() || !exporter.begins_closed() {
        tell(&told, &exporter, &notes).await;
    } else {
        notes.0.send_modify(|kept| kept.number = told.number);
    }
    while telling.changed().await.is_ok() {
        let told = telling.borrow_and_update().clone();
        tell(&told, &exporter, &notes).await;
    }
}

async fn tell(told: &Told, exporter: &impl Exporter, (kept, flags): &Notes) {
    let mut held = told.held.clone();
    if let Some(held) = &mut held {
        // It is the holder's no longer than until somebody else has booked it.
        held.lease.expires_at = held.until();
    }
    let refusal = exporter.allow(held).await.err();
    kept.send_modify(|kept| {
        kept.number = told.number;
        flags.silent.store(false, Ordering::Relaxed);
        if let Some(refusal) = refusal {
            kept.refused.truncate(REMEMBERED - 1);
            kept.refused.insert(0, (told.number, refusal));
        }
    });
}
