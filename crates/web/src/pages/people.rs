//! `/people`: the list, one person, and what is decided about them. Inviting somebody and access requests are in
//! `people/coming`.

mod coming;

use std::cmp::Ordering;

use axum::extract::{Path, RawQuery};
use nave_core::api::{Person, PersonChange, Role, RoleHeld};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::grants;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::nodes;
use nave_core::hub::op::Actor;
use nave_core::hub::people::{self as accounts, CHANGE, DISABLE, READ, RESET};
use nave_core::hub::people::{devices, idp, links, requests, second_factor, sessions};

use super::{Answer, Shared, done, refuse, shell, show};
use crate::error::PageError;
use crate::form::{Fields, Form};
use crate::ui::Filled;
use crate::views::listing::{Listing, Pager};
use crate::views::people::{Link, People, PersonDetail};
use crate::visitor::Visitor;

pub(crate) fn routes(routes: Routes) -> Routes {
    coming::routes(
        routes
            .get("/people", Access::Page(READ), list)
            .get("/people/{person}", Access::Page(READ), detail)
            .post("/people/{person}", Access::Page(CHANGE), save)
            .post("/people/{person}/disable", Access::Page(DISABLE), disable)
            .post("/people/{person}/enable", Access::Page(DISABLE), enable)
            .post("/people/{person}/reset-password", Access::Page(RESET), reset_password)
            .post("/people/{person}/reset-second-factor", Access::Page(RESET), reset_second_factor)
            .post("/people/{person}/grants", Access::Page(grants::GRANT), grant)
            .post("/people/{person}/grants/remove", Access::Page(grants::GRANT), withdraw),
    )
}

async fn list(visitor: Visitor, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let listing = Listing::new(
        "/people",
        &[("q", query.one("q")?), ("sort", query.one("sort")?), ("page", query.one("page")?)],
    );
    let all = accounts::list(&visitor.op, &hub).await?;
    let total = all.len();
    let words: Vec<String> = listing.get("q").split_whitespace().map(str::to_lowercase).collect();
    let mut people: Vec<Person> =
        all.into_iter().filter(|person| words.iter().all(|word| matches(person, word))).collect();
    sort(&mut people, listing.get("sort"));
    let (people, pager) = Pager::cut(&listing, people);
    let asking = requests::list(&visitor.op, &hub, "open").await?.len();
    let shell = shell(&visitor, &hub, "People", "/people").await?;
    let view = People { shell, listing, people, pager, total, asking };
    Ok(show(&view, &view.shell))
}

fn matches(person: &Person, word: &str) -> bool {
    person.name.to_lowercase().contains(word)
        || person.email.to_lowercase().contains(word)
        || person.roles.iter().any(|held| held.role.word().contains(word))
}

fn sort(people: &mut [Person], by: &str) {
    let (key, down) = by.strip_prefix('-').map_or((by, false), |key| (key, true));
    let order: fn(&Person, &Person) -> Ordering = match key {
        "role" => |a, b| mightiest(a).cmp(&mightiest(b)),
        "factor" => |a, b| a.second_factor.cmp(&b.second_factor),
        "seen" => |a, b| b.signed_in_at.cmp(&a.signed_in_at),
        "name" => |a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        _ => return,
    };
    people.sort_by(|a, b| if down { order(b, a) } else { order(a, b) });
}

/// Where somebody stands by the mightiest role; whoever has none comes last.
fn mightiest(person: &Person) -> u8 {
    person.roles.iter().map(|held| held.role as u8).min().unwrap_or(u8::MAX)
}

async fn detail(visitor: Visitor, hub: Shared, Path(who): Path<String>) -> Answer {
    let view = view_of(&visitor, &hub, &who, None, None).await?;
    Ok(show(&view, &view.shell))
}

async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    who: &str,
    form: Option<Filled>,
    grant: Option<Filled>,
) -> Result<PersonDetail, PageError> {
    let op = &visitor.op;
    let person = accounts::show(op, hub, who).await?;
    let own = matches!(&op.actor, Actor::Person(me) if me.id.to_string() == person.id);
    let form = form.unwrap_or_else(|| Filled::with([("name", person.name.as_str()), ("scope", "*")]));
    let shell = shell(visitor, hub, person.name.clone(), "/people").await?;
    Ok(PersonDetail {
        shell,
        own,
        grants: grants::of_person(op, hub, &person.id).await?,
        sessions: sessions::list(op, hub, &person.id).await?,
        devices: devices::list(op, hub, &person.id).await?,
        programs: idp::list(op, hub, &person.id).await?,
        form,
        grant: grant.unwrap_or_default(),
        nodes: node_names(visitor, hub).await?,
        person,
    })
}

/// The nodes to which a role can be bound.
async fn node_names(visitor: &Visitor, hub: &Shared) -> Result<Vec<String>> {
    Ok(nodes::briefs(&visitor.op, hub).await?.into_iter().map(|node| node.name).collect())
}

async fn save(visitor: Visitor, hub: Shared, Path(who): Path<String>, Form(fields): Form) -> Answer {
    let saved = async {
        let change = PersonChange {
            name: Some(fields.one("name")?.to_owned()),
            roles: Some(kept_roles(&fields)?),
            version: fields.filled("version")?.and_then(|version| version.parse().ok()),
        };
        accounts::change(&visitor.op, &hub, &who, &change).await
    };
    match saved.await {
        Ok(()) => Ok(done(&format!("/people/{who}"), "Saved.")),
        Err(error) => {
            let form = Filled::refused(&fields, &error);
            Ok(refuse(&view_of(&visitor, &hub, &who, Some(form), None).await?, &error))
        }
    }
}

/// The roles that stayed ticked, and the one that was added.
fn kept_roles(fields: &Fields) -> Result<Vec<RoleHeld>> {
    let mut roles = Vec::new();
    for kept in fields.all("keep") {
        let (role, scope) = kept.split_once(' ').unwrap_or((kept, "*"));
        roles.push(held(role, scope)?);
    }
    if let Some(role) = fields.filled("role")? {
        roles.push(held(role, fields.filled("scope")?.unwrap_or("*"))?);
    }
    Ok(roles)
}

fn held(role: &str, scope: &str) -> Result<RoleHeld> {
    let role = Role::from_word(role).ok_or_else(|| Error::invalid("role", format!("{role:?} is no role")))?;
    Ok(RoleHeld { role, scope: scope.to_owned() })
}

async fn disable(visitor: Visitor, hub: Shared, Path(who): Path<String>, _: Form) -> Answer {
    accounts::disable(&visitor.op, &hub, &who).await?;
    Ok(done(&format!("/people/{who}"), "The account is disabled."))
}

async fn enable(visitor: Visitor, hub: Shared, Path(who): Path<String>, _: Form) -> Answer {
    accounts::enable(&visitor.op, &hub, &who).await?;
    Ok(done(&format!("/people/{who}"), "The account is in use again."))
}

async fn reset_password(visitor: Visitor, hub: Shared, Path(who): Path<String>, _: Form) -> Answer {
    let made = links::reset(&visitor.op, &hub, &who).await?;
    let reset = made.person.password;
    let shell = shell(&visitor, &hub, "A link", "/people").await?;
    let view = Link { shell, made, reset };
    Ok(show(&view, &view.shell))
}

async fn reset_second_factor(visitor: Visitor, hub: Shared, Path(who): Path<String>, _: Form) -> Answer {
    second_factor::reset(&visitor.op, &hub, &who).await?;
    Ok(done(&format!("/people/{who}"), "The second factor is taken off."))
}

async fn grant(visitor: Visitor, hub: Shared, Path(who): Path<String>, Form(fields): Form) -> Answer {
    let granted = async {
        // On this page the field has a name of its own: the form for roles has a scope, too.
        let request = nave_core::api::GrantRequest {
            action: fields.one("action")?.to_owned(),
            scope: fields.one("grant")?.trim().to_owned(),
        };
        grants::grant_person(&visitor.op, &hub, &who, &request).await
    };
    match granted.await {
        Ok(()) => Ok(done(&format!("/people/{who}"), "Granted.")),
        Err(error) => {
            let beside = match &error {
                Error::Invalid { field, problem } if field == "scope" => Error::invalid("grant", problem),
                Error::NotFound { .. } => Error::invalid("grant", error.message()),
                _ => Error::Conflict(error.message()),
            };
            let form = Filled::refused(&fields, &beside);
            Ok(refuse(&view_of(&visitor, &hub, &who, None, Some(form)).await?, &error))
        }
    }
}

async fn withdraw(visitor: Visitor, hub: Shared, Path(who): Path<String>, Form(fields): Form) -> Answer {
    let request = super::nodes::request(&fields)?;
    grants::withdraw_person(&visitor.op, &hub, &who, &request).await?;
    Ok(done(&format!("/people/{who}"), "The right is taken away."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_what_stayed_ticked_and_what_was_added() {
        let roles = |body: &[u8]| kept_roles(&Fields::parse(body).unwrap());
        let kept = roles(b"keep=viewer+*&keep=operator+node%3Alab&role=admin&scope=*").unwrap();
        let told: Vec<String> =
            kept.iter().map(|held| format!("{}@{}", held.role.word(), held.scope)).collect();
        assert_eq!(told, ["viewer@*", "operator@node:lab", "admin@*"]);
        assert!(roles(b"role=&scope=*").unwrap().is_empty());
        assert!(roles(b"keep=king+*").is_err() && roles(b"role=king").is_err());
    }
}
