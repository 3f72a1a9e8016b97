//! Lines and costs on their way to the hub: kept in their order until it says that they are durable. What was sent without an
//! answer is sent again as it was, so that the hub knows it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nave_core::clock::Clock;
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;

use crate::api::{LogRole, LogType, RunKey};
use crate::link::{BATCH_BYTES, BATCH_ENTRIES, HostCost, HostLine, WriteCosts, WriteLogs};

/// The most bytes that wait for a hub that is away; what comes then is left out, and told of.
const MOST_BYTES: usize = 64 << 20;
/// What a line takes beside its text.
const OVERHEAD: usize = 256;
/// The most costs that wait.
const MOST_COSTS: usize = 100_000;

pub(super) struct Spool {
    state: Mutex<State>,
    clock: Clock,
    /// How much waits.
    waiting: watch::Sender<usize>,
}

struct State {
    lines: VecDeque<HostLine>,
    bytes: usize,
    left_out: u64,
    last_at: OffsetDateTime,
    sent_lines: usize,
    costs: VecDeque<HostCost>,
    sent_costs: usize,
    number: u64,
}

impl Spool {
    /// An empty one; `number` is another one in each process, so that no batch of costs is taken for an earlier one.
    pub(super) fn new(clock: Clock, number: u64) -> Self {
        let state = State {
            lines: VecDeque::new(),
            bytes: 0,
            left_out: 0,
            last_at: OffsetDateTime::UNIX_EPOCH,
            sent_lines: 0,
            costs: VecDeque::new(),
            sent_costs: 0,
            number,
        };
        Self { state: Mutex::new(state), clock, waiting: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &State) {
        self.waiting.send_replace(state.lines.len() + state.costs.len());
    }

    /// Adds a line.
    pub(super) fn line(&self, key: RunKey, role: LogRole, kind: Option<LogType>, message: String) {
        let mut state = self.state();
        if state.bytes + message.len() + OVERHEAD > MOST_BYTES {
            state.left_out += 1;
            return;
        }
        let left_out = std::mem::take(&mut state.left_out);
        if left_out > 0 {
            let words = format!("{left_out} lines were left out: the hub was away for too long");
            self.push(&mut state, key, LogRole::Naisys, Some(LogType::Error), words);
        }
        self.push(&mut state, key, role, kind, message);
        self.tell(&state);
    }

    fn push(&self, state: &mut State, key: RunKey, role: LogRole, kind: Option<LogType>, message: String) {
        // A clock that was set back, or stands, must not make two batches one.
        let at = self.clock.now().max(state.last_at + Duration::MICROSECOND);
        state.last_at = at;
        state.bytes += message.len() + OVERHEAD;
        state.lines.push_back(HostLine { key, role, kind, message, at });
    }

    /// Adds a cost; false if too many wait.
    pub(super) fn cost(&self, cost: HostCost) -> bool {
        let mut state = self.state();
        if state.costs.len() >= MOST_COSTS {
            return false;
        }
        state.costs.push_back(cost);
        self.tell(&state);
        true
    }

    /// Waits until there is something to send.
    pub(super) async fn filled(&self) {
        // The sender lives as long as this.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
    }

    /// Waits until everything is durable.
    pub(super) async fn drained(&self) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting == 0).await;
    }

    /// The lines to send next: those that were sent last, as long as nobody took them.
    pub(super) fn lines(&self) -> Option<WriteLogs> {
        let mut state = self.state();
        if state.sent_lines == 0 {
            let mut bytes = 0;
            let fits = |line: &&HostLine| {
                let before = bytes;
                bytes += serde_json::to_string(line).map_or(0, |text| text.len() + 1);
                before == 0 || bytes <= BATCH_BYTES
            };
            state.sent_lines = state.lines.iter().take(BATCH_ENTRIES).take_while(fits).count();
        }
        let lines: Vec<HostLine> = state.lines.iter().take(state.sent_lines).cloned().collect();
        (!lines.is_empty()).then_some(WriteLogs { lines })
    }

    /// The lines that were sent are durable, or will never be.
    pub(super) fn lines_done(&self) {
        let mut state = self.state();
        let sent = std::mem::take(&mut state.sent_lines);
        let bytes: usize = state.lines.drain(..sent).map(|line| line.message.len() + OVERHEAD).sum();
        state.bytes -= bytes;
        self.tell(&state);
    }

    /// The costs to send next: those that were sent last, as long as nobody took them.
    pub(super) fn costs(&self) -> Option<WriteCosts> {
        let mut state = self.state();
        if state.sent_costs == 0 {
            state.sent_costs = state.costs.len().min(BATCH_ENTRIES);
            state.number = state.number.wrapping_add(1);
        }
        let costs: Vec<HostCost> = state.costs.iter().take(state.sent_costs).cloned().collect();
        (!costs.is_empty()).then_some(WriteCosts { number: state.number, costs })
    }

    /// The costs that were sent are durable.
    pub(super) fn costs_done(&self) {
        let mut state = self.state();
        let sent = std::mem::take(&mut state.sent_costs);
        state.costs.drain(..sent);
        self.tell(&state);
    }

    /// The hub does not take the costs that were sent: they are tried one by one, and a single one is given up, which is
    /// returned.
    pub(super) fn costs_refused(&self) -> Option<HostCost> {
        let mut state = self.state();
        let single = state.sent_costs == 1;
        state.sent_costs = usize::from(!single);
        state.number = state.number.wrapping_add(1);
        let given_up = if single { state.costs.pop_front() } else { None };
        self.tell(&state);
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: RunKey = RunKey { agent: 1, run: 2, session: 1 };

    fn spool() -> Spool {
        Spool::new(Clock::manual(OffsetDateTime::UNIX_EPOCH + Duration::DAY), 7)
    }

    fn cost(dollars: f64) -> HostCost {
        HostCost { key: KEY, model: "m".to_owned(), dollars, input: 0, output: 0 }
    }

    #[test]
    fn what_was_not_taken_is_sent_again_as_it_was() {
        let spool = spool();
        spool.line(KEY, LogRole::Llm, None, "one".to_owned());
        let first = spool.lines().unwrap();
        spool.line(KEY, LogRole::Llm, None, "one".to_owned());
        assert_eq!(spool.lines().unwrap(), first);
        spool.lines_done();
        let second = spool.lines().unwrap();
        assert_eq!(second.lines.len(), 1);
        assert_ne!(second, first, "the clock stands, and yet it is another batch");
        spool.lines_done();
        assert!(spool.lines().is_none());
    }

    #[test]
    fn a_batch_fits_into_a_message_whatever_its_lines_are() {
        let spool = spool();
        for _ in 0..100 {
            spool.line(KEY, LogRole::Llm, None, "\u{1}".repeat(super::super::lines::LONGEST));
        }
        let mut sent = 0;
        while let Some(batch) = spool.lines() {
            assert!(serde_json::to_string(&batch).unwrap().len() < BATCH_BYTES + 1000);
            sent += batch.lines.len();
            spool.lines_done();
        }
        assert_eq!(sent, 100);
    }

    #[test]
    fn a_hub_that_is_away_for_too_long_is_told_how_much_is_missing() {
        let spool = spool();
        for _ in 0..5000 {
            spool.line(KEY, LogRole::Llm, None, "x".repeat(16 << 10));
        }
        let kept = spool.state().lines.len();
        while spool.lines().is_some() {
            spool.lines_done();
        }
        spool.line(KEY, LogRole::Llm, None, "again".to_owned());
        let told = spool.lines().unwrap();
        assert!(told.lines[0].message.starts_with(&format!("{} lines were left out", 5000 - kept)));
        assert_eq!(told.lines[1].message, "again");
    }

    #[test]
    fn a_cost_that_is_refused_does_not_take_others_with_it() {
        let spool = spool();
        assert!(spool.cost(cost(1.0)) && spool.cost(cost(2.0)));
        let both = spool.costs().unwrap();
        assert_eq!(both.costs.len(), 2);
        assert_eq!(spool.costs_refused(), None);
        let one = spool.costs().unwrap();
        assert_eq!((one.costs.len(), one.number != both.number), (1, true));
        assert_eq!(spool.costs_refused(), Some(cost(1.0)));
        assert_eq!(spool.costs().unwrap().costs, [cost(2.0)]);
        spool.costs_done();
        assert!(spool.costs().is_none());
    }
}
