//! An exporter's conversation with a hub of not-my-board: it registers its place, lets through whom the hub names, shows
//! its ID token when it is asked, and comes back when the hub was away.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{ConnectionError, HubClient};
use super::tokens::TokenSource;
use super::turns::Turns;
use crate::not_my_board::channel::{CallError, Channel, Methods, Outcome};
use crate::not_my_board::message::{Failure, Params};
use crate::not_my_board::python::arguments;

/// How long the hub may take to register a place, with the sign-in that belongs to it.
const REGISTERING: Duration = Duration::from_mins(1);
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(3);
/// How long it is waited before the hub is tried again: first, and at most.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(15);

/// Why a place is not in the farm.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no connection to the hub.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The hub does not take the place.
    #[error("the hub at {hub} did not register the place: {words}")]
    Refused {
        /// Its address.
        hub: String,
        /// Its words.
        words: String,
    },
    /// The hub went away meanwhile.
    #[error("the hub at {hub} ended the connection before the place was registered")]
    Closed {
        /// Its address.
        hub: String,
    },
    /// It took too long.
    #[error("the hub at {hub} did not register the place within {} s", REGISTERING.as_secs())]
    Timeout {
        /// Its address.
        hub: String,
    },
}

impl ExportError {
    /// Whether trying again may help without a person doing anything. A hub knows the place's old connection for a while
    /// after it broke.
    fn is_passing(&self) -> bool {
        match self {
            Self::Connection(error) => error.is_passing(),
            Self::Refused { words, .. } => words.contains("already registered"),
            Self::Closed { .. } | Self::Timeout { .. } => true,
        }
    }
}

/// How long whoever was let through stays so without a word of the hub.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// While the hub is away.
    pub away: Duration,
    /// After it is back: an agent may have to come back to it too and reserve again. A hub that forgot everything says
    /// nothing.
    pub back: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { away: Duration::from_mins(2), back: Duration::from_secs(30) }
    }
}

/// A place in a farm, as its exporter keeps it there.
pub struct Export {
    hub: HubClient,
    place: Value,
    patience: Patience,
    answers: Arc<Answers>,
}

/// What an exporter answers to the hub.
struct Answers {
    turns: Turns,
    tokens: TokenSource,
    /// Whether the hub said on this connection whom to let through.
    told: AtomicBool,
}

/// A registered place.
struct Registered {
    id: u64,
    channel: Channel,
    served: JoinHandle<()>,
}

impl Export {
    /// The place as the hub is told of it, and the door to it.
    pub fn new(hub: HubClient, place: Value, turns: Turns, tokens: TokenSource, patience: Patience) -> Self {
        let answers = Arc::new(Answers { turns, tokens, told: AtomicBool::new(false) });
        Self { hub, place, patience, answers }
    }

    /// Keeps the place registered until `stop`; `registered` hears its number whenever it is. Nobody is let through who
    /// was not named by the hub within the last two minutes or since it came back.
    ///
    /// # Errors
    ///
    /// When the place could not be registered for a reason that will not pass by itself, such as a missing permission.
    /// Once it was registered, nothing is reason enough to give up.
    pub async fn run(&self, stop: CancellationToken, registered: impl Fn(u64)) -> Result<(), ExportError> {
        let schedule = ExponentialBuilder::default()
            .with_min_delay(FIRST_DELAY)
            .with_max_delay(LONGEST_DELAY)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times();
        // Commands that run meanwhile end with it.
        let _live = self.answers.turns.live();
        if stop.run_until_cancelled(self.answers.turns.begin()).await.is_none() {
            return Ok(());
        }
        let mut delays = schedule.build();
        let mut closing = Closing::default();
        let mut was_registered = false;
        loop {
            self.answers.told.store(false, Ordering::Relaxed);
            let attempt = tokio::time::timeout(REGISTERING, self.register(&stop));
            let Some(attempt) = self.until(&stop, &mut closing, attempt).await else { return Ok(()) };
            match attempt.unwrap_or_else(|_| Err(ExportError::Timeout { hub: self.hub.address().to_owned() }))
            {
                Ok(Registered { id, channel, served }) => {
                    tracing::info!(id, "the place is registered");
                    registered(id);
                    was_registered = true;
                    delays = schedule.build();
                    closing.by(self.patience.back);
                    let lost = self.until(&stop, &mut closing, channel.closed()).await;
                    // Stopped or lost, the goodbye is said there.
                    if tokio::time::timeout(GOODBYE, served).await.is_err() {
                        tracing::debug!("the hub does not hear the goodbye");
                    }
                    if lost.is_none() {
                        return Ok(());
                    }
                    if self.answers.told.load(Ordering::Relaxed) {
                        closing = Closing::default();
                    }
                    closing.by(self.patience.away);
                    tracing::warn!(hub = self.hub.address(), "the hub is gone");
                }
                Err(error) if !was_registered && !error.is_passing() => return Err(error),
                Err(error) => {
                    let delay = delays.next().unwrap_or(LONGEST_DELAY);
                    tracing::warn!("{error}; trying again in {} s", delay.as_secs_f32().round());
                    let pause = tokio::time::sleep(delay);
                    if self.until(&stop, &mut closing, pause).await.is_none() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Connects and registers the place.
    async fn register(&self, stop: &CancellationToken) -> Result<Registered, ExportError> {
        let methods = Arc::new(Arc::clone(&self.answers));
        let (channel, served) = self.hub.talk(methods, stop.clone()).await?;
        let close = CloseOnDrop(&channel);
        let called = channel.call("register_place", json!([self.place])).await;
        let hub = || self.hub.address().to_owned();
        let id = called.map_err(|error| match error {
            CallError::Failed(failure) => ExportError::Refused { hub: hub(), words: failure.message },
            CallError::Closed => ExportError::Closed { hub: hub() },
        })?;
        std::mem::forget(close);
        Ok(Registered { id: id.as_u64().unwrap_or_default(), channel, served })
    }

    /// Waits for something; lets nobody through any more should `closing` come first. `None` when stopped.
    async fn until<F: Future>(
        &self,
        stop: &CancellationToken,
        closing: &mut Closing,
        wanted: F,
    ) -> Option<F::Output> {
        let mut wanted = std::pin::pin!(wanted);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                done = &mut wanted => return Some(done),
                () = closing.came() => {
                    *closing = Closing::default();
                    if !self.answers.told.load(Ordering::Relaxed) {
                        // To nobody, there is nothing that could fail.
                        let _ = self.answers.turns.allow(Vec::new()).await;
                    }
                }
            }
        }
    }
}

/// When the hub's last word stops to count.
#[derive(Default)]
struct Closing(Option<Instant>);

impl Closing {
    /// At the latest after this time.
    fn by(&mut self, after: Duration) {
        let at = Instant::now() + after;
        self.0 = Some(self.0.map_or(at, |known| known.min(at)));
    }

    async fn came(&self) {
        match self.0 {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// Ends a conversation that nobody wants any more.
struct CloseOnDrop<'a>(&'a Channel);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Methods for Arc<Answers> {
    fn call(
        &self,
        _: Channel,
        method: String,
        params: Params,
    ) -> BoxFuture<'static, Result<Outcome, Failure>> {
        let answers = Self::clone(self);
        async move {
            match method.as_str() {
                "set_allowed_ips" => answers.set_allowed_ips(params).await,
                "get_id_token" => {
                    let [] = arguments("Exporter.get_id_token", [], params)?;
                    let token = answers.tokens.id_token().await;
                    let token = token.map_err(|error| {
                        tracing::warn!("the hub asks for an ID token, and there is none: {error}");
                        Failure::raised(error.to_string())
                    })?;
                    Ok(json!(token.expose_secret()).into())
                }
                _ => Err(Failure::no_method()),
            }
        }
        .boxed()
    }
}

impl Answers {
    /// Lets these addresses through and no others; answers when what others had open has ended, and the place is ready.
    async fn set_allowed_ips(&self, params: Params) -> Result<Outcome, Failure> {
        let [addresses] = arguments("Exporter.set_allowed_ips", ["ips"], params)?;
        let addresses = addresses.as_array().map(|list| list.iter().map(address).collect());
        let addresses: Vec<IpAddr> =
            addresses.unwrap_or_else(|| Err(Failure::raised("the addresses must be a list of texts")))?;
        self.told.store(true, Ordering::Relaxed);
        self.turns.allow(addresses).await.map_err(|problem| Failure::raised(problem.to_string()))?;
        Ok(Value::Null.into())
    }
}

/// An address in the hub's words; what zone it is in, is not known here.
fn address(value: &Value) -> Result<IpAddr, Failure> {
    let text = value.as_str().unwrap_or_default();
    let bare = text.split_once('%').map_or(text, |(bare, _)| bare);
    bare.parse()
        .map_err(|_| Failure::raised(format!("'{text}' does not appear to be an IPv4 or IPv6 address")))
}
