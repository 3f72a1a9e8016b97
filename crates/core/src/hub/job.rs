//! Reconcilers: idempotent work in the background, woken by a timer and by what happens, whose state can be listed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::context::Hub;
use super::error::Result;
use crate::api::JobView;

type Run = Box<dyn Fn(Arc<Hub>) -> BoxFuture<'static, Result<String>> + Send + Sync>;

/// The pause between two runs of a job that always finds something to do, or fails.
const SHORTEST: Duration = Duration::from_millis(10);

/// One reconciler.
pub struct Job {
    /// Its name: `noun.verb`.
    pub name: &'static str,
    /// How often it runs at least.
    pub every: Duration,
    /// Notices on this topic wake it.
    pub wake_on: Option<&'static str>,
    next: fn(&Hub) -> Option<Duration>,
    run: Run,
}

impl Job {
    /// A job that says in a few words what it did.
    pub fn new<F>(
        name: &'static str,
        every: Duration,
        wake_on: Option<&'static str>,
        run: impl Fn(Arc<Hub>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<String>> + Send + 'static,
    {
        Self { name, every, wake_on, next: |_| None, run: Box::new(move |hub| Box::pin(run(hub))) }
    }

    /// The same, which also runs when this says: how long it is, after each run, until there is something to do.
    #[must_use]
    pub fn and_when(self, next: fn(&Hub) -> Option<Duration>) -> Self {
        Self { next, ..self }
    }
}

/// How the jobs are.
#[derive(Debug, Default)]
pub struct Jobs(Mutex<BTreeMap<&'static str, State>>);

#[derive(Clone, Debug, Default)]
struct State {
    every: Duration,
    last_run: Option<OffsetDateTime>,
    last_outcome: String,
    failures: u32,
}

/// The state of every job.
pub fn list(hub: &Hub) -> Vec<JobView> {
    let jobs = hub.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.iter()
        .map(|(name, state)| JobView {
            name: (*name).to_owned(),
            every_seconds: state.every.as_secs(),
            last_run: state.last_run,
            last_outcome: state.last_outcome.clone(),
            failures: state.failures,
        })
        .collect()
}

/// Runs a job until the hub stops.
pub fn start(hub: Arc<Hub>, job: Job, stop: CancellationToken) {
    note(&hub, job.name, |state| state.every = job.every);
    let tasks = hub.tasks.clone();
    tasks.spawn(async move {
        // A job that nothing wakes hears nothing: every notice would be handed to each of them.
        let mut notices = job.wake_on.map(|topic| (topic, hub.bus.subscribe()));
        let mut timer = tokio::time::interval(job.every);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = (job.next)(&hub);
            let due = async {
                match due {
                    Some(left) => tokio::time::sleep(left.max(SHORTEST)).await,
                    None => std::future::pending().await,
                }
            };
            let woken = async {
                let Some((topic, notices)) = &mut notices else { return std::future::pending().await };
                loop {
                    match notices.recv().await {
                        Ok(notice) if notice.topic == *topic => return,
                        Err(tokio::sync::broadcast::error::RecvError::Closed) => std::future::pending().await,
                        _ => {}
                    }
                }
            };
            tokio::select! {
                _ = timer.tick() => {}
                () = woken => {}
                () = due => {}
                () = stop.cancelled() => return,
            }
            // A reconciler may be cut anywhere: what it had not committed, it does again.
            let outcome = tokio::select! {
                outcome = (job.run)(Arc::clone(&hub)) => outcome,
                () = stop.cancelled() => return,
            };
            let now = hub.clock.now();
            note(&hub, job.name, |state| {
                state.last_run = Some(now);
                match outcome {
                    Ok(words) => (state.last_outcome, state.failures) = (words, 0),
                    Err(error) => {
                        tracing::warn!(job = job.name, %error, "a background job failed; it runs again");
                        state.last_outcome = error.message();
                        state.failures += 1;
                    }
                }
            });
        }
    });
}

fn note(hub: &Hub, name: &'static str, change: impl FnOnce(&mut State)) {
    change(hub.jobs.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default());
}

/// The core's own jobs.
pub fn core_jobs() -> Vec<Job> {
    let mut jobs = vec![
        Job::new("invites.forget_expired", Duration::from_mins(5), None, |hub| async move {
            let op = hub.op("invites.forget_expired");
            let freed = super::nodes::forget_expired(&op, &hub).await?;
            Ok(format!("{freed} kept names freed"))
        }),
        Job::new("streams.forget_stale", Duration::from_secs(15), None, |hub| async move {
            let forgotten = hub.streams.forget_stale(hub.clock.now());
            Ok(format!("{forgotten} streams forgotten"))
        }),
        Job::new("sessions.forget_ended", Duration::from_mins(10), None, |hub| async move {
            let op = hub.op("sessions.forget_ended");
            let forgotten = super::people::sessions::forget_ended(&op, &hub).await?;
            Ok(format!("{forgotten} sessions, tokens and links forgotten"))
        }),
        Job::new("sessions.ask_providers", Duration::from_mins(5), None, |hub| async move {
            super::people::providers::refresh_all(&hub.op("sessions.ask_providers"), &hub).await
        }),
        Job::new("bulk.prepare", Duration::from_mins(1), None, |hub| async move {
            let sets = super::running::bulk_sets(&hub.fleets);
            hub.bulk.prepare_bulk(&sets, &hub.clock).await?;
            Ok("bulk data can be kept".to_owned())
        }),
        Job::new("events.forget_old", Duration::from_hours(6), None, |hub| async move {
            let op = hub.op("events.forget_old");
            let before = hub.clock.now() - hub.settings.keep_events;
            let forgotten = super::event::forget_before(&op, &hub.store, before).await?;
            Ok(format!("{forgotten} events forgotten"))
        }),
    ];
    jobs.extend(super::mail::jobs());
    jobs.extend(super::leases::jobs());
    jobs.extend(super::tasks::jobs());
    jobs
}
