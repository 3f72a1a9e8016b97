//! Whose turn it is on a place: whoever had it is out first, then the commands between two reservations are run, then the
//! next holder is let in. Commands go on when the hub is away, and end with the exporter.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_link::rpc::{RpcError, code};

use super::export::{ExportHappening, Exporter};
use crate::api::{CommandRun, Occasion};
use crate::link::{CommandBegan, CommandEnded, HeldLease, NOT_READY, PlaceHeld, PlacePower};
use crate::node::commands::{Commands, NotReady, Tell, Tenant};

impl Exporter {
    /// Takes over who has a place; done when others are out, and the holder is in.
    pub(super) async fn hold(self: &Arc<Self>, held: PlaceHeld) -> Result<(), RpcError> {
        let PlaceHeld { place, lease, standing } = held;
        let commands = self.doors.find(&place).map(|door| door.commands().clone()).unwrap_or_default();
        if commands.has_hooks() || self.hooks.is_due(&place) {
            self.take_turn(&place, lease.clone(), standing.is_some(), commands).await?;
        } else {
            self.let_in(&place, lease.clone()).await?;
        }
        (self.happen)(ExportHappening::Held { place, lease });
        Ok(())
    }

    async fn take_turn(
        self: &Arc<Self>,
        place: &str,
        lease: Option<HeldLease>,
        stands: bool,
        commands: Commands,
    ) -> Result<(), RpcError> {
        let number = self.next_turn(place);
        let Some(lease) = lease else {
            self.let_in(place, None).await?;
            // One whose holder is away may go on.
            if !stands {
                let (exporter, place) = (Arc::clone(self), place.to_owned());
                // Whoever returns a place does not wait for what is run then.
                drop(self.go(async move {
                    let still = || exporter.is_turn(&place, number);
                    exporter.hooks.end(&place, &commands, still, &*exporter).await
                }));
            }
            return Ok(());
        };
        let believed = self.leases().believes(&lease);
        believed.map_err(|stale| RpcError::refused("stale", stale.to_string()))?;
        let has_it = self.leases().has(place, &lease);
        if !has_it {
            self.let_in(place, None).await?;
        }
        let tenant = tenant(&lease);
        let (exporter, own) = (Arc::clone(self), place.to_owned());
        let made_ready =
            self.go(async move { exporter.hooks.begin(&own, &commands, &tenant, has_it, &*exporter).await });
        match made_ready.await {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(NotReady(problem)))) => return Err(RpcError::refused(NOT_READY, problem)),
            _ => return Err(RpcError::new(code::INTERNAL, "the exporter is stopping")),
        }
        if !self.is_turn(place, number) {
            return Err(RpcError::refused("overtaken", format!("{place} is somebody else's by now")));
        }
        self.let_in(place, Some(lease)).await
    }

    /// Switches the power of a place.
    pub(super) async fn power(self: &Arc<Self>, asked: PlacePower) -> Result<CommandRun, RpcError> {
        let door = self.doors.find(&asked.place);
        let door = door
            .ok_or_else(|| RpcError::refused("not_found", format!("{} is not offered here", asked.place)))?;
        let exporter = Arc::clone(self);
        let switched = self.go(async move {
            let tenant = asked.lease.as_ref().map(tenant);
            let (place, tell) = (&asked.place, &*exporter);
            let commands = door.commands();
            exporter.hooks.power(place, commands, asked.command, &asked.asker, tenant.as_ref(), tell).await
        });
        match switched.await {
            Ok(Some(switched)) => switched.map_err(|NotReady(why)| RpcError::refused("conflict", why)),
            _ => Err(RpcError::new(code::INTERNAL, "the exporter is stopping")),
        }
    }

    /// Does something that goes on when whoever asked for it is gone, and that ends with the exporter.
    fn go<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<Option<T>> {
        tokio::spawn(self.ended.clone().run_until_cancelled_owned(work))
    }

    fn next_turn(&self, place: &str) -> u64 {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(place.to_owned()).or_default();
        *turn += 1;
        *turn
    }

    /// Whether nothing was told of a place since then.
    fn is_turn(&self, place: &str, number: u64) -> bool {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).get(place) == Some(&number)
    }
}

fn tenant(lease: &HeldLease) -> Tenant {
    Tenant { id: lease.id.clone(), holder: lease.holder.clone(), name: lease.name.clone() }
}

impl Tell for Exporter {
    fn began<'a>(&'a self, place: &'a str, occasion: Occasion, within: Duration) -> BoxFuture<'a, ()> {
        let began = CommandBegan { place: place.to_owned(), occasion, within: within.as_secs() };
        self.reports.began(began).boxed()
    }

    fn ended<'a>(&'a self, place: &'a str, run: CommandRun, closes: bool) -> BoxFuture<'a, ()> {
        (self.happen)(ExportHappening::Ran { place: place.to_owned(), run: run.clone() });
        self.reports.ended(CommandEnded { place: place.to_owned(), run, closes }).boxed()
    }
}
