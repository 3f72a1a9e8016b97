//! Signing in at providers: leaving for one, coming back from it, and what becomes of it here. What is said to a
//! provider is in `oidc`; whose account it is, in `account`; the sessions that a provider vouches for, in `vouched`.

mod account;
mod vouched;

use std::collections::BTreeMap;
use std::time::Duration;

use openidconnect::url::Url;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

pub use self::vouched::{refresh_all, sign_out_url};
use super::oidc::{Callback, OidcError, OidcTable, Pending, Provider, SetupError};
use super::secret::Secret;
use super::sessions::{self, Browser, Stage};
use super::{about, sign_in, store, tell_after_commit};
use crate::clock::{from_millis, to_millis};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::{Actor, Op};

/// How long somebody may stay at a provider.
const STAY: Duration = Duration::from_mins(10);

/// The providers of the configuration, by name.
#[derive(Debug, Default)]
pub struct Providers(BTreeMap<String, Provider>);

impl Providers {
    /// As the configuration names them. Asks none of them.
    pub fn new(tables: &BTreeMap<String, OidcTable>) -> Result<Self, SetupError> {
        let make =
            |(name, table): (&String, &OidcTable)| Ok((name.clone(), Provider::new(name, table.clone())?));
        tables.iter().map(make).collect::<Result<_, _>>().map(Self)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.values()
    }

    fn get(&self, name: &str) -> Result<&Provider> {
        self.0.get(name).ok_or_else(|| Error::not_found("provider of sign-in", name))
    }
}

/// Somebody on the way to a provider.
#[derive(Debug)]
pub struct Leaving {
    /// Where the browser goes.
    pub url: String,
    /// What it brings back, in a cookie: sealed, so that nobody else can make one, and nothing need be kept here for
    /// those who never come back.
    pub ticket: String,
}

/// Somebody who is back from a provider.
#[derive(Debug)]
pub struct Arrived {
    /// The cookie's secret.
    pub secret: Secret,
    /// Where to go on the hub.
    pub next: String,
}

/// What a ticket says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ticket {
    pending: Pending,
    next: String,
    until: i64,
}

/// A ticket is good for one provider.
fn place(provider: &str) -> String {
    format!("cookie/provider/{provider}")
}

/// Sends somebody to a provider. `next` is where they want to go on the hub.
pub async fn begin(op: &Op, hub: &Hub, provider: &str, next: &str) -> Result<Leaving> {
    hub.wrong_keys.check(op.source)?;
    let provider = hub.people.providers.get(provider)?;
    let begun = provider.begin(&callback_url(hub, provider)?, &hub.random, &op.clock).await;
    let begun = begun.map_err(|error| told(op, provider, error))?;
    let until = to_millis(op.clock.now() + STAY);
    let ticket = Ticket { pending: begun.pending, next: next.to_owned(), until };
    let ticket = serde_json::to_vec(&ticket).map_err(Error::internal)?;
    Ok(Leaving { url: begun.url.into(), ticket: hub.sealer.seal(&place(provider.name()), &ticket) })
}

/// Signs in whoever comes back from a provider, with the ticket of the browser's cookie and the query of the address.
pub async fn finish(
    op: &Op,
    hub: &Hub,
    provider: &str,
    ticket: Option<&str>,
    query: &str,
    browser: &Browser,
) -> Result<Arrived> {
    hub.wrong_keys.check(op.source)?;
    let provider = hub.people.providers.get(provider)?;
    let callback = Callback::parse(query).map_err(|error| Error::invalid("query", error.to_string()))?;
    let ticket = open(op, hub, provider, ticket, &callback).await?;
    let signed_in = provider.finish(ticket.pending, &callback, &op.clock).await;
    let signed_in = signed_in.map_err(|error| told(op, provider, error))?;

    let mut act = hub.store.begin().await?;
    let person = account::of(&mut act, op, hub, provider, &signed_in.who).await?;
    let (secret, session) =
        sessions::begin(&mut act, hub, &person, Stage::Done, browser, Some(provider.name())).await?;
    vouched::keep(&mut act, hub, session.id, &signed_in.tokens).await?;
    store::signed_in(&mut act, person.id, op.clock.now()).await?;
    let by = sign_in::by(op, &person, Some(session.id));
    hub.record(&mut act, &by, about("person.signed_in", &person, json!({ "with": provider.name() }))).await?;
    tell_after_commit(&mut act, hub, person.id);
    act.commit().await?;
    super::recheck_devices(hub, person.id).await?;
    Ok(Arrived { secret, next: ticket.next })
}

/// The ticket, if it is this browser's, for this provider, in time, and for this answer.
async fn open(
    op: &Op,
    hub: &Hub,
    provider: &Provider,
    ticket: Option<&str>,
    callback: &Callback,
) -> Result<Ticket> {
    let stale = || {
        Error::Forbidden(
            "this sign-in was begun in another browser or window, or too long ago: start it again".to_owned(),
        )
    };
    let opened = hub.sealer.unseal(&place(provider.name()), ticket.ok_or_else(stale)?).await;
    let opened = opened.map_err(|_| stale())?;
    let ticket: Ticket = serde_json::from_slice(opened.expose_secret()).map_err(|_| stale())?;
    let expected = ticket.pending.state().as_bytes();
    let same: bool =
        subtle::ConstantTimeEq::ct_eq(expected, callback.state.expose_secret().as_bytes()).into();
    if same && op.clock.now() < from_millis(ticket.until) { Ok(ticket) } else { Err(stale()) }
}

/// Where providers send people back to: what the operator registers there.
fn callback_url(hub: &Hub, provider: &Provider) -> Result<Url> {
    let base = hub.url.get().ok_or_else(|| Error::Conflict("the hub does not listen yet".to_owned()))?;
    format!("{base}/oidc/callback/{}", provider.name()).parse().map_err(Error::internal)
}

/// What a provider did is in the log; the person is told what to do.
fn told(op: &Op, provider: &Provider, error: OidcError) -> Error {
    let words = error.chain();
    tracing::warn!(request = %op.request, provider = provider.name(), error = words, "a sign-in at a provider failed");
    error.into()
}

/// What a provider's word changes here is changed by the hub.
fn on_its_word(op: &Op) -> Op {
    Op { actor: Actor::Hub("provider of sign-in"), ..op.clone() }
}

/// Until when a provider's word is good enough, and it is time to ask again.
fn is_due(expires_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    const EARLY: Duration = Duration::from_mins(5);
    expires_at - EARLY <= now
}
