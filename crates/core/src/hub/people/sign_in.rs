//! Signing in: a password, then a code or, the first time, a new authenticator; or a provider's word. Each step that
//! succeeds gives the browser a new secret. Nothing here tells whether an address has an account.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::config::SecondFactor;
use super::second_factor::{self, RecoveryCodes};
use super::secret::Secret;
use super::sessions::{self, Browser, Found, Stage};
use super::store::{self, PersonRow};
use super::{about, tell_after_commit};
use crate::api::PersonStatus;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::op::{Actor, Op};
use crate::hub::store::Act;

/// What the browser gets.
#[derive(Debug)]
pub struct SignedIn {
    /// The cookie's secret, in the place of any before it.
    pub secret: Secret,
    /// What is wanted next.
    pub stage: Stage,
}

/// The first step.
pub async fn with_password(
    op: &Op,
    hub: &Hub,
    email: &str,
    password: &SecretString,
    browser: &Browser,
) -> Result<SignedIn> {
    let email = email.trim();
    let name = throttle_name(email);
    hub.wrong_keys.check(op.source)?;
    hub.people.wrong_names.check_name(&name)?;
    let person = store::by_email(&mut *hub.store.read().await?, email).await?;
    let hash = person.as_ref().and_then(|person| person.password_hash.as_deref());
    let right = hub.people.passwords.check(password, hash).await?;
    let person = person.filter(|person| right && person.status == PersonStatus::Active);
    let Some(person) = person else {
        wrong(op, hub, &name, "password").await?;
        return Err(Error::Unauthenticated(
            "the address or the password is wrong, or the account is not in use".to_owned(),
        ));
    };
    // The count goes on until the code is right too: whoever has the password must not guess codes for free.
    let optional = hub.people.settings.second_factor == SecondFactor::Optional;
    let stage = match person.totp_confirmed {
        true => Stage::Code,
        false if optional => Stage::Done,
        false => Stage::Enroll,
    };
    let mut act = hub.store.begin().await?;
    let signed_in = advance(&mut act, op, hub, &person, stage, browser, "password").await?;
    act.commit().await?;
    if stage == Stage::Done {
        hub.people.wrong_names.right_name(&name);
    }
    Ok(signed_in)
}

/// The second step: a code of the authenticator, or a recovery code.
pub async fn with_code(op: &Op, hub: &Hub, found: &Found, code: &str, browser: &Browser) -> Result<SignedIn> {
    let person = &found.person;
    if found.session.stage != Stage::Code {
        return Err(Error::Conflict("no code is wanted here: sign in anew".to_owned()));
    }
    let name = throttle_name(&person.email);
    hub.wrong_keys.check(op.source)?;
    hub.people.wrong_names.check_name(&name)?;
    let mut act = hub.store.begin().await?;
    let person = &fresh(&mut act, person).await?;
    let how = if second_factor::check(hub, &mut act, person, code).await? {
        "code"
    } else if second_factor::check_recovery(hub, &mut act, person, code).await? {
        "recovery code"
    } else {
        drop(act);
        wrong(op, hub, &name, "code").await?;
        return Err(Error::invalid("code", "is not right, or was used already: wait for the next one"));
    };
    store::sessions::delete(&mut act, found.session.id).await?;
    let signed_in = advance(&mut act, op, hub, person, Stage::Done, browser, how).await?;
    act.commit().await?;
    hub.people.wrong_names.right_name(&name);
    hub.wrong_keys.right(op.source);
    Ok(signed_in)
}

/// The other second step: a first code of a new authenticator makes it count.
pub async fn enroll(
    op: &Op,
    hub: &Hub,
    found: &Found,
    code: &str,
    browser: &Browser,
) -> Result<(SignedIn, RecoveryCodes)> {
    let person = &found.person;
    if person.totp_confirmed || found.session.stage == Stage::Code {
        return Err(Error::Conflict("this account has a second factor already".to_owned()));
    }
    let name = throttle_name(&person.email);
    hub.people.wrong_names.check_name(&name)?;
    let mut act = hub.store.begin().await?;
    let person = &fresh(&mut act, person).await?;
    if !second_factor::check(hub, &mut act, person, code).await? {
        drop(act);
        wrong(op, hub, &name, "code").await?;
        return Err(Error::invalid(
            "code",
            "is not the one that belongs to this picture now: check the clock of the phone, then take the next code",
        ));
    }
    let codes = second_factor::confirm(hub, &mut act, person.id).await?;
    hub.record(&mut act, &by(op, person, None), about("person.second_factor_set", person, Value::Null))
        .await?;
    store::sessions::delete(&mut act, found.session.id).await?;
    let signed_in = advance(&mut act, op, hub, person, Stage::Done, browser, "new second factor").await?;
    act.commit().await?;
    hub.people.wrong_names.right_name(&name);
    Ok((signed_in, codes))
}

/// The person as it is in this act: what another request did meanwhile counts.
async fn fresh(act: &mut Act, person: &PersonRow) -> Result<PersonRow> {
    let row = super::active(act.connection(), person.id).await?;
    row.ok_or_else(|| Error::Unauthenticated("this account is not in use: ask an administrator".to_owned()))
}

/// Somebody who has just shown a one-time link, or whom a provider vouches for.
pub(super) async fn advance(
    act: &mut Act,
    op: &Op,
    hub: &Hub,
    person: &PersonRow,
    stage: Stage,
    browser: &Browser,
    how: &str,
) -> Result<SignedIn> {
    let (secret, session) = sessions::begin(act, hub, person, stage, browser, None).await?;
    if stage == Stage::Done {
        store::signed_in(act, person.id, hub.clock.now()).await?;
        let op = by(op, person, Some(session.id));
        hub.record(act, &op, about("person.signed_in", person, json!({ "with": how }))).await?;
        tell_after_commit(act, hub, person.id);
    }
    Ok(SignedIn { secret, stage })
}

/// From the moment that it proved who it is, what the person does is done by the person.
pub(super) fn by(op: &Op, person: &PersonRow, session: Option<crate::id::SessionId>) -> Op {
    let actor = Actor::Person(crate::hub::op::Person {
        id: person.id,
        name: person.name.clone(),
        rights: std::sync::Arc::new(person.rights()),
        via: crate::hub::op::Via::Session(session.unwrap_or_default()),
    });
    Op { actor, ..op.clone() }
}

/// Accounts are counted by a digest, so that what somebody typed into the wrong field stays nowhere.
fn throttle_name(email: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, email.to_lowercase().as_bytes());
    hex::encode(&digest.as_ref()[..16])
}

/// The first of a series that earns a delay is worth a line in the audit log.
async fn wrong(op: &Op, hub: &Hub, name: &str, what: &str) -> Result<()> {
    let source = op.source.map(|source| source.to_string()).unwrap_or_default();
    let by_source = hub.wrong_keys.wrong(op.source);
    let by_name = hub.people.wrong_names.wrong_name(name);
    if !by_source && !by_name {
        return Ok(());
    }
    let event = Event {
        action: "source.throttled",
        object_kind: "source",
        object_id: source.clone(),
        object_name: source,
        detail: json!({ "wrong": what }),
    };
    let mut act = hub.store.begin().await?;
    hub.record(&mut act, op, event).await?;
    act.commit().await
}
