//! What the hub is told of commands. It may be away when one ends, and is told when it is back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nave_link::rpc::{CallError, Peer};

use crate::link::{CommandBegan, CommandEnded};

/// How long the hub may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most that is kept for a hub that is away; what is older is forgotten.
const MOST: usize = 256;

/// What is still to be told, and to whom.
#[derive(Default)]
pub(super) struct Reports {
    state: Mutex<State>,
    /// One at a time is sent, in the order in which they came.
    sending: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    hub: Option<Peer>,
    running: BTreeMap<String, CommandBegan>,
    ended: VecDeque<CommandEnded>,
}

impl Reports {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hub is there, or away.
    pub(super) fn go_to(&self, hub: Option<Peer>) {
        self.state().hub = hub;
    }

    /// Ends the link to the hub.
    pub(super) fn leave(&self) {
        if let Some(hub) = self.state().hub.take() {
            hub.close("the exporter is stopping");
        }
    }

    /// A command runs from now on.
    pub(super) async fn began(&self, began: CommandBegan) {
        let place = began.place.clone();
        self.state().running.insert(place.clone(), began);
        self.again(&place).await;
    }

    /// Tells a hub that does not know it yet what runs for a place.
    pub(super) async fn again(&self, place: &str) {
        let (hub, running) = {
            let state = self.state();
            (state.hub.clone(), state.running.get(place).cloned())
        };
        if let (Some(hub), Some(running)) = (hub, running) {
            // A hub that is gone is told when it is back.
            let _ = hub.notify(&running).await;
        }
    }

    /// A command has ended; done when the hub knows, or is away.
    pub(super) async fn ended(&self, ended: CommandEnded) {
        {
            let mut state = self.state();
            state.running.remove(&ended.place);
            if state.ended.len() == MOST {
                state.ended.pop_front();
            }
            state.ended.push_back(ended);
        }
        self.send().await;
    }

    /// Tells what was not told yet.
    pub(super) async fn send(&self) {
        let _one_at_a_time = self.sending.lock().await;
        loop {
            let (hub, next) = {
                let state = self.state();
                (state.hub.clone(), state.ended.front().cloned())
            };
            let (Some(hub), Some(next)) = (hub, next) else { return };
            match hub.call(&next, PATIENCE).await {
                Err(CallError::Closed(_) | CallError::Timeout(_)) => return,
                Err(error) => {
                    tracing::warn!(place = next.place, %error, "the hub does not take what came of a command");
                }
                Ok(()) => {}
            }
            self.state().ended.pop_front_if(|front| *front == next);
        }
    }
}
