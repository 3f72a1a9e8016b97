//! A connection that was let in: whose it is, what it may, and how a host behind it is asked for something.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::hub::context::Hub;
use nave_core::hub::nodes::{Connected, Stay};
use nave_core::hub::op::{Actor, Op};
use nave_core::id::RequestId;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::super::socket_io::Socket;
use super::wire;
use crate::hub::live::{Answer, HostLink, Lost, Order};

/// A runner or a supervisor that was let in.
pub(in crate::hub) struct Session {
    pub(super) name: String,
    pub(super) socket: Socket,
    pub(super) connection: u64,
    /// The host's number; a supervisor is none that runs anything.
    pub(super) host: Option<i64>,
    pub(super) actor: Actor,
    pub(super) source: std::net::IpAddr,
    /// Whether the first batch of costs may be one that was written before.
    pub(super) may_be_again: AtomicBool,
    pub(super) allowance: Mutex<Allowance>,
    /// The node is connected as long as this is here.
    pub(super) stay: Option<Stay>,
    /// Ends it when the node may not have it any more.
    pub(super) _connected: Connected,
}

impl Session {
    /// What it does now.
    pub(super) fn op(&self, hub: &Hub) -> Op {
        Op {
            actor: self.actor.clone(),
            source: Some(self.source),
            request: RequestId::new(),
            clock: hub.clock.clone(),
        }
    }

    pub(super) fn is_supervisor(&self) -> bool {
        self.host.is_none()
    }
}

/// How many events a client may send at once, and how many a second in the long run. Whoever sends more waits.
const BURST: f64 = 4000.0;
const A_SECOND: f64 = 2000.0;

/// What of that is left.
#[derive(Debug)]
pub(super) struct Allowance {
    left: f64,
    at: OffsetDateTime,
}

impl Allowance {
    pub(super) fn new(now: OffsetDateTime) -> Self {
        Self { left: BURST, at: now }
    }

    /// Takes one; for how long to wait before it is used.
    pub(super) fn take(&mut self, now: OffsetDateTime) -> Option<std::time::Duration> {
        let passed = (now - self.at).as_seconds_f64().max(0.0);
        self.left = (self.left + passed * A_SECOND).min(BURST) - 1.0;
        self.at = now;
        (self.left < 0.0).then(|| std::time::Duration::from_secs_f64(-self.left / A_SECOND))
    }
}

/// The way to a runner.
pub(super) struct Runner {
    pub(super) socket: Socket,
}

impl HostLink for Runner {
    fn order(&self, order: Order, from_host: Option<i64>) -> BoxFuture<'static, Result<Answer, Lost>> {
        let (event, mut payload) = match order {
            // On whose behalf is not said: the original does not either.
            Order::Start { agent, task, requester: _ } => {
                let mut payload = json!({ "startUserId": agent });
                if let Some(task) = task {
                    payload["taskDescription"] = task.into();
                }
                ("agent_start", payload)
            }
            Order::Stop { agent, reason } => ("agent_stop", json!({ "userId": agent, "reason": reason })),
            Order::Peek { agent, skip, take } => {
                let mut payload = json!({ "userId": agent });
                for (field, number) in [("skip", skip), ("take", take)] {
                    if let Some(number) = number {
                        payload[field] = number.into();
                    }
                }
                ("agent_peek", payload)
            }
        };
        // Runners take no null for what is not there.
        if let Some(host) = from_host {
            payload["sourceHostId"] = host.into();
        }
        let asked = self.socket.request(event, &payload);
        async move { asked.await.map(|answer| read(&answer)).map_err(|_| Lost) }.boxed()
    }

    fn close(&self, reason: &'static str) {
        tracing::debug!(reason, "a runner's connection is closed");
        self.socket.close();
    }
}

/// What a runner answered; what it should have said and did not is a failure.
fn read(answer: &Value) -> Answer {
    match serde_json::from_value::<wire::Answered>(answer.clone()) {
        Ok(answered) => Answer {
            success: answered.success,
            error: answered.error,
            host: answered.hostname,
            lines: answered.lines,
            total: answered.total_lines,
        },
        Err(error) => Answer {
            success: false,
            error: Some(format!("the host's answer makes no sense: {error}")),
            ..Answer::default()
        },
    }
}

/// A runner's link, to be kept with others'.
pub(super) fn link(socket: &Socket) -> Arc<dyn HostLink> {
    Arc::new(Runner { socket: socket.clone() })
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::*;

    #[test]
    fn a_flood_waits_and_a_pause_makes_up_for_it() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut allowance = Allowance::new(now);
        assert!((0..4000).all(|_| allowance.take(now).is_none()));
        assert_eq!(allowance.take(now).unwrap().as_micros(), 500);
        assert!(allowance.take(now + Duration::seconds(1)).is_none());
        assert!(
            allowance.take(now - Duration::hours(1)).is_none(),
            "a clock that was set back takes nothing"
        );
    }

    #[test]
    fn answers_are_read_as_they_are_meant() {
        let read = |value| super::read(&value);
        assert!(read(json!({"success": true, "hostname": "BOX"})).success);
        let refused = read(json!({"success": false, "error": "Error: Agent 'x' is already running"}));
        assert_eq!(refused.error.as_deref(), Some("Error: Agent 'x' is already running"));
        assert_eq!(read(json!({"success": true, "lines": ["a"], "totalLines": 7})).total, Some(7));
        assert!(read(Value::Null).error.unwrap().contains("makes no sense"));
    }
}
