//! People: accounts with roles in scopes, how they sign in, and what acts for them: sessions, API tokens, devices.
//! What pages look like is the console's.

pub mod config;
pub mod devices;
pub mod idp;
pub mod links;
pub mod oidc;
pub mod password;
pub mod providers;
pub mod requests;
pub mod second_factor;
pub mod secret;
pub mod sessions;
pub mod sign_in;
pub(crate) mod store;
pub mod tokens;

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::AnyConnection;

pub use self::config::PeopleSettings;
pub use self::store::PersonRow;
use super::access::{self, Action, Roles, Scope};
use super::bus::Notice;
use super::context::Hub;
use super::error::{Error, Result};
use super::event::Event;
use super::mail::{self, Letter};
use super::op::Op;
use super::store::Act;
use super::{nodes, throttle};
use crate::api::{Person, PersonChange, PersonStatus, Role, RoleHeld};
use crate::id::PersonId;

/// Listing people and looking at one.
pub const READ: Action = Action::new("person.read", Roles::ADMINS);
/// Inviting somebody.
pub const INVITE: Action = Action::new("person.invite", Roles::ADMINS);
/// Changing somebody's name and roles.
pub const CHANGE: Action = Action::new("person.change", Roles::ADMINS);
/// Taking an account out of use, and back.
pub const DISABLE: Action = Action::new("person.disable", Roles::ADMINS);
/// Making a link for a new password, and taking off a second factor.
pub const RESET: Action = Action::new("person.reset", Roles::ADMINS);

/// The longest name, in characters.
const LONGEST_NAME: usize = 100;
/// The longest address (RFC 5321, section 4.5.3.1.3), in bytes.
const LONGEST_EMAIL: usize = 254;
/// The most roles that one person holds.
const MOST_ROLES: usize = 100;

/// What signing in needs in memory.
#[derive(Debug)]
pub struct People {
    /// What can be set.
    pub settings: PeopleSettings,
    /// Where people can sign in besides here.
    pub providers: providers::Providers,
    /// What this hub vouches with, where people sign in with their account here.
    pub signing: idp::SigningKeys,
    /// Hashes and checks passwords.
    pub passwords: password::Passwords,
    /// Wrong passwords and codes, by account.
    pub wrong_names: throttle::Throttle<String>,
    /// What was asked for without signing in (links, access), by address.
    pub asked: throttle::Throttle,
}

impl People {
    /// Nobody has tried anything yet.
    pub fn new(
        settings: PeopleSettings,
        providers: providers::Providers,
        clock: &crate::clock::Clock,
    ) -> Self {
        Self {
            settings,
            providers,
            signing: idp::SigningKeys::default(),
            passwords: password::Passwords::new(),
            wrong_names: throttle::Throttle::by_name(clock.clone()),
            asked: throttle::Throttle::new(clock.clone()),
        }
    }
}

/// Everybody, in the order of their names.
pub async fn list(op: &Op, hub: &Hub) -> Result<Vec<Person>> {
    access::require(op, READ)?;
    let mut reader = hub.store.read().await?;
    let rows = store::all(&mut reader).await?;
    let nodes = store::scoped_nodes(&mut reader).await?;
    let name = |scope: &Scope| nodes.get(scope.columns().1).cloned();
    Ok(rows.iter().map(|row| shown(row, |scope| scope_text(scope, name(scope)))).collect())
}

/// One person; everybody may look at themselves.
pub async fn show(op: &Op, hub: &Hub, who: &str) -> Result<Person> {
    let own = access::require_person(op).is_ok_and(|me| me.id.to_string() == who);
    if !own {
        access::require(op, READ)?;
    }
    let mut reader = hub.store.read().await?;
    let row = find(&mut reader, who).await?;
    view(&mut reader, &row).await
}

/// Changes a person. Everybody may change their own name.
pub async fn change(op: &Op, hub: &Hub, who: &str, change: &PersonChange) -> Result<()> {
    let own = access::require_person(op).is_ok_and(|me| me.id.to_string() == who);
    if !own || change.roles.is_some() {
        access::require(op, CHANGE)?;
    }
    let mut act = hub.store.begin().await?;
    let row = find(act.connection(), who).await?;
    if !store::bump(&mut act, row.id, change.version).await? {
        return Err(Error::Conflict(format!(
            "{} was changed by somebody else meanwhile: look at it again, then repeat your change",
            row.name
        )));
    }
    if let Some(name) = &change.name
        && *name != row.name
    {
        let name = check_name(name)?;
        store::set_name(&mut act, row.id, name).await?;
        hub.record(&mut act, op, about("person.renamed", &row, json!({ "name": name }))).await?;
    }
    if let Some(roles) = &change.roles {
        let resolved = resolve_roles(act.connection(), roles).await?;
        store::set_roles(&mut act, row.id, &resolved).await?;
        keep_an_admin(&mut act, &row).await?;
        hub.record(&mut act, op, about("person.roles_set", &row, json!({ "roles": roles }))).await?;
    }
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await?;
    recheck_devices(hub, row.id).await
}

/// Takes an account out of use: its sessions, tokens and devices are refused at once.
pub async fn disable(op: &Op, hub: &Arc<Hub>, who: &str) -> Result<()> {
    access::require(op, DISABLE)?;
    let mut act = hub.store.begin().await?;
    let row = find(act.connection(), who).await?;
    if row.status == PersonStatus::Disabled {
        return Err(Error::Conflict(format!("{} is disabled already", row.name)));
    }
    store::set_status(&mut act, row.id, PersonStatus::Disabled).await?;
    store::sessions::delete_of(&mut act, row.id, None).await?;
    store::links::delete_of(&mut act, Some(row.id)).await?;
    keep_an_admin(&mut act, &row).await?;
    store::bump(&mut act, row.id, None).await?;
    hub.record(&mut act, op, about("person.disabled", &row, Value::Null)).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await?;
    devices::put_out(hub, row.id, &format!("the account of {} was disabled", row.name)).await
}

/// Takes a disabled account back into use.
pub async fn enable(op: &Op, hub: &Hub, who: &str) -> Result<()> {
    access::require(op, DISABLE)?;
    let mut act = hub.store.begin().await?;
    let row = find(act.connection(), who).await?;
    if row.status != PersonStatus::Disabled {
        return Err(Error::Conflict(format!("{} is not disabled", row.name)));
    }
    let linked = row.password_hash.is_some() || store::has_identity(act.connection(), row.id).await?;
    let status = if linked { PersonStatus::Active } else { PersonStatus::Invited };
    store::set_status(&mut act, row.id, status).await?;
    store::bump(&mut act, row.id, None).await?;
    hub.record(&mut act, op, about("person.enabled", &row, Value::Null)).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await
}

/// The person with that address or id.
pub async fn find(reader: &mut AnyConnection, who: &str) -> Result<PersonRow> {
    let row = match who.parse() {
        Ok(id) => store::by_id(reader, id).await?,
        Err(_) => store::by_email(reader, who).await?,
    };
    row.ok_or_else(|| Error::not_found("person", who))
}

/// Puts a letter to a person into an act. An address that no mail server would take is no reason to refuse the act.
pub(crate) async fn write_to(
    act: &mut Act,
    op: &Op,
    hub: &Hub,
    address: &str,
    letter: &Letter<'_>,
) -> Result<bool> {
    match mail::queue(act, hub, op, address, letter).await {
        Err(Error::Invalid { problem, .. }) => {
            tracing::warn!(address, problem, "a letter cannot be sent");
            Ok(false)
        }
        queued => queued,
    }
}

/// What a person who acts may do now; `None` for somebody who may not act any more.
pub(crate) async fn active(reader: &mut AnyConnection, id: PersonId) -> Result<Option<PersonRow>> {
    Ok(store::by_id(reader, id).await?.filter(|row| row.status == PersonStatus::Active))
}

/// A person as the API shows it.
pub(crate) async fn view(reader: &mut AnyConnection, row: &PersonRow) -> Result<Person> {
    let mut scopes = Vec::with_capacity(row.roles.len());
    for (_, scope) in &row.roles {
        scopes.push(scope_words(reader, scope).await?);
    }
    let mut scopes = scopes.into_iter();
    Ok(shown(row, |_| scopes.next().unwrap_or_default()))
}

fn shown(row: &PersonRow, mut scope: impl FnMut(&Scope) -> String) -> Person {
    let roles = row.roles.iter().map(|(role, held)| RoleHeld { role: *role, scope: scope(held) }).collect();
    Person {
        id: row.id.to_string(),
        email: row.email.clone(),
        name: row.name.clone(),
        status: row.status,
        roles,
        second_factor: row.totp_confirmed,
        password: row.password_hash.is_some(),
        created_at: row.created_at,
        signed_in_at: row.signed_in_at,
        version: row.version,
    }
}

/// A scope as people write it.
pub(crate) async fn scope_words(reader: &mut AnyConnection, scope: &Scope) -> Result<String> {
    let name = match scope {
        Scope::One { kind: "node", id } => match id.parse() {
            Ok(id) => nodes::name_of(reader, id).await?,
            Err(_) => None,
        },
        _ => None,
    };
    Ok(scope_text(scope, name))
}

/// As [`scope_words`], with the name of the node that it may be.
fn scope_text(scope: &Scope, name: Option<String>) -> String {
    match scope {
        Scope::Everything => "*".to_owned(),
        Scope::One { kind: "node", .. } => {
            name.map_or_else(|| "node:(gone)".to_owned(), |name| format!("node:{name}"))
        }
        Scope::One { kind, id } => format!("{kind}:{id}"),
    }
}

/// The scope that somebody wrote; the node that it names must exist.
pub(crate) async fn resolve_scope(reader: &mut AnyConnection, words: &str) -> Result<Scope> {
    match words.split_once(':') {
        None if words == "*" => Ok(Scope::Everything),
        Some(("node" | "site", name)) => Ok(Scope::node(nodes::find(reader, name).await?.id)),
        _ => Err(Error::invalid(
            "scope",
            format!("{words:?} is no scope: there is * for everything, and node:NAME"),
        )),
    }
}

pub(crate) async fn resolve_roles(
    reader: &mut AnyConnection,
    roles: &[RoleHeld],
) -> Result<Vec<(Role, Scope)>> {
    if roles.len() > MOST_ROLES {
        return Err(Error::invalid("roles", format!("at most {MOST_ROLES}")));
    }
    let mut resolved = Vec::with_capacity(roles.len());
    for held in roles {
        resolved.push((held.role, resolve_scope(reader, &held.scope).await?));
    }
    Ok(resolved)
}

/// A hub that nobody can administer any more is a locked door.
pub(crate) async fn keep_an_admin(act: &mut Act, row: &PersonRow) -> Result<()> {
    let was_admin = row.status == PersonStatus::Active && row.rights().is_admin();
    if was_admin && store::count_admins(act.connection()).await? == 0 {
        return Err(Error::Conflict(format!(
            "{} is the last administrator: make somebody else one first",
            row.name
        )));
    }
    Ok(())
}

/// Ends what a person's devices have open and its rights do not allow any more.
pub(crate) async fn recheck_devices(hub: &Hub, id: PersonId) -> Result<()> {
    let mut reader = hub.store.read().await?;
    let devices = nodes::store::of_person(&mut reader, id).await?;
    drop(reader);
    for device in &devices {
        hub.connections.review(hub, device.id).await;
    }
    for device in devices {
        hub.streams.recheck(hub, device.id).await?;
    }
    Ok(())
}

/// A name for people, trimmed.
pub(crate) fn check_name(name: &str) -> Result<&str> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name",
            format!("must be 1 to {LONGEST_NAME} characters, without line breaks and the like"),
        ));
    }
    Ok(name)
}

/// An address, trimmed. Only mail that arrives proves it; this finds what cannot be one.
pub(crate) fn check_email(email: &str) -> Result<&str> {
    let email = email.trim();
    let whole = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
    });
    let plain = email.chars().all(|c| !c.is_control() && !c.is_whitespace() && !"<>()[]\\,;:\"".contains(c));
    if !whole || !plain || email.len() > LONGEST_EMAIL {
        return Err(Error::invalid(
            "email",
            format!(
                "{:?} is no mail address: write it as NAME@DOMAIN",
                email.chars().take(80).collect::<String>()
            ),
        ));
    }
    Ok(email)
}

pub(crate) fn about(action: &'static str, row: &PersonRow, detail: Value) -> Event {
    Event {
        action,
        object_kind: "person",
        object_id: row.id.to_string(),
        object_name: row.name.clone(),
        detail,
    }
}

pub(crate) fn tell_after_commit(act: &mut Act, hub: &Hub, id: PersonId) {
    let bus = Arc::clone(&hub.bus);
    act.after_commit(move || bus.publish(Notice { topic: "person", key: id.to_string() }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_an_address_is_found() {
        for good in ["ada@example.org", " grace.hopper+nave@mail.example.org ", "ä@exämple.org"] {
            assert!(check_email(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(250));
        for bad in
            ["", "ada", "@example.org", "ada@", "a@b@c", "a b@example.org", "a@b\r\nBcc: x@y", "a@.b", &long]
        {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_trimmed_and_on_one_line() {
        assert_eq!(check_name("  Ada Lovelace ").unwrap(), "Ada Lovelace");
        for bad in ["", "   ", "a\nb", &"x".repeat(101)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
