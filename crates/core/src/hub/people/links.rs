//! One-time links: the first administrator's, invitations, new passwords. Whoever holds one is believed once, until it
//! ends; the hub keeps only hashes.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::secret::Secret;
use super::sessions::{Browser, Stage};
use super::sign_in::{self, SignedIn};
use super::store::links::{self as table, LinkRow};
use super::store::{self, PersonRow};
use super::{about, check_email, check_name, password, tell_after_commit};
use crate::api::{NewPerson, PersonLink, PersonStatus, Role};
use crate::hub::access::{self, Scope};
use crate::hub::config::Period;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::mail::{self, Letter};
use crate::hub::op::Op;
use crate::hub::store::Act;
use crate::id::PersonId;

/// For how long the first administrator's link is good; every start of the hub makes a new one.
const SETUP_TIME: Duration = Duration::from_hours(24);
/// For how long a link for a new password is good.
const RESET_TIME: Duration = Duration::from_hours(2);

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Making the first administrator.
    Setup,
    /// Accepting an invitation.
    Invitation,
    /// Setting a new password.
    Reset,
}

impl LinkKind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }

    pub(super) fn from_word(word: &str) -> Self {
        match word {
            "setup" => Self::Setup,
            "invitation" => Self::Invitation,
            _ => Self::Reset,
        }
    }
}

/// A link that is good, before it is used.
#[derive(Clone, Debug)]
pub struct OpenLink {
    /// What it is for.
    pub kind: LinkKind,
    /// For whom.
    pub person: Option<PersonRow>,
    /// Who made it.
    pub created_by: String,
}

/// What somebody fills in who holds a link.
#[derive(Debug)]
pub struct Answer {
    /// The address; only the first administrator chooses it.
    pub email: String,
    /// What others will call it.
    pub name: String,
    /// The password.
    pub password: SecretString,
}

/// The link by which the first administrator comes in, in the place of those from before; `None` once there is one.
pub async fn setup(op: &Op, hub: &Hub) -> Result<Option<Zeroizing<String>>> {
    access::require(op, super::INVITE)?;
    let mut act = hub.store.begin().await?;
    if store::count_admins(act.connection()).await? > 0 {
        return Ok(None);
    }
    table::delete_of(&mut act, None).await?;
    let (link, _) = make(&mut act, op, hub, LinkKind::Setup, None, SETUP_TIME).await?;
    act.commit().await?;
    Ok(Some(link))
}

/// Invites a person. Inviting somebody again who has not come yet makes a new link.
pub async fn invite(op: &Op, hub: &Hub, new: &NewPerson) -> Result<PersonLink> {
    access::require(op, super::INVITE)?;
    invite_in(hub.store.begin().await?, op, hub, new, false).await
}

/// As [`invite`], with what an act holds already. `asked` is whether the person asked for it, which the letter then says.
pub(super) async fn invite_in(
    mut act: Act,
    op: &Op,
    hub: &Hub,
    new: &NewPerson,
    asked: bool,
) -> Result<PersonLink> {
    access::require(op, super::INVITE)?;
    let email = check_email(&new.email)?;
    let name = if new.name.trim().is_empty() { email } else { check_name(&new.name)? };
    if new.roles.is_empty() {
        return Err(Error::invalid(
            "roles",
            format!("must name at least one: {}", Role::ALL.map(Role::word).join(", ")),
        ));
    }
    let roles = super::resolve_roles(act.connection(), &new.roles).await?;
    let id = match store::by_email(act.connection(), email).await? {
        Some(row) if row.status == PersonStatus::Invited => {
            table::delete_of(&mut act, Some(row.id)).await?;
            store::set_name(&mut act, row.id, name).await?;
            store::bump(&mut act, row.id, None).await?;
            row.id
        }
        _ => {
            let id = PersonId::new();
            store::insert(&mut act, id, email, name, PersonStatus::Invited, op.clock.now()).await?;
            id
        }
    };
    store::set_roles(&mut act, id, &roles).await?;
    let row = super::find(act.connection(), &id.to_string()).await?;
    let detail = json!({ "email": email, "roles": new.roles });
    hub.record(&mut act, op, about("person.invited", &row, detail)).await?;
    give(act, op, hub, row, LinkKind::Invitation, hub.people.settings.invitation, asked).await
}

/// Makes a link by which a person sets a new password.
pub async fn reset(op: &Op, hub: &Hub, who: &str) -> Result<PersonLink> {
    access::require(op, super::RESET)?;
    let mut act = hub.store.begin().await?;
    let row = super::find(act.connection(), who).await?;
    let kind = match row.status {
        PersonStatus::Active => LinkKind::Reset,
        PersonStatus::Invited => LinkKind::Invitation,
        PersonStatus::Disabled => {
            return Err(Error::Conflict(format!("{} is disabled: enable the account first", row.name)));
        }
    };
    table::delete_of(&mut act, Some(row.id)).await?;
    hub.record(&mut act, op, about("person.reset_link_made", &row, Value::Null)).await?;
    let time = if kind == LinkKind::Reset { RESET_TIME } else { hub.people.settings.invitation };
    give(act, op, hub, row, kind, time, false).await
}

/// Somebody has forgotten a password. Where mail is configured and the address has an account, a link goes there; the
/// answer is the same and comes as soon in any case.
pub fn forgot(op: &Op, hub: &Arc<Hub>, email: &str) -> Result<()> {
    hub.people.asked.check(op.source)?;
    let email = check_email(email)?.to_owned();
    hub.people.asked.wrong(op.source);
    let (op, hub) = (op.clone(), Arc::clone(hub));
    let tasks = hub.tasks.clone();
    tasks.spawn(async move {
        if let Err(error) = mail_reset(&op, &hub, &email).await {
            tracing::warn!(%error, request = %op.request, "a link for a new password was not mailed");
        }
    });
    Ok(())
}

async fn mail_reset(op: &Op, hub: &Hub, email: &str) -> Result<()> {
    let mut act = hub.store.begin().await?;
    let row = store::by_email(act.connection(), email).await?;
    let Some(row) = row.filter(|row| row.status == PersonStatus::Active && mail::is_configured(hub)) else {
        return Ok(());
    };
    table::delete_of(&mut act, Some(row.id)).await?;
    hub.record(&mut act, op, about("person.reset_link_made", &row, json!({ "by": "mail" }))).await?;
    give(act, op, hub, row, LinkKind::Reset, RESET_TIME, false).await.map(drop)
}

/// The link that a token stands for, if it is good.
pub async fn open(op: &Op, hub: &Hub, token: &str) -> Result<OpenLink> {
    hub.wrong_keys.check(op.source)?;
    let refused = || {
        Error::Forbidden(
            "this link is not, or no longer, good: it was used, has ended, or a newer one took its place; ask an administrator of this hub for another"
                .to_owned(),
        )
    };
    let Ok(secret) = token.parse::<Secret>() else {
        hub.wrong_keys.wrong(op.source);
        return Err(refused());
    };
    let mut reader = hub.store.read().await?;
    let row = table::by_secret(&mut reader, &secret.hash()).await?;
    let Some(row) = row.filter(|row| row.expires_at > op.clock.now()) else {
        hub.wrong_keys.wrong(op.source);
        return Err(refused());
    };
    let person = match row.person {
        Some(id) => store::by_id(&mut reader, id).await?,
        None => None,
    };
    Ok(OpenLink { kind: row.kind, person, created_by: row.created_by })
}

/// Uses a link up: the account is made or gets its password, and the person is signed in as far as a password goes.
pub async fn accept(op: &Op, hub: &Hub, token: &str, answer: &Answer, browser: &Browser) -> Result<SignedIn> {
    let link = open(op, hub, token).await?;
    let email = match &link.person {
        Some(person) => person.email.as_str(),
        None => check_email(&answer.email)?,
    };
    let name = match &link.person {
        Some(person) if link.kind == LinkKind::Reset => person.name.as_str(),
        _ => check_name(&answer.name)?,
    };
    password::acceptable(&answer.password, email, name)?;
    let hash = hub.people.passwords.hash(&answer.password, &hub.random).await?;
    let secret: Secret = token.parse().map_err(Error::internal)?;

    let mut act = hub.store.begin().await?;
    if !table::delete(&mut act, &secret.hash()).await? {
        return Err(Error::Conflict("this link was used meanwhile".to_owned()));
    }
    let id = match &link.person {
        Some(person) => person.id,
        None => first_administrator(&mut act, op, email, name).await?,
    };
    store::set_password(&mut act, id, &hash).await?;
    store::set_name(&mut act, id, name).await?;
    if link.kind == LinkKind::Invitation {
        store::set_status(&mut act, id, PersonStatus::Active).await?;
    }
    // Whoever set the password is the one who holds the account now.
    store::sessions::delete_of(&mut act, id, None).await?;
    table::delete_of(&mut act, Some(id)).await?;
    store::bump(&mut act, id, None).await?;
    let row = super::find(act.connection(), &id.to_string()).await?;
    let action = match link.kind {
        LinkKind::Setup => "person.set_up",
        LinkKind::Invitation => "person.accepted",
        LinkKind::Reset => "person.password_reset",
    };
    hub.record(&mut act, &sign_in::by(op, &row, None), about(action, &row, Value::Null)).await?;
    if link.kind == LinkKind::Reset {
        let letter = Letter::PasswordChanged { at: op.clock.now(), source: op.source };
        super::write_to(&mut act, op, hub, &row.email, &letter).await?;
    }
    tell_after_commit(&mut act, hub, id);
    let optional = hub.people.settings.second_factor == super::config::SecondFactor::Optional;
    let stage = match row.totp_confirmed {
        true => Stage::Code,
        false if optional => Stage::Done,
        false => Stage::Enroll,
    };
    let signed_in = sign_in::advance(&mut act, op, hub, &row, stage, browser, "one-time link").await?;
    act.commit().await?;
    Ok(signed_in)
}

async fn first_administrator(act: &mut Act, op: &Op, email: &str, name: &str) -> Result<PersonId> {
    if store::count_admins(act.connection()).await? > 0 {
        return Err(Error::Conflict(
            "this hub has an administrator already: ask for an invitation".to_owned(),
        ));
    }
    // The address may have been invited before anybody could administer the hub.
    let id = if let Some(row) = store::by_email(act.connection(), email).await? {
        store::set_status(act, row.id, PersonStatus::Active).await?;
        row.id
    } else {
        let id = PersonId::new();
        store::insert(act, id, email, name, PersonStatus::Active, op.clock.now()).await?;
        id
    };
    store::set_roles(act, id, &[(Role::Admin, Scope::Everything)]).await?;
    table::delete_of(act, None).await?;
    Ok(id)
}

/// Commits an act with a new link in it, which goes by mail where that is possible, and to whoever asked for it where
/// not.
async fn give(
    mut act: Act,
    op: &Op,
    hub: &Hub,
    row: PersonRow,
    kind: LinkKind,
    time: Duration,
    asked: bool,
) -> Result<PersonLink> {
    let (link, expires_at) = make(&mut act, op, hub, kind, Some(row.id), time).await?;
    let until = expires_at;
    let by = op.actor.name();
    let letter = match kind {
        LinkKind::Reset => Letter::PasswordReset { link: &link, until },
        LinkKind::Setup | LinkKind::Invitation if asked => Letter::AccessGranted { link: &link, until },
        LinkKind::Setup | LinkKind::Invitation => Letter::Invitation { by: &by, link: &link, until },
    };
    let mailed = super::write_to(&mut act, op, hub, &row.email, &letter).await?;
    let person = super::view(act.connection(), &row).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await?;
    Ok(PersonLink { person, link: (!mailed).then(|| link.to_string()), mailed, expires_at })
}

pub(super) async fn make(
    act: &mut Act,
    op: &Op,
    hub: &Hub,
    kind: LinkKind,
    person: Option<PersonId>,
    time: Duration,
) -> Result<(Zeroizing<String>, OffsetDateTime)> {
    let secret = Secret::generate(&hub.random);
    let now = op.clock.now();
    let row = LinkRow { kind, person, created_by: op.actor.name(), expires_at: now + time };
    table::insert(act, &row, &secret.hash(), now).await?;
    let base = hub.url.get().ok_or_else(|| Error::Conflict("the hub does not listen yet".to_owned()))?;
    let page = match kind {
        LinkKind::Setup => "setup",
        LinkKind::Invitation => "invitation",
        LinkKind::Reset => "reset",
    };
    Ok((Zeroizing::new(format!("{base}/{page}/{}", secret.reveal().as_str())), row.expires_at))
}

/// Changes one's own password. Every other session ends.
pub async fn change_password(op: &Op, hub: &Hub, old: &SecretString, new: &SecretString) -> Result<()> {
    let me = access::require_person(op)?;
    let crate::hub::op::Via::Session(session) = me.via else {
        return Err(Error::Forbidden("a password is changed in the browser, signed in".to_owned()));
    };
    let row = super::find(&mut *hub.store.read().await?, &me.id.to_string()).await?;
    hub.wrong_keys.check(op.source)?;
    if !hub.people.passwords.check(old, row.password_hash.as_deref()).await? {
        hub.wrong_keys.wrong(op.source);
        return Err(Error::invalid("old", "is not your password"));
    }
    password::acceptable(new, &row.email, &row.name)?;
    let hash = hub.people.passwords.hash(new, &hub.random).await?;
    let mut act = hub.store.begin().await?;
    store::set_password(&mut act, row.id, &hash).await?;
    store::sessions::delete_of(&mut act, row.id, Some(session)).await?;
    hub.record(&mut act, op, about("person.password_changed", &row, Value::Null)).await?;
    let letter = Letter::PasswordChanged { at: op.clock.now(), source: op.source };
    super::write_to(&mut act, op, hub, &row.email, &letter).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await
}

/// For how long a link is good, in words.
pub fn period(time: Duration) -> String {
    Period(time).to_string()
}
