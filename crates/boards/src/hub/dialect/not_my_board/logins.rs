//! Sign-ins under way: a command line waits until its browser comes back from the provider. Nothing is decided by it;
//! what the browser brings is passed on to whoever named the same secret state.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::watch;

/// The most that wait at once: anybody who may connect can begin one.
const MOST: usize = 10_000;

/// What a browser brings: the query of the address that it comes back to.
type Query = Map<String, Value>;
type Waiting = HashMap<String, Begun>;

#[derive(Debug)]
struct Begun {
    /// Where the command line is.
    source: IpAddr,
    came: watch::Sender<Option<Query>>,
}

/// Who waits, by state.
#[derive(Debug, Default)]
pub(in crate::hub) struct Logins(Mutex<Waiting>);

/// A sign-in that waits; forgotten with the last who waits for it.
pub(super) struct Login<'a> {
    logins: &'a Logins,
    state: String,
    came: watch::Receiver<Option<Query>>,
}

impl Logins {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait; `None` when too many do.
    pub(super) fn begin(&self, state: &str, source: IpAddr) -> Option<Login<'_>> {
        let mut waiting = self.waiting();
        if waiting.len() >= MOST && !waiting.contains_key(state) {
            return None;
        }
        let begun = waiting.entry(state.to_owned());
        let came = begun.or_insert_with(|| Begun { source, came: watch::Sender::default() }).came.subscribe();
        Some(Login { logins: self, state: state.to_owned(), came })
    }

    /// From where somebody waits with this state.
    pub(in crate::hub) fn source(&self, state: &str) -> Option<IpAddr> {
        self.waiting().get(state).map(|begun| begun.source)
    }

    /// A browser came back; whether anybody waits for it.
    pub(super) fn came(&self, state: &str, query: Query) -> bool {
        let waiting = self.waiting();
        let Some(begun) = waiting.get(state) else { return false };
        begun.came.send_if_modified(|came| {
            let first = came.is_none();
            if first {
                *came = Some(query);
            }
            first
        });
        true
    }
}

impl Login<'_> {
    /// What the browser brought.
    pub(super) async fn query(&mut self) -> Query {
        let came = self.came.wait_for(Option::is_some).await.map(|came| came.clone());
        // The sender stays as long as somebody waits.
        came.ok().flatten().unwrap_or_default()
    }
}

impl Drop for Login<'_> {
    fn drop(&mut self) {
        let mut waiting = self.logins.waiting();
        // This one is still counted.
        if waiting.get(&self.state).is_some_and(|begun| begun.came.receiver_count() <= 1) {
            waiting.remove(&self.state);
        }
    }
}
