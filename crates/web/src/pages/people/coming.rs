//! `/people/invite` and `/people/requests`: how people come in.

use axum::extract::Path;
use nave_core::api::{NewPerson, RoleHeld};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::people::requests::DECIDE;
use nave_core::hub::people::{INVITE, links, requests};

use super::super::{Answer, Shared, done, refuse, shell, show};
use super::{held, node_names};
use crate::error::PageError;
use crate::form::{Fields, Form};
use crate::ui::Filled;
use crate::views::people::{InvitePerson, Link, Requests};
use crate::visitor::Visitor;

/// How many decided requests are shown.
const DECIDED: usize = 50;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/people/invite", Access::Page(INVITE), form)
        .post("/people/invite", Access::Page(INVITE), invite)
        .get("/people/requests", Access::Page(DECIDE), list)
        .post("/people/requests/{request}/accept", Access::Page(DECIDE), accept)
        .post("/people/requests/{request}/decline", Access::Page(DECIDE), decline)
}

async fn form(visitor: Visitor, hub: Shared) -> Answer {
    let nodes = node_names(&visitor, &hub).await?;
    let shell = shell(&visitor, &hub, "Invite somebody", "/people").await?;
    let view = InvitePerson { shell, form: Filled::with([("roles", "viewer"), ("scope", "*")]), nodes };
    Ok(show(&view, &view.shell))
}

async fn invite(visitor: Visitor, hub: Shared, Form(fields): Form) -> Answer {
    let made = async {
        let new = NewPerson {
            email: fields.one("email")?.to_owned(),
            name: fields.one("name")?.to_owned(),
            roles: roles(&fields)?,
        };
        links::invite(&visitor.op, &hub, &new).await
    };
    match made.await {
        Ok(made) => {
            let shell = shell(&visitor, &hub, "Invited", "/people").await?;
            let view = Link { shell, made, reset: false };
            Ok(show(&view, &view.shell))
        }
        Err(error) => {
            let nodes = node_names(&visitor, &hub).await?;
            let shell = shell(&visitor, &hub, "Invite somebody", "/people").await?;
            let view = InvitePerson { shell, form: Filled::refused(&fields, &error), nodes };
            Ok(refuse(&view, &error))
        }
    }
}

fn roles(fields: &Fields) -> Result<Vec<RoleHeld>> {
    let scope = fields.filled("scope")?.unwrap_or("*");
    fields.all("roles").map(|role| held(role, scope)).collect()
}

async fn list(visitor: Visitor, hub: Shared) -> Answer {
    let view = view_of(&visitor, &hub, Filled::blank()).await?;
    Ok(show(&view, &view.shell))
}

async fn view_of(visitor: &Visitor, hub: &Shared, form: Filled) -> Result<Requests, PageError> {
    let mut decided = requests::list(&visitor.op, hub, "accepted").await?;
    decided.extend(requests::list(&visitor.op, hub, "declined").await?);
    // Ids sort by the time they were made.
    decided.sort_by(|a, b| b.id.cmp(&a.id));
    decided.truncate(DECIDED);
    let open = requests::list(&visitor.op, hub, "open").await?;
    Ok(Requests { shell: shell(visitor, hub, "Access requests", "/people").await?, open, decided, form })
}

async fn accept(visitor: Visitor, hub: Shared, Path(id): Path<String>, Form(fields): Form) -> Answer {
    let made = async {
        let role = fields.filled("role")?.ok_or_else(|| Error::invalid("role", "must be chosen"))?;
        requests::accept(&visitor.op, &hub, &id, &[held(role, "*")?]).await
    };
    match made.await {
        Ok(made) => {
            let shell = shell(&visitor, &hub, "Invited", "/people").await?;
            let view = Link { shell, made, reset: false };
            Ok(show(&view, &view.shell))
        }
        Err(error) => {
            let form = Filled::refused(&Fields::default(), &error);
            Ok(refuse(&view_of(&visitor, &hub, form).await?, &error))
        }
    }
}

async fn decline(visitor: Visitor, hub: Shared, Path(id): Path<String>, _: Form) -> Answer {
    requests::decline(&visitor.op, &hub, &id).await?;
    Ok(done("/people/requests", "The request is declined."))
}
