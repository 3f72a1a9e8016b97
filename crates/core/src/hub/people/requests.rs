//! Access requests: somebody without an account asks for one. They are stored first; telling anybody is best effort.

use serde_json::json;

use super::store::requests as table;
use super::{check_email, check_name};
use crate::api::{AccessRequest, NewAccessRequest, NewPerson, Noted, PersonLink, PersonStatus, RoleHeld};
use crate::hub::access::{self, Action, Roles};
use crate::hub::bus::Notice;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::mail::Letter;
use crate::hub::op::Op;
use crate::hub::store::Act;
use crate::id::AccessRequestId;

/// Seeing who asks, and deciding.
pub const DECIDE: Action = Action::new("access_request.decide", Roles::ADMINS);

/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 2000;
/// The most that wait at once; whoever comes later is told the same, and is not written down.
const MOST_WAITING: i64 = 1000;

/// Asks for access. The answer is the same whether or not the address has an account, or has asked before.
pub async fn ask(op: &Op, hub: &Hub, request: &NewAccessRequest) -> Result<Noted> {
    if !hub.people.settings.access_requests {
        return Err(Error::Forbidden("this hub takes no access requests: ask its administrator".to_owned()));
    }
    hub.people.asked.check(op.source)?;
    let email = check_email(&request.email)?.to_owned();
    let name =
        if request.name.trim().is_empty() { email.clone() } else { check_name(&request.name)?.to_owned() };
    let message: String = request.message.trim().to_owned();
    if message.chars().count() > LONGEST_MESSAGE {
        return Err(Error::invalid("message", format!("must have at most {LONGEST_MESSAGE} characters")));
    }
    // Every one counts: ten within a minute are nobody's honest wish.
    hub.people.asked.wrong(op.source);
    let request = NewAccessRequest { email, name, message };
    let mut act = hub.store.begin().await?;
    let (again, waiting) = table::waiting(act.connection(), &request.email).await?;
    let known = super::store::by_email(act.connection(), &request.email).await?.is_some();
    if !again && !known && waiting < MOST_WAITING {
        let id = AccessRequestId::new();
        let source = op.source.map(|source| source.to_string()).unwrap_or_default();
        table::insert(&mut act, id, &request, &source, op.clock.now()).await?;
        hub.record(&mut act, op, about("access_request.made", &id.to_string(), &request.email)).await?;
        tell_administrators(&mut act, op, hub, &request).await?;
        tell_after_commit(&mut act, hub, id);
        act.commit().await?;
    }
    Ok(Noted { message: "Your request was noted. An administrator will answer it.".to_owned() })
}

async fn tell_administrators(act: &mut Act, op: &Op, hub: &Hub, request: &NewAccessRequest) -> Result<()> {
    let link = hub.url.get().map(|url| format!("{url}/people/requests")).unwrap_or_default();
    let NewAccessRequest { email, name, message } = request;
    let letter = Letter::AccessRequested { name, address: email, words: message, link: &link };
    for person in super::store::all(act.connection()).await? {
        if person.status == PersonStatus::Active && person.rights().is_admin() {
            super::write_to(act, op, hub, &person.email, &letter).await?;
        }
    }
    Ok(())
}

/// Those that wait, the newest first; or those that were decided.
pub async fn list(op: &Op, hub: &Hub, status: &str) -> Result<Vec<AccessRequest>> {
    access::require(op, DECIDE)?;
    if !["open", "accepted", "declined"].contains(&status) {
        return Err(Error::invalid("status", "must be open, accepted or declined"));
    }
    table::in_state(&mut *hub.store.read().await?, status).await
}

/// Lets somebody in who asked: an invitation goes out.
pub async fn accept(op: &Op, hub: &Hub, id: &str, roles: &[RoleHeld]) -> Result<PersonLink> {
    let (act, request) = decide(op, hub, id, "accepted").await?;
    let new = NewPerson { email: request.email, name: request.name, roles: roles.to_vec() };
    super::links::invite_in(act, op, hub, &new, true).await
}

/// Does not let somebody in.
pub async fn decline(op: &Op, hub: &Hub, id: &str) -> Result<()> {
    let (mut act, request) = decide(op, hub, id, "declined").await?;
    let letter = Letter::AccessDeclined { words: None };
    super::write_to(&mut act, op, hub, &request.email, &letter).await?;
    act.commit().await
}

/// Writes a decision into an act, in which follows what it leads to.
async fn decide(op: &Op, hub: &Hub, id: &str, status: &str) -> Result<(Act, AccessRequest)> {
    access::require(op, DECIDE)?;
    let missing = || Error::not_found("access request", id);
    let parsed: AccessRequestId = id.parse().map_err(|_| missing())?;
    let mut act = hub.store.begin().await?;
    let request = table::by_id(act.connection(), parsed).await?.ok_or_else(missing)?;
    if !table::decide(&mut act, parsed, status, &op.actor.name(), op.clock.now()).await? {
        return Err(Error::Conflict(format!("the request of {} was decided already", request.email)));
    }
    let action = if status == "accepted" { "access_request.accepted" } else { "access_request.declined" };
    hub.record(&mut act, op, about(action, id, &request.email)).await?;
    tell_after_commit(&mut act, hub, parsed);
    Ok((act, request))
}

fn about(action: &'static str, id: &str, email: &str) -> Event {
    Event {
        action,
        object_kind: "access_request",
        object_id: id.to_owned(),
        object_name: email.to_owned(),
        detail: json!({}),
    }
}

fn tell_after_commit(act: &mut Act, hub: &Hub, id: AccessRequestId) {
    let bus = std::sync::Arc::clone(&hub.bus);
    act.after_commit(move || bus.publish(Notice { topic: "access_request", key: id.to_string() }));
}
