//! Who is let through to a place, one list of addresses after the other, and what is run in between. This protocol tells
//! no reservations: one begins when the list has an address that it did not have, and has ended when nobody is on it. Two
//! that come from one address without a pause are one.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::clock::Clock;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api::{CommandRun, Occasion};
use crate::node::commands::{Commands, Hooks, NotReady, Tell, Tenant};
use crate::node::export::ExportDescription;
use crate::node::exporter::Exporter;

/// The door of a place, with the commands that are run before somebody else comes in.
pub struct Turns(Arc<Shared>);

struct Shared {
    door: Arc<Exporter>,
    place: String,
    commands: Commands,
    hooks: Hooks,
    /// The number of the newest list.
    latest: AtomicU64,
    ended: CancellationToken,
}

impl Turns {
    /// The door to a place that is described so; for whom commands ran is noted in `folder`.
    pub fn new(door: Arc<Exporter>, description: &ExportDescription, clock: Clock, folder: PathBuf) -> Self {
        Self(Arc::new(Shared {
            door,
            place: description.name.clone(),
            commands: description.commands.clone(),
            hooks: Hooks::new(clock, folder),
            latest: AtomicU64::new(0),
            ended: CancellationToken::new(),
        }))
    }

    /// As long as this lives, commands do.
    pub(super) fn live(&self) -> DropGuard {
        self.0.ended.clone().drop_guard()
    }

    /// Runs what is due for somebody who had the place when this ended the last time: a hub knows no reservations of an
    /// exporter that starts.
    pub(super) async fn begin(&self) {
        if self.has_commands()
            && let Err(NotReady(problem)) = self.end(0).await
        {
            tracing::error!(place = self.0.place, "nobody is let through: {problem}");
        }
    }

    fn has_commands(&self) -> bool {
        self.0.commands.has_hooks() || self.0.hooks.is_due(&self.0.place)
    }

    /// Lets these through and no others; done when the others are out, and what is run before has succeeded.
    pub(super) async fn allow(&self, addresses: Vec<IpAddr>) -> Result<(), NotReady> {
        // Before anything is waited for: lists take effect in the order in which they come.
        let number = self.0.latest.fetch_add(1, Ordering::SeqCst) + 1;
        if !self.has_commands() {
            self.0.door.gate().allow(addresses).ended().await;
            return Ok(());
        }
        if addresses.is_empty() {
            self.0.door.gate().allow([]).ended().await;
            let own = Self(Arc::clone(&self.0));
            // Whoever returns a place does not wait for what is run then.
            self.go(async move {
                if let Err(NotReady(problem)) = own.end(number).await {
                    tracing::error!(place = own.0.place, "nobody is let through: {problem}");
                }
            });
            return Ok(());
        }
        let mut names: Vec<String> =
            addresses.iter().map(|address| address.to_canonical().to_string()).collect();
        names.sort();
        let holder = names.join(", ");
        let tenant = Tenant { id: holder.clone(), holder, name: String::new() };
        if !self.0.door.gate().lets_only(&addresses) {
            self.0.door.gate().allow([]).ended().await;
        }
        let shared = Arc::clone(&self.0);
        let made_ready = self.go(async move {
            shared.hooks.begin(&shared.place, &shared.commands, &tenant, false, &Log).await
        });
        made_ready
            .await
            .ok()
            .flatten()
            .unwrap_or_else(|| Err(NotReady("the exporter is stopping".to_owned())))?;
        if self.is_latest(number) {
            self.0.door.gate().allow(addresses).ended().await;
        }
        Ok(())
    }

    /// Runs what is due after the last one, unless somebody else comes first.
    async fn end(&self, number: u64) -> Result<(), NotReady> {
        let still = || self.is_latest(number);
        self.0.hooks.end(&self.0.place, &self.0.commands, still, &Log).await
    }

    fn is_latest(&self, number: u64) -> bool {
        self.0.latest.load(Ordering::SeqCst) == number
    }

    /// Does something that goes on when the hub is gone, and ends with the exporter.
    fn go<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<Option<T>> {
        tokio::spawn(self.0.ended.clone().run_until_cancelled_owned(work))
    }
}

/// This protocol has no words for commands: they are in the exporter's log, and the problem in its answer.
struct Log;

impl Tell for Log {
    fn began<'a>(&'a self, place: &'a str, occasion: Occasion, _: Duration) -> BoxFuture<'a, ()> {
        tracing::info!(place, "{} begins", occasion.words());
        std::future::ready(()).boxed()
    }

    fn ended<'a>(&'a self, place: &'a str, run: CommandRun, _: bool) -> BoxFuture<'a, ()> {
        tracing::info!(place, output = run.output, "{} {}", run.occasion.words(), run.ending());
        std::future::ready(()).boxed()
    }
}
