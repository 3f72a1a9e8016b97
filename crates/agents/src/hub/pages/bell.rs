//! Tells open pages that something changed: what happens in the fleet becomes notices on the hub's bus, few enough that any
//! number of lines a second is two of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use nave_core::hub::bus::{Bus, Notice};
use nave_core::hub::context::Hub;
use tokio_util::task::TaskTracker;

use super::LOGS;
use crate::hub::live::{Happening, Hears};
use crate::hub::{Agents, NAME, Shared};

/// What happens within so long is told as one.
const TOGETHER: Duration = Duration::from_millis(500);

/// What runs where.
type Active = BTreeMap<i64, Vec<i64>>;

struct Bell(Arc<State>);

struct State {
    bus: Arc<dyn Bus>,
    tasks: TaskTracker,
    /// The fleet has the bell, so the bell does not keep the fleet.
    agents: Weak<Shared>,
    /// Something is not as the pages show it.
    changed: AtomicBool,
    /// Lines were written.
    logs: AtomicBool,
    /// Something else may run: it is looked at, since every line says so.
    status: AtomicBool,
    /// It rings soon.
    soon: AtomicBool,
    shown: Mutex<Active>,
}

/// From now on, pages are told.
pub(in crate::hub) fn listen(hub: &Hub, agents: &Agents) {
    let state = State {
        bus: Arc::clone(&hub.bus),
        tasks: hub.tasks.clone(),
        agents: Arc::downgrade(&agents.0),
        changed: AtomicBool::default(),
        logs: AtomicBool::default(),
        status: AtomicBool::default(),
        soon: AtomicBool::default(),
        shown: Mutex::default(),
    };
    agents.live().listen(Arc::new(Bell(Arc::new(state))));
}

impl Hears for Bell {
    fn hear(&self, happening: &Happening) {
        let state = &self.0;
        let heard = match happening {
            Happening::Logs(_) => &state.logs,
            Happening::Status => &state.status,
            _ => &state.changed,
        };
        heard.store(true, Ordering::SeqCst);
        if !state.soon.swap(true, Ordering::SeqCst) {
            let state = Arc::clone(state);
            self.0.tasks.spawn(async move {
                tokio::time::sleep(TOGETHER).await;
                // What is heard from here on rings once more.
                state.soon.store(false, Ordering::SeqCst);
                state.ring();
            });
        }
    }
}

impl State {
    fn ring(&self) {
        let status = self.status.swap(false, Ordering::SeqCst) && self.is_another();
        if self.changed.swap(false, Ordering::SeqCst) || status {
            self.bus.publish(Notice { topic: NAME, key: String::new() });
        }
        if self.logs.swap(false, Ordering::SeqCst) {
            self.bus.publish(Notice { topic: LOGS, key: String::new() });
        }
    }

    /// Whether something else runs than what was told last.
    fn is_another(&self) -> bool {
        let Some(agents) = self.agents.upgrade() else { return false };
        let active = agents.live.active();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let is_another = *shown != active;
        *shown = active;
        is_another
    }
}
