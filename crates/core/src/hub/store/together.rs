//! What is to be written at the same time is written together: whoever comes while a group is written waits for the next
//! one. So under load a few statements serve everybody, and one who is alone waits for nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::hub::error::{Error, Result};

/// The most that are written together: others want to write too.
const MOST: usize = 256;

/// Writes a group in one act: all of it or nothing.
pub trait WriteGroup<T>: Send + Sync + 'static {
    /// Writes it; when this returns, it is durable.
    fn write<'a>(&'a self, group: &'a [T]) -> BoxFuture<'a, Result<()>>;
}

/// A queue of what waits to be written.
pub struct Together<T>(Arc<Mutex<Waiting<T>>>);

struct Waiting<T> {
    entries: Vec<T>,
    done: Vec<oneshot::Sender<Result<()>>>,
    /// Whether somebody is there who writes.
    is_served: bool,
}

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Waiting { entries: Vec::new(), done: Vec::new(), is_served: false })))
    }
}

fn waiting<T>(queue: &Mutex<Waiting<T>>) -> MutexGuard<'_, Waiting<T>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + Sync + 'static> Together<T> {
    /// Writes an entry, with what else waits; when this returns, it is durable. The writing goes on if the caller goes away.
    /// `tasks` is where it goes on.
    ///
    /// # Errors
    ///
    /// As the group's; when a group fails for another reason than the database being away, its entries are written one by
    /// one, so that nobody suffers from another's mistake.
    pub async fn write<W>(&self, tasks: &TaskTracker, writer: W, entry: T) -> Result<()>
    where
        W: WriteGroup<T>,
    {
        let (done, told) = oneshot::channel();
        let serves = {
            let mut waiting = waiting(&self.0);
            waiting.entries.push(entry);
            waiting.done.push(done);
            !std::mem::replace(&mut waiting.is_served, true)
        };
        if serves {
            let server = Server { queue: Arc::clone(&self.0), is_done: false };
            tasks.spawn(server.serve(writer));
        }
        told.await.unwrap_or_else(|_| Err(Error::internal("what was to be written was forgotten")))
    }
}

/// Whoever writes as long as something waits.
struct Server<T> {
    queue: Arc<Mutex<Waiting<T>>>,
    is_done: bool,
}

impl<T: Send + Sync + 'static> Server<T> {
    async fn serve(mut self, writer: impl WriteGroup<T>) {
        loop {
            let (entries, done) = {
                let mut waiting = waiting(&self.queue);
                if waiting.entries.is_empty() {
                    waiting.is_served = false;
                    self.is_done = true;
                    return;
                }
                let count = waiting.entries.len().min(MOST);
                let entries: Vec<T> = waiting.entries.drain(..count).collect();
                (entries, waiting.done.drain(..count).collect::<Vec<_>>())
            };
            match writer.write(&entries).await {
                Err(error) if entries.len() > 1 && !matches!(error, Error::Unavailable { .. }) => {
                    for (entry, done) in entries.iter().zip(done) {
                        let _ = done.send(writer.write(std::slice::from_ref(entry)).await);
                    }
                }
                written => {
                    for done in done {
                        // Whoever went away needs no answer.
                        let _ = done.send(written.as_ref().map_err(again).copied());
                    }
                }
            }
        }
    }
}

impl<T> Drop for Server<T> {
    fn drop(&mut self) {
        if !self.is_done {
            // A panic, or the end of the hub. Whoever waits hears that it was forgotten.
            let mut waiting = waiting(&self.queue);
            (waiting.entries, waiting.done) = (Vec::new(), Vec::new());
            waiting.is_served = false;
        }
    }
}

/// What one of several is told who wait for the same act.
fn again(error: &Error) -> Error {
    match error {
        Error::Unavailable { what, .. } => Error::Unavailable { what, source: "see the log".into() },
        Error::Invalid { field, problem } => Error::invalid(field.clone(), problem.clone()),
        Error::Forbidden(text) => Error::Forbidden(text.clone()),
        Error::NotFound { kind, name } => Error::not_found(kind, name.clone()),
        Error::Conflict(text) => Error::Conflict(text.clone()),
        other => Error::internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<Vec<u32>>>>);

    impl WriteGroup<u32> for Written {
        fn write<'a>(&'a self, group: &'a [u32]) -> BoxFuture<'a, Result<()>> {
            async move {
                tokio::task::yield_now().await;
                if group.contains(&13) {
                    return Err(Error::Conflict("unlucky".to_owned()));
                }
                self.0.lock().unwrap().push(group.to_vec());
                Ok(())
            }
            .boxed()
        }
    }

    #[tokio::test]
    async fn a_crowd_shares_groups_and_one_bad_entry_fails_alone() {
        let (queue, tasks, written) = (Together::default(), TaskTracker::new(), Written::default());
        let write = |entry| queue.write(&tasks, written.clone(), entry);
        let all = futures::future::join_all((0..100).map(write)).await;
        for (entry, result) in all.iter().enumerate() {
            assert_eq!(result.is_err(), entry == 13, "{entry}: {result:?}");
        }
        let groups = written.0.lock().unwrap().clone();
        let mut entries = groups.concat();
        assert!(entries.is_sorted(), "in the order in which they came");
        entries.dedup();
        assert_eq!(entries.len(), 99);
        write(7).await.unwrap();
        assert_eq!(written.0.lock().unwrap().last(), Some(&vec![7]));
    }
}
