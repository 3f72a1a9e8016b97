//! Sessions: what a browser's cookie stands for. They end when they are not used, after a while whatever happens, and
//! at once when somebody ends them. How one comes about is in `sign_in`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;

use super::secret::Secret;
use super::store::sessions::{self as table, SessionRow};
use super::store::{self, PersonRow};
use super::{about, tell_after_commit};
use crate::api::{PersonStatus, Session};
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::{Op, Person, Via};
use crate::hub::store::Act;
use crate::id::SessionId;

/// How exactly it is noted when a session was used: a write a minute, not one a request.
const NOTED_EVERY: Duration = Duration::from_mins(1);
/// How long a sign-in may take that still wants something.
pub(super) const SIGN_IN_TIME: Duration = Duration::from_mins(15);
/// How much of what a browser calls itself is kept.
const LONGEST_AGENT: usize = 200;

/// How far a sign-in has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The password was right; a code is wanted.
    Code,
    /// The password was right; an authenticator must be set up.
    Enroll,
    /// It is complete.
    Done,
}

impl Stage {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Enroll => "enroll",
            Self::Done => "done",
        }
    }

    pub(super) fn from_word(word: &str) -> Self {
        match word {
            "done" => Self::Done,
            "enroll" => Self::Enroll,
            _ => Self::Code,
        }
    }
}

/// What a request's cookie stands for.
#[derive(Clone, Debug)]
pub struct Found {
    /// The session.
    pub session: SessionRow,
    /// Whose it is; active.
    pub person: PersonRow,
}

impl Found {
    /// The person, if the sign-in is complete.
    pub fn actor(&self) -> Option<Person> {
        (self.session.stage == Stage::Done).then(|| Person {
            id: self.person.id,
            name: self.person.name.clone(),
            rights: Arc::new(self.person.rights()),
            via: Via::Session(self.session.id),
        })
    }
}

/// Where a browser is and what it calls itself.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its `User-Agent`.
    pub agent: String,
}

/// The session of a cookie, if it is still good.
pub async fn find(hub: &Hub, secret: &Secret, address: Option<IpAddr>) -> Result<Option<Found>> {
    let now = hub.clock.now();
    let mut reader = hub.store.read().await?;
    let Some(session) = table::by_secret(&mut reader, &secret.hash()).await? else { return Ok(None) };
    if !is_good(hub, &session, now) {
        return Ok(None);
    }
    let person = store::by_id(&mut reader, session.person).await?;
    let Some(person) = person.filter(|person| person.status == PersonStatus::Active) else { return Ok(None) };
    drop(reader);
    if now - session.last_seen_at >= NOTED_EVERY {
        let mut act = hub.store.begin().await?;
        table::seen(&mut act, session.id, now, &text(address)).await?;
        act.commit().await?;
    }
    Ok(Some(Found { session, person }))
}

fn is_good(hub: &Hub, session: &SessionRow, now: OffsetDateTime) -> bool {
    session.expires_at > now && now - session.last_seen_at < hub.people.settings.session_idle
}

/// Whether a session still stands: what keeps a page live asks this now and then.
pub async fn stands(hub: &Hub, id: SessionId) -> Result<bool> {
    let session = table::by_id(&mut *hub.store.read().await?, id).await?;
    // Watching a page counts as using it, as far as the time without use goes.
    Ok(session.is_some_and(|session| session.expires_at > hub.clock.now()))
}

/// Whoever acts by a session, with what it may do now; `None` when the session or the account has ended.
pub(crate) async fn renewed(hub: &Hub, id: SessionId) -> Result<Option<Person>> {
    let mut reader = hub.store.read().await?;
    let Some(session) = table::by_id(&mut reader, id).await? else { return Ok(None) };
    if session.expires_at <= hub.clock.now() {
        return Ok(None);
    }
    let person = store::by_id(&mut reader, session.person).await?;
    let person = person.filter(|person| person.status == PersonStatus::Active);
    Ok(person.and_then(|person| Found { session, person }.actor()))
}

/// Writes a new session into an act.
pub(super) async fn begin(
    act: &mut Act,
    hub: &Hub,
    person: &PersonRow,
    stage: Stage,
    browser: &Browser,
    provider: Option<&str>,
) -> Result<(Secret, SessionRow)> {
    let now = hub.clock.now();
    let longest = if stage == Stage::Done { hub.people.settings.session_longest } else { SIGN_IN_TIME };
    let row = SessionRow {
        id: SessionId::new(),
        person: person.id,
        stage,
        created_at: now,
        last_seen_at: now,
        expires_at: now + longest,
        address: text(browser.address),
        agent: browser.agent.chars().filter(|c| !c.is_control()).take(LONGEST_AGENT).collect(),
        provider: provider.map(ToOwned::to_owned),
        tokens: None,
    };
    let secret = Secret::generate(&hub.random);
    table::insert(act, &row, &secret.hash()).await?;
    Ok((secret, row))
}

/// Somebody's sessions: one's own, or for an administrator anybody's.
pub async fn list(op: &Op, hub: &Hub, who: &str) -> Result<Vec<Session>> {
    let current = match access::require_person(op) {
        Ok(me) if me.id.to_string() == who => match me.via {
            Via::Session(id) => Some(id),
            Via::Token(_) | Via::Device(_) | Via::Program(_) => None,
        },
        _ => {
            access::require(op, super::READ)?;
            None
        }
    };
    let mut reader = hub.store.read().await?;
    let person = super::find(&mut reader, who).await?;
    let now = hub.clock.now();
    let rows = table::of_person(&mut reader, person.id).await?;
    Ok(rows
        .into_iter()
        .filter(|row| is_good(hub, row, now))
        .map(|row| Session {
            id: row.id.to_string(),
            person: person.name.clone(),
            current: current == Some(row.id),
            address: row.address,
            agent: row.agent,
            provider: row.provider,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        })
        .collect())
}

/// Ends a session: one's own, or for an administrator anybody's. Signing out is ending the one that asks.
pub async fn end(op: &Op, hub: &Hub, id: &str) -> Result<()> {
    let me = access::require_person(op).map(|me| me.id);
    if me.is_err() {
        access::require(op, super::RESET)?;
    }
    let missing = || Error::not_found("session", id);
    let parsed: SessionId = id.parse().map_err(|_| missing())?;
    let mut act = hub.store.begin().await?;
    let session = table::by_id(act.connection(), parsed).await?.ok_or_else(missing)?;
    if me.is_ok_and(|me| me != session.person) && access::require(op, super::RESET).is_err() {
        // Whose sessions there are is nobody else's business.
        return Err(missing());
    }
    let row = super::find(act.connection(), &session.person.to_string()).await?;
    table::delete(&mut act, parsed).await?;
    hub.record(&mut act, op, about("person.session_ended", &row, json!({ "session": id }))).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await
}

/// Ends all of one's own sessions but the one that asks.
pub async fn end_others(op: &Op, hub: &Hub) -> Result<u64> {
    let me = access::require_person(op)?;
    let but = match me.via {
        Via::Session(id) => Some(id),
        Via::Token(_) | Via::Device(_) | Via::Program(_) => None,
    };
    let mut act = hub.store.begin().await?;
    let row = super::find(act.connection(), &me.id.to_string()).await?;
    let ended = table::delete_of(&mut act, me.id, but).await?;
    hub.record(&mut act, op, about("person.sessions_ended", &row, json!({ "sessions": ended }))).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await?;
    Ok(ended)
}

/// Forgets what has ended: sessions, tokens, links, devices that wait, programs. Returns how many.
pub async fn forget_ended(op: &Op, hub: &Hub) -> Result<u64> {
    access::require(op, super::RESET)?;
    let now = hub.clock.now();
    // A day's grace: what ended recently is still told from what never was.
    let yesterday = now - Duration::from_hours(24);
    let mut act = hub.store.begin().await?;
    let mut gone = table::delete_ended(&mut act, now, now - hub.people.settings.session_idle).await?;
    gone += store::tokens::delete_ended(&mut act, yesterday).await?;
    gone += store::links::delete_ended(&mut act, yesterday).await?;
    gone += store::devices::delete_ended(&mut act, yesterday).await?;
    act.commit().await?;
    Ok(gone + super::idp::forget_ended(op, hub).await?)
}

fn text(address: Option<IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}
