//! What goes on on one HTTP connection, and until when it may go on so: the one place that knows how the header
//! limit and the idle limit follow each other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::limits::Limits;

/// Shared by a connection's transport (bytes came), its service (requests came and went) and its watch.
#[derive(Debug)]
pub(super) struct Activity {
    /// Whether the next request's first byte was noted; apart from the rest, since every read asks.
    noted: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    requests: u64,
    /// Since when nothing is in flight.
    since: Instant,
    /// When the first byte after that came.
    began: Option<Instant>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let state = State { in_flight: 0, requests: 0, since: Instant::now(), began: None };
        Arc::new(Self { noted: AtomicBool::new(false), state: Mutex::new(state) })
    }

    /// Bytes came from the peer.
    pub(super) fn bytes_came(&self) {
        if !self.noted.load(Ordering::Relaxed) {
            let mut state = self.state();
            self.noted.store(true, Ordering::Relaxed);
            if state.in_flight == 0 {
                state.began.get_or_insert_with(Instant::now);
            }
        }
    }

    /// A request's header is complete. The request ends when the result is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.requests += 1;
        state.began = None;
        InFlight(Arc::clone(self))
    }

    /// Until when the connection may stay as it is; `None` while a request is in flight. A slow header is told
    /// from a quiet peer over HTTP/1.1 only: over HTTP/2 the bytes may be a ping's.
    pub(super) fn deadline(&self, limits: &Limits, http2: bool) -> Option<Instant> {
        let state = self.state();
        match state.began {
            _ if state.in_flight > 0 => None,
            _ if state.requests == 0 => Some(state.since + limits.header),
            Some(began) if !http2 => Some(began + limits.header),
            _ => Some(state.since + limits.idle),
        }
    }

    /// Since when nothing is in flight, or when the connection began.
    pub(super) fn since(&self) -> Instant {
        self.state().since
    }

    /// Whether any request ever came.
    pub(super) fn was_used(&self) -> bool {
        self.state().requests > 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request between its complete header and the end of its answer.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.since = Instant::now();
            state.began = None;
            self.0.noted.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_state_has_its_limit() {
        let limits = Limits::default();
        let activity = Activity::new();
        let left = |activity: &Activity, http2| {
            activity.deadline(&limits, http2).map(|deadline| deadline.duration_since(Instant::now()))
        };
        assert_eq!(left(&activity, false), Some(limits.header), "the first request is awaited");
        activity.bytes_came();
        let request = activity.request();
        let second = activity.request();
        drop(request);
        assert_eq!(left(&activity, true), None, "one of two is in flight");
        activity.bytes_came();
        drop(second);
        assert_eq!(
            left(&activity, false),
            Some(limits.idle),
            "bytes of the last request are not of the next"
        );

        tokio::time::advance(Duration::from_secs(70)).await;
        activity.bytes_came();
        tokio::time::advance(Duration::from_secs(1)).await;
        activity.bytes_came();
        assert_eq!(left(&activity, false), Some(Duration::from_secs(9)));
        assert_eq!(left(&activity, true), Some(Duration::from_secs(4)), "it may be a ping");
    }
}
