//! The two steps of stopping: soft (take nothing new, finish what runs) and hard (cut what is left).

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Tells every part of the hub to stop. Cloning it is cheap; all clones are one.
#[derive(Clone, Debug)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// A hub that runs.
    pub fn new() -> Self {
        let hard = CancellationToken::new();
        Self { soft: hard.child_token(), hard }
    }

    /// Asks for the soft stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Cuts what is left; asks for the soft stop too, if nobody has.
    pub fn cut(&self) {
        self.hard.cancel();
    }

    /// Asks for the soft stop now and cuts what is left after `limit`. Ends when it has cut: race it against the
    /// work's own end.
    pub async fn stop_within(&self, limit: Duration) {
        self.stop();
        tokio::select! {
            () = tokio::time::sleep(limit) => self.cut(),
            () = self.hard.cancelled() => {}
        }
    }

    /// Cancelled from the soft stop on.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled from the hard stop on.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_a_stop_and_a_stop_is_no_cut() {
        let shutdown = Shutdown::new();
        shutdown.stop();
        assert!(shutdown.soft().is_cancelled() && !shutdown.hard().is_cancelled());

        let shutdown = Shutdown::new();
        shutdown.cut();
        assert!(shutdown.soft().is_cancelled() && shutdown.hard().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_after_the_limit_is_cut() {
        let shutdown = Shutdown::new();
        let began = tokio::time::Instant::now();
        shutdown.stop_within(Duration::from_secs(20)).await;
        assert!(shutdown.hard().is_cancelled());
        assert_eq!(began.elapsed().as_secs(), 20);
    }
}
