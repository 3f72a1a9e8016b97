//! What is run between two reservations of a place, in the right order and once: `after` for the one that has ended, then
//! `before` for the one that begins. `after` follows every `before` that was begun.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use nave_core::clock::Clock;
use tokio::sync::Mutex as Turn;

use super::kept::{Files, Kept, Process, Tenant};
use super::run::{self, Ran};
use super::{Commands, Line};
use crate::api::{CommandRun, Occasion, Outcome, PowerCommand};

/// Why nobody is let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub String);

/// Hears of commands.
pub trait Tell: Send + Sync {
    /// One runs from now on, for this long at the most.
    fn began<'a>(&'a self, place: &'a str, occasion: Occasion, within: Duration) -> BoxFuture<'a, ()>;

    /// It has ended; if it `closes` the place, nobody is let in since it failed.
    fn ended<'a>(&'a self, place: &'a str, run: CommandRun, closes: bool) -> BoxFuture<'a, ()>;
}

/// For whom the command after the reservation failed last.
type Failed = Option<String>;

/// The commands of places, one at a time for each place.
pub struct Hooks {
    clock: Clock,
    files: Files,
    turns: Mutex<BTreeMap<String, Arc<Turn<Failed>>>>,
}

impl Hooks {
    /// What was run for whom is noted in `folder`.
    pub fn new(clock: Clock, folder: PathBuf) -> Self {
        Self { clock, files: Files::new(folder), turns: Mutex::default() }
    }

    fn turn(&self, place: &str) -> Arc<Turn<Failed>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(place.to_owned()).or_default())
    }

    /// Makes a place ready for somebody. A reservation that goes on needs nothing; `has_it` says that somebody has the
    /// place already, who got it before there was anything to run.
    ///
    /// # Errors
    ///
    /// When a command failed: nobody may be let in.
    pub async fn begin(
        &self,
        place: &str,
        commands: &Commands,
        tenant: &Tenant,
        has_it: bool,
        tell: &dyn Tell,
    ) -> Result<(), NotReady> {
        let turn = self.turn(place);
        let mut failed = turn.lock().await;
        let mut kept = self.files.read(place);
        if let Some(earlier) = kept.take_if(|kept| kept.tenant.id != tenant.id) {
            self.after(place, commands, earlier, &mut failed, tell).await?;
        }
        let is_ready = has_it || kept.as_ref().is_some_and(|kept| kept.is_ready);
        let mut now = Kept { tenant: tenant.clone(), is_ready, running: None };
        if kept.as_ref() != Some(&now) {
            self.note(place, Some(&now));
        }
        if is_ready {
            return Ok(());
        }
        for line in commands.lines_before() {
            self.hook(place, commands, &now, line, tell).await?;
        }
        now.is_ready = true;
        self.note(place, Some(&now));
        Ok(())
    }

    /// Nobody has a place any more: runs what is due, unless that is not so any more when its turn comes.
    ///
    /// # Errors
    ///
    /// When a command failed; it is run again before the next holder is let in.
    pub async fn end(
        &self,
        place: &str,
        commands: &Commands,
        still: impl Fn() -> bool,
        tell: &dyn Tell,
    ) -> Result<(), NotReady> {
        let turn = self.turn(place);
        let mut failed = turn.lock().await;
        match self.files.read(place) {
            // What failed is not tried again before that matters.
            Some(kept) if still() && failed.as_ref() != Some(&kept.tenant.id) => {
                self.after(place, commands, kept, &mut failed, tell).await
            }
            _ => Ok(()),
        }
    }

    /// Whether something may be due for a reservation.
    pub fn is_due(&self, place: &str) -> bool {
        self.files.has(place)
    }

    async fn after(
        &self,
        place: &str,
        commands: &Commands,
        kept: Kept,
        failed: &mut Failed,
        tell: &dyn Tell,
    ) -> Result<(), NotReady> {
        *failed = Some(kept.tenant.id.clone());
        for line in commands.lines_after() {
            self.hook(place, commands, &kept, line, tell).await?;
        }
        *failed = None;
        self.note(place, None);
        Ok(())
    }

    /// Switches the power.
    ///
    /// # Errors
    ///
    /// When that cannot be tried now, or not at all.
    pub async fn power(
        &self,
        place: &str,
        commands: &Commands,
        command: PowerCommand,
        asker: &str,
        tenant: Option<&Tenant>,
        tell: &dyn Tell,
    ) -> Result<CommandRun, NotReady> {
        let lines = commands.lines_of(command);
        if lines.is_empty() {
            return Err(NotReady(format!(
                "the description of {place} has no `{}` in [power]",
                command.word()
            )));
        }
        let turn = self.turn(place);
        let _one_at_a_time = turn.try_lock().map_err(|_| {
            NotReady(format!("a command is running for {place} already: try again when it has ended"))
        })?;
        let began = self.clock.now();
        let mut whole = Ran { outcome: Outcome::Done, status: Some(0), output: String::new() };
        for (occasion, line, limit) in lines {
            // Whoever asks how it stands keeps nobody waiting.
            if command != PowerCommand::Status {
                tell.began(place, occasion, limit).await;
            }
            let ran =
                run::run(line, &commands.folder, &environment(place, occasion, asker, tenant), limit, |_| {})
                    .await;
            whole = Ran { output: whole.output + &ran.output, ..ran };
            if whole.outcome != Outcome::Done {
                break;
            }
        }
        let run =
            CommandRun { holder: asker.to_owned(), ..self.told(command.occasion(), began, tenant, whole) };
        if command != PowerCommand::Status {
            tell.ended(place, run.clone(), false).await;
        }
        Ok(run)
    }

    /// Runs one command between reservations.
    async fn hook(
        &self,
        place: &str,
        commands: &Commands,
        kept: &Kept,
        (occasion, line, limit): Line<'_>,
        tell: &dyn Tell,
    ) -> Result<(), NotReady> {
        tell.began(place, occasion, limit).await;
        let (began, tenant) = (self.clock.now(), &kept.tenant);
        let environment = environment(place, occasion, &tenant.holder, Some(tenant));
        let started = |pid| self.note(place, Some(&Kept { running: Process::of(pid), ..kept.clone() }));
        let ran = run::run(line, &commands.folder, &environment, limit, started).await;
        let run = self.told(occasion, began, Some(tenant), ran);
        let problem = run.problem();
        tell.ended(place, run, problem.is_some()).await;
        problem.map_or(Ok(()), |problem| Err(NotReady(problem)))
    }

    fn told(
        &self,
        occasion: Occasion,
        began: time::OffsetDateTime,
        tenant: Option<&Tenant>,
        ran: Ran,
    ) -> CommandRun {
        CommandRun {
            occasion,
            reservation: tenant.map(|tenant| tenant.id.clone()).filter(|id| !id.is_empty()),
            holder: tenant.map(|tenant| tenant.holder.clone()).unwrap_or_default(),
            began,
            ended: self.clock.now(),
            outcome: ran.outcome,
            status: ran.status,
            output: ran.output,
        }
    }

    fn note(&self, place: &str, kept: Option<&Kept>) {
        if let Err(error) = self.files.write(place, kept) {
            tracing::error!(place, %error, "it is not noted for whom commands were run: after a restart they may run twice");
        }
    }
}

/// What a command knows. Names come from elsewhere, and are never put into the line itself.
fn environment(
    place: &str,
    occasion: Occasion,
    holder: &str,
    tenant: Option<&Tenant>,
) -> [(&'static str, String); 5] {
    [
        ("NAVE_PLACE", place.to_owned()),
        ("NAVE_OCCASION", occasion.word().to_owned()),
        ("NAVE_HOLDER", holder.to_owned()),
        ("NAVE_RESERVATION", tenant.map(|tenant| tenant.name.clone()).unwrap_or_default()),
        ("NAVE_RESERVATION_ID", tenant.map(|tenant| tenant.id.clone()).unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests;
