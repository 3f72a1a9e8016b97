//! A log line that a peer can cause at will is written now and then only, with the number of those left out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one line through in each interval and counts the others.
#[derive(Debug)]
pub(super) struct Quiet {
    every: Duration,
    state: Mutex<(Option<Instant>, u64)>,
}

impl Quiet {
    pub(super) const fn new(every: Duration) -> Self {
        Self { every, state: Mutex::new((None, 0)) }
    }

    /// Whether to write the line now; if so, how many like it were left out since the last one.
    pub(super) fn due(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left_out) = &mut *state;
        if last.is_some_and(|last| now.duration_since(last) < self.every) {
            *left_out += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_in_each_interval_with_the_number_left_out() {
        let quiet = Quiet::new(Duration::from_secs(10));
        assert_eq!(quiet.due(), Some(0));
        assert_eq!((quiet.due(), quiet.due()), (None, None));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(quiet.due(), Some(2));
        assert_eq!(quiet.due(), None);
    }
}
