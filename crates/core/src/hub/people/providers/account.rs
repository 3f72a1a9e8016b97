//! Whose account it is that a provider vouches for, and which roles its word gives. Nothing is asked of a provider here.

use serde_json::{Value, json};

use super::on_its_word;
use crate::api::{PersonStatus, Role, RoleHeld};
use crate::hub::access::Scope;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::Op;
use crate::hub::people::oidc::{MappedRoles, OidcError, Provider, Who};
use crate::hub::people::store::{self, PersonRow};
use crate::hub::people::{self, about};
use crate::hub::store::Act;
use crate::id::PersonId;

/// The account of somebody who signed in: by who it is at the provider, else by its address, else a new one.
pub(super) async fn of(
    act: &mut Act,
    op: &Op,
    hub: &Hub,
    provider: &Provider,
    who: &Who,
) -> Result<PersonRow> {
    let op = &on_its_word(op);
    let known = store::by_identity(act.connection(), &who.issuer, &who.subject).await?;
    let row = match known {
        Some(row) => row,
        None => match store::by_email(act.connection(), &who.email).await? {
            Some(row) => {
                link(act, op, hub, provider, who, &row).await?;
                row
            }
            None => add(act, op, hub, provider, who).await?,
        },
    };
    match row.status {
        PersonStatus::Active => {}
        PersonStatus::Disabled => {
            return Err(Error::Forbidden(
                "this account is disabled: ask an administrator of this hub".to_owned(),
            ));
        }
        PersonStatus::Invited => {
            store::set_status(act, row.id, PersonStatus::Active).await?;
            store::links::delete_of(act, Some(row.id)).await?;
            store::bump(act, row.id, None).await?;
            hub.record(act, op, about("person.accepted", &row, json!({ "with": provider.name() }))).await?;
        }
    }
    if let MappedRoles::Exactly(roles) = &who.roles {
        let row = people::find(act.connection(), &row.id.to_string()).await?;
        set_roles(act, op, hub, &row, roles).await?;
    }
    people::find(act.connection(), &row.id.to_string()).await
}

/// An account that was here before. Its address must be known to be this person's, or whoever makes up an address at a
/// provider would have the account; and it must not belong to somebody else there, who had the address before.
async fn link(
    act: &mut Act,
    op: &Op,
    hub: &Hub,
    provider: &Provider,
    who: &Who,
    row: &PersonRow,
) -> Result<()> {
    let another = store::subject_at(act.connection(), &who.issuer, row.id).await?.is_some();
    if another || !who.verified {
        return Err(Error::Forbidden(format!(
            "{} has an account here that does not belong to you at {}: sign in another way, or ask an administrator of this hub",
            who.email,
            provider.label()
        )));
    }
    store::link_identity(act, &who.issuer, &who.subject, row.id, op.clock.now()).await?;
    let detail = json!({ "provider": provider.name(), "subject": who.subject });
    hub.record(act, op, about("person.identity_linked", row, detail)).await
}

async fn add(act: &mut Act, op: &Op, hub: &Hub, provider: &Provider, who: &Who) -> Result<PersonRow> {
    if !provider.allows_new() {
        return Err(Error::Forbidden(format!(
            "{} has no account on this hub: ask an administrator of this hub for an invitation",
            who.email
        )));
    }
    let first = match &who.roles {
        MappedRoles::Exactly(_) => None,
        MappedRoles::FirstOne(Some(first)) => Some(first),
        MappedRoles::FirstOne(None) => return Err(OidcError::NoRole.into()),
    };
    let id = PersonId::new();
    store::insert(act, id, &who.email, &who.name, PersonStatus::Active, op.clock.now()).await?;
    store::link_identity(act, &who.issuer, &who.subject, id, op.clock.now()).await?;
    let row = people::find(act.connection(), &id.to_string()).await?;
    let detail = json!({ "provider": provider.name(), "email": who.email, "subject": who.subject });
    hub.record(act, op, about("person.added", &row, detail)).await?;
    if let Some(first) = first {
        set_roles(act, op, hub, &row, std::slice::from_ref(first)).await?;
    }
    Ok(row)
}

/// Gives the roles that the rules say, if they are others than before. Returns whether they were.
pub(super) async fn set_roles(
    act: &mut Act,
    op: &Op,
    hub: &Hub,
    row: &PersonRow,
    roles: &[RoleHeld],
) -> Result<bool> {
    let wanted = resolve(act, roles).await?;
    if wanted == row.roles {
        return Ok(false);
    }
    store::set_roles(act, row.id, &wanted).await?;
    if people::keep_an_admin(act, row).await.is_err() {
        // A rule must not lock everybody out who could mend it.
        tracing::warn!(
            person = row.name,
            "the last administrator keeps its roles, against the rules of its provider"
        );
        store::set_roles(act, row.id, &row.roles).await?;
        return Ok(false);
    }
    store::bump(act, row.id, None).await?;
    let detail: Value = json!({ "roles": roles });
    hub.record(act, op, about("person.roles_set", row, detail)).await?;
    Ok(true)
}

/// The roles as the table holds them. A rule for a node that is not there gives nothing: that is no reason to keep
/// somebody out of everything else.
async fn resolve(act: &mut Act, roles: &[RoleHeld]) -> Result<Vec<(Role, Scope)>> {
    let mut resolved = Vec::with_capacity(roles.len());
    for held in roles {
        match people::resolve_scope(act.connection(), &held.scope).await {
            Ok(scope) => resolved.push((held.role, scope)),
            Err(Error::NotFound { .. }) => {
                tracing::warn!(
                    scope = held.scope,
                    "a rule of a provider of sign-in is for a node that is not there"
                );
            }
            Err(other) => return Err(other),
        }
    }
    resolved.sort_by_key(|(role, scope)| (*role, scope.columns().1.to_owned()));
    Ok(resolved)
}
