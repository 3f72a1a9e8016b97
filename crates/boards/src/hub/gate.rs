//! The gate of a place: whom its exporter lets in. A task of its own tells the exporter whenever the lease on the place
//! changes, and nobody waits for an exporter but those who want that place.

use std::time::Duration;

use futures::future::BoxFuture;
use nave_core::hub::leases::{Lease, Telling, Told};
use tokio::sync::watch;

/// How long an exporter may take to confirm before those who want the place go on without it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// An exporter that can be told whom to let in.
pub(super) trait Exporter: Send + Sync + 'static {
    /// Lets in this holder and nobody else; the error is the exporter's own words.
    fn allow(&self, held: Option<Lease>) -> BoxFuture<'static, Result<(), String>>;

    /// Whether it lets nobody in as long as it is told nothing. Others keep what they were told on an earlier connection.
    fn begins_closed(&self) -> bool;
}

/// What came of the newest change that the exporter answered to.
#[derive(Clone, Debug, Default)]
struct Kept {
    number: u64,
    refusal: Option<String>,
    /// Somebody waited too long for the answer to come.
    silent: bool,
}

/// Why a change was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unconfirmed {
    /// The exporter said no.
    #[error("{0}")]
    Refused(String),
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
    closed: tokio_util::sync::CancellationToken,
    _keeper: tokio_util::sync::DropGuard,
}

impl Gate {
    /// A gate that knows nothing yet: a new exporter lets nobody in.
    pub(super) fn open(telling: Telling, exporter: impl Exporter) -> Self {
        let kept = watch::Sender::new(Kept::default());
        let closed = tokio_util::sync::CancellationToken::new();
        let (told, stop) = (kept.clone(), closed.clone());
        tokio::spawn(async move { stop.run_until_cancelled(keep(telling, exporter, told)).await });
        Self { kept, closed: closed.clone(), _keeper: closed.drop_guard() }
    }

    /// No exporter is behind it any more.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Whether the exporter was waited for in vain and has still not answered.
    pub(super) fn is_silent(&self) -> bool {
        self.kept.borrow().silent
    }

    /// Waits until the exporter has confirmed a change, or a later one.
    pub(super) async fn confirmed(&self, number: u64) -> Result<(), Unconfirmed> {
        let mut kept = self.kept.subscribe();
        tokio::select! {
            biased;
            answered = kept.wait_for(|kept| kept.number >= number) => match answered {
                Ok(kept) => kept.refusal.clone().map_or(Ok(()), |words| Err(Unconfirmed::Refused(words))),
                Err(_) => Err(Unconfirmed::Gone),
            },
            () = self.closed.cancelled() => Err(Unconfirmed::Gone),
            () = tokio::time::sleep(PATIENCE) => {
                self.kept.send_if_modified(|kept| {
                    let silent = kept.number < number;
                    kept.silent |= silent;
                    silent
                });
                Err(Unconfirmed::Silent)
            }
        }
    }
}

async fn keep(mut telling: Telling, exporter: impl Exporter, kept: watch::Sender<Kept>) {
    let told = telling.borrow_and_update().clone();
    if told.held.is_some() || !exporter.begins_closed() {
        tell(&told, &exporter, &kept).await;
    } else {
        kept.send_replace(Kept { number: told.number, ..Kept::default() });
    }
    while telling.changed().await.is_ok() {
        let told = telling.borrow_and_update().clone();
        tell(&told, &exporter, &kept).await;
    }
}

async fn tell(told: &Told, exporter: &impl Exporter, kept: &watch::Sender<Kept>) {
    // A holder that is away comes back from an address of its own.
    let present = told.held.as_ref().filter(|held| !held.is_left_behind());
    let refusal = exporter.allow(present.map(|held| held.lease.clone())).await.err();
    kept.send_replace(Kept { number: told.number, refusal, silent: false });
}
