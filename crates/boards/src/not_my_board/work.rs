//! One request under way: it is answered or cancelled, never both.

use std::sync::{Mutex, PoisonError};

use tokio_util::sync::{CancellationToken, DropGuard};

/// How far a request has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is worked on.
    #[default]
    Under,
    /// Its answer is on its way.
    Answered,
    /// Nobody wants its answer.
    Cancelled,
}

/// One request under way.
#[derive(Debug, Default)]
pub(crate) struct Work {
    stage: Mutex<Stage>,
    cancelled: CancellationToken,
    ended: CancellationToken,
}

impl Work {
    /// Answers or cancels it; whether that was still possible.
    pub(crate) fn reach(&self, end: Stage) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if *stage != Stage::Under {
            return false;
        }
        *stage = end;
        if end == Stage::Cancelled {
            self.cancelled.cancel();
        }
        true
    }

    /// Does something as long as the request is not cancelled.
    pub(crate) async fn unless_cancelled<F: Future>(&self, work: F) -> Option<F::Output> {
        self.cancelled.run_until_cancelled(work).await
    }

    /// Marks the request as ended when it is dropped.
    pub(crate) fn ends(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    /// Cancels it and waits until it has ended.
    pub(crate) async fn cancel(&self) {
        self.reach(Stage::Cancelled);
        self.ended.cancelled().await;
    }
}
