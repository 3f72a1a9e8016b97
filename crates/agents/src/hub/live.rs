//! What is true only while connections stand: which hosts are there, what runs on them, what is new for whom. And who is
//! told when something changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures::future::BoxFuture;

use super::mail::Posted;
use super::runs::{LogBatch, Opened};
use crate::api::{MailKind, Nanodollars, RunKey};

/// What a host is asked to do with an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// To start it.
    Start {
        /// Which agent.
        agent: i64,
        /// What it shall do, if somebody said so.
        task: Option<String>,
        /// On whose behalf.
        requester: Option<i64>,
    },
    /// To stop it.
    Stop {
        /// Which agent.
        agent: i64,
        /// Why.
        reason: String,
    },
    /// To tell what it has before it.
    Peek {
        /// Which agent.
        agent: i64,
        /// How many lines to leave out.
        skip: Option<i64>,
        /// How many lines are wanted.
        take: Option<i64>,
    },
}

/// What a host said to an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Whether it was done.
    pub(super) success: bool,
    /// Why not, in the host's words.
    pub(super) error: Option<String>,
    /// Where, in the host's words.
    pub(super) host: Option<String>,
    /// What an agent has before it.
    pub(super) lines: Option<Vec<String>>,
    /// How many lines there are.
    pub(super) total: Option<i64>,
}

/// The host went away before it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host went away before it answered")]
pub(super) struct Lost;

/// The way to a connected host, whichever protocol it speaks.
pub(super) trait HostLink: Send + Sync {
    /// Has it do something. Stopping takes as long as the agent's last step.
    fn order(&self, order: Order, from_host: Option<i64>) -> BoxFuture<'static, Result<Answer, Lost>>;

    /// Ends the connection; its host may come again.
    fn close(&self, reason: &'static str);

    /// Whether the host runs agents of that name: some are made for a few.
    fn takes(&self, _agent: &str) -> bool {
        true
    }
}

/// What happened, for those who show or forward it.
#[derive(Clone)]
pub(super) enum Happening {
    /// Agents or their assignments are others now.
    Agents,
    /// Hosts are others now, or others are connected.
    Hosts,
    /// Variables are others now.
    Variables,
    /// Models are others now.
    Models,
    /// Something else runs somewhere, or something is new for somebody.
    Status,
    /// A message was sent.
    Mail(Arc<Posted>),
    /// Messages were read.
    MailRead {
        /// By whom.
        agent: i64,
        /// Which.
        ids: Arc<[i64]>,
        /// What they are.
        kind: MailKind,
        /// The conversations that they belong to.
        participants: Arc<[String]>,
    },
    /// Lines were written to logs.
    Logs(Arc<LogBatch>),
    /// Costs were reported, added up by session.
    Costs(Arc<[(RunKey, Nanodollars)]>),
    /// A session began.
    Session(Arc<Opened>),
    /// An agent may spend something again, or nothing any more.
    Budget {
        /// Which agent.
        agent: i64,
        /// Whether it may.
        enabled: bool,
        /// Why.
        reason: Arc<str>,
    },
}

/// Hears what happened, in order. It must not wait: whoever does something is held up.
pub(super) trait Hears: Send + Sync {
    /// Hears it.
    fn hear(&self, happening: &Happening);
}

/// What is new for an agent: the greatest numbers of what is its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Latest {
    pub(super) log: i64,
    pub(super) mail: i64,
    pub(super) chat: i64,
}

struct Connected {
    connection: u64,
    link: Arc<dyn HostLink>,
    /// The agents that run there, in the order in which they started.
    active: Vec<i64>,
    /// Agents that are starting there and may not be in what the host says runs.
    starting: BTreeSet<i64>,
}

#[derive(Default)]
struct State {
    hosts: BTreeMap<i64, Connected>,
    latest: BTreeMap<i64, Latest>,
}

/// Connected hosts, and who hears what happens.
#[derive(Default)]
pub(super) struct Live {
    state: Mutex<State>,
    hearers: RwLock<Vec<Arc<dyn Hears>>>,
}

impl Live {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, this one is told.
    pub(super) fn listen(&self, hearer: Arc<dyn Hears>) {
        self.hearers.write().unwrap_or_else(PoisonError::into_inner).push(hearer);
    }

    /// Tells everybody who listens.
    pub(super) fn tell(&self, happening: &Happening) {
        for hearer in &*self.hearers.read().unwrap_or_else(PoisonError::into_inner) {
            hearer.hear(happening);
        }
    }

    /// A host is there. Returns the connection that it had before, which the caller ends.
    pub(super) fn enter(
        &self,
        host: i64,
        connection: u64,
        link: Arc<dyn HostLink>,
    ) -> Option<Arc<dyn HostLink>> {
        let connected = Connected { connection, link, active: Vec::new(), starting: BTreeSet::new() };
        let before = self.state().hosts.insert(host, connected);
        self.tell(&Happening::Hosts);
        before.map(|before| before.link)
    }

    /// A host's connection ended; whether that was its last.
    pub(super) fn leave(&self, host: i64, connection: u64) -> bool {
        let gone = {
            let mut state = self.state();
            let is_it = state.hosts.get(&host).is_some_and(|connected| connected.connection == connection);
            is_it && state.hosts.remove(&host).is_some()
        };
        if gone {
            self.tell(&Happening::Hosts);
            self.tell(&Happening::Status);
        }
        gone
    }

    /// The way to a host.
    pub(super) fn link(&self, host: i64) -> Option<Arc<dyn HostLink>> {
        self.state().hosts.get(&host).map(|connected| Arc::clone(&connected.link))
    }

    /// The hosts that are there, each with how many agents it has or is about to have.
    pub(super) fn loads(&self) -> BTreeMap<i64, usize> {
        self.loads_of(|_| true)
    }

    /// The same of those agents that count.
    pub(super) fn loads_of(&self, counts: impl Fn(i64) -> bool) -> BTreeMap<i64, usize> {
        let load = |connected: &Connected| {
            let starting = connected.starting.iter().filter(|agent| !connected.active.contains(agent));
            connected.active.iter().chain(starting).filter(|agent| counts(**agent)).count()
        };
        self.state().hosts.iter().map(|(host, connected)| (*host, load(connected))).collect()
    }

    /// Whether a host is there that runs agents of that name.
    pub(super) fn takes(&self, host: i64, agent: &str) -> bool {
        self.link(host).is_some_and(|link| link.takes(agent))
    }

    /// Whether a host is there.
    pub(super) fn is_online(&self, host: i64) -> bool {
        self.state().hosts.contains_key(&host)
    }

    /// What runs where.
    pub(super) fn active(&self) -> BTreeMap<i64, Vec<i64>> {
        self.state().hosts.iter().map(|(host, connected)| (*host, connected.active.clone())).collect()
    }

    /// The hosts on which an agent runs.
    pub(super) fn hosts_of(&self, agent: i64) -> Vec<i64> {
        let state = self.state();
        let runs = |(_, connected): &(&i64, &Connected)| connected.active.contains(&agent);
        state.hosts.iter().filter(runs).map(|(host, _)| *host).collect()
    }

    /// Whether an agent runs, or is about to, anywhere.
    pub(super) fn is_active(&self, agent: i64) -> bool {
        let state = self.state();
        state.hosts.values().any(|host| host.active.contains(&agent) || host.starting.contains(&agent))
    }

    /// Whether an agent runs, or is about to, on a host.
    pub(super) fn is_active_on(&self, agent: i64, host: i64) -> bool {
        let state = self.state();
        let on = state.hosts.get(&host);
        on.is_some_and(|host| host.active.contains(&agent) || host.starting.contains(&agent))
    }

    /// A host says what runs there; who is new, and who is gone.
    pub(super) fn heartbeat(&self, host: i64, connection: u64, agents: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let (new, gone) = {
            let mut state = self.state();
            let Some(connected) = state.hosts.get_mut(&host).filter(|host| host.connection == connection)
            else {
                return (Vec::new(), Vec::new());
            };
            let absent = |all: &[i64], of: &[i64]| -> Vec<i64> {
                of.iter().filter(|agent| !all.contains(agent)).copied().collect()
            };
            let (new, gone) = (absent(&connected.active, agents), absent(agents, &connected.active));
            connected.active = agents.to_vec();
            (new, gone)
        };
        if !new.is_empty() || !gone.is_empty() {
            self.tell(&Happening::Status);
        }
        (new, gone)
    }

    /// Notes that an agent is about to run on a host; false if it runs already, or is about to, anywhere.
    pub(super) fn begin_start(&self, agent: i64, host: i64) -> bool {
        let mut state = self.state();
        if state.hosts.values().any(|host| host.active.contains(&agent) || host.starting.contains(&agent)) {
            return false;
        }
        state.hosts.get_mut(&host).is_some_and(|host| host.starting.insert(agent))
    }

    /// Notes what came of it.
    pub(super) fn end_start(&self, agent: i64, host: i64, runs: bool) {
        let changed = {
            let mut state = self.state();
            let Some(connected) = state.hosts.get_mut(&host) else { return };
            connected.starting.remove(&agent);
            let is_new = runs && !connected.active.contains(&agent);
            if is_new {
                connected.active.push(agent);
            }
            is_new
        };
        if changed {
            self.tell(&Happening::Status);
        }
    }

    /// What is new for everybody.
    pub(super) fn latest(&self) -> BTreeMap<i64, Latest> {
        self.state().latest.clone()
    }

    /// Something is new for an agent.
    pub(super) fn set_latest(&self, agent: i64, set: impl FnOnce(&mut Latest)) {
        set(self.state().latest.entry(agent).or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt as _;

    use super::*;

    struct Silent;

    impl HostLink for Silent {
        fn order(&self, _: Order, _: Option<i64>) -> BoxFuture<'static, Result<Answer, Lost>> {
            std::future::ready(Err(Lost)).boxed()
        }

        fn close(&self, _: &'static str) {}
    }

    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl Hears for Counts {
        fn hear(&self, happening: &Happening) {
            if matches!(happening, Happening::Status) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    #[test]
    fn a_late_end_of_an_old_connection_takes_nothing_from_the_new_one() {
        let live = Live::default();
        assert!(live.enter(1, 10, Arc::new(Silent)).is_none());
        assert!(live.enter(1, 11, Arc::new(Silent)).is_some());
        assert!(!live.leave(1, 10));
        assert!(live.is_online(1));
        assert_eq!(live.heartbeat(1, 10, &[5]), (vec![], vec![]), "the old one says nothing any more");
        assert!(live.leave(1, 11) && !live.is_online(1));
    }

    #[test]
    fn only_changes_are_told_and_an_agent_starts_once() {
        let (live, counts) = (Live::default(), Arc::new(Counts::default()));
        live.listen(Arc::<Counts>::clone(&counts));
        live.enter(1, 1, Arc::new(Silent));
        live.enter(2, 2, Arc::new(Silent));
        assert_eq!(live.heartbeat(1, 1, &[5, 6]), (vec![5, 6], vec![]));
        assert_eq!(live.heartbeat(1, 1, &[5, 6]), (vec![], vec![]));
        assert_eq!(live.heartbeat(1, 1, &[6]), (vec![], vec![5]));
        assert_eq!(counts.0.load(Ordering::SeqCst), 2);
        assert!(!live.begin_start(6, 2), "it runs already");
        assert!(live.begin_start(7, 2) && !live.begin_start(7, 1));
        assert_eq!(live.loads(), BTreeMap::from([(1, 1), (2, 1)]));
        // A heartbeat that was on its way knows nothing of it yet.
        live.heartbeat(2, 2, &[]);
        assert!(live.is_active_on(7, 2));
        live.end_start(7, 2, true);
        assert_eq!(live.hosts_of(7), [2]);
        assert!(live.begin_start(8, 2));
        live.end_start(8, 2, false);
        assert!(!live.is_active(8));
    }
}
