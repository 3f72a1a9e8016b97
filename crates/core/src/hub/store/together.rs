//! What is to be written at the same time is written together: whoever comes while a group is written waits for the next
//! one. So under load a few statements serve everybody, and one who is alone waits for nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::Act;

use crate::hub::error::{Error, Result};

/// The most that are written together: others want to write too.
const MOST: usize = 256;

/// Writes a group in one act: all of it or nothing.
pub trait WriteGroup<T>: Send + Sync + 'static {
    /// Waits for a turn to write. Whoever comes meanwhile belongs to the group.
    fn begin(&self) -> BoxFuture<'_, Result<Act>>;

    /// Writes it and commits the act; when this returns, it is durable.
    fn write<'a>(&'a self, act: Act, group: &'a [T]) -> BoxFuture<'a, Result<()>>;
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
        while self.is_more() {
            let begun = writer.begin().await;
            let (entries, done) = self.take();
            match write(&writer, begun, &entries).await {
                Err(error) if entries.len() > 1 && !matches!(error, Error::Unavailable { .. }) => {
                    // Nothing was written, for the sake of one of them: the others shall not suffer from it.
                    for (entry, done) in entries.iter().zip(done) {
                        let begun = writer.begin().await;
                        let _ = done.send(write(&writer, begun, std::slice::from_ref(entry)).await);
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
        self.is_done = true;
    }

    /// Whether something is left to do. If not, the next one who comes has to serve.
    fn is_more(&self) -> bool {
        let mut waiting = waiting(&self.queue);
        waiting.is_served = !waiting.entries.is_empty();
        waiting.is_served
    }

    /// Takes what waits.
    fn take(&self) -> (Vec<T>, Vec<oneshot::Sender<Result<()>>>) {
        let mut waiting = waiting(&self.queue);
        let count = waiting.entries.len().min(MOST);
        (waiting.entries.drain(..count).collect(), waiting.done.drain(..count).collect())
    }
}

async fn write<T: Sync>(writer: &impl WriteGroup<T>, begun: Result<Act>, group: &[T]) -> Result<()> {
    writer.write(begun?, group).await
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
pub(in crate::hub) fn again(error: &Error) -> Error {
    match error {
        Error::Unavailable { what, .. } => Error::Unavailable { what, source: "see the log".into() },
        Error::Invalid { field, problem } => Error::invalid(field.clone(), problem.clone()),
        Error::Forbidden(text) => Error::Forbidden(text.clone()),
        Error::NotFound { kind, name } => Error::not_found(kind, name.clone()),
        Error::Conflict(text) => Error::Conflict(text.clone()),
        other => Error::internal(other.to_string()),
    }
}
