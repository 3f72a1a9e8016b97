//! `/oidc/authorize`: letting a program act for oneself, which asks for it by the browser.

use axum::extract::RawQuery;
use axum::response::{IntoResponse as _, Redirect, Response};
use nave_core::hub::context::Hub;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::people;
use nave_core::hub::people::idp::{self, Refusal};

use super::{Answer, Shared, bare, refuse, shell, show};
use crate::form::Form;
use crate::page::secured;
use crate::views::door::Said;
use crate::views::program::Decide;
use crate::visitor::Visitor;
use crate::words::sentence;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get("/oidc/authorize", Access::OwnPage, ask).post("/oidc/authorize", Access::OwnPage, decide)
}

async fn ask(visitor: Visitor, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let query = query.unwrap_or_default();
    let asked = match idp::look(&visitor.op, &hub, &query) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refused(&visitor, &hub, refusal)),
    };
    let id = nave_core::hub::access::require_person(&visitor.op)?.id.to_string();
    let view = Decide {
        shell: shell(&visitor, &hub, format!("Sign in to {}", asked.program.name), "/account").await?,
        program: asked.program,
        same_place: visitor.op.source == Some(asked.source),
        source: asked.source.to_string(),
        person: people::show(&visitor.op, &hub, &id).await?,
        request: query,
    };
    Ok(show(&view, &view.shell))
}

async fn decide(visitor: Visitor, hub: Shared, Form(fields): Form) -> Answer {
    let request = fields.one("request")?;
    let decided = if fields.one("decision")? == "agree" {
        idp::agree(&visitor.op, &hub, request).await
    } else {
        idp::decline(&visitor.op, &hub, request)
    };
    Ok(match decided {
        Ok(url) => secured(Redirect::to(&url).into_response()),
        Err(refusal) => refused(&visitor, &hub, refusal),
    })
}

fn refused(visitor: &Visitor, hub: &Hub, refusal: Refusal) -> Response {
    let error = match refusal {
        Refusal::Back(url) => return secured(Redirect::to(&url).into_response()),
        Refusal::Here(error) => error,
    };
    let title = "This sign-in cannot go on";
    let view = Said {
        shell: bare(hub, &visitor.headers, title, "", visitor.form_token.clone()),
        icon: "shield",
        title: title.to_owned(),
        words: format!("{} (Request {})", sentence(&error.message()), visitor.op.request),
        next: Some(("/".to_owned(), "To the overview")),
        primary: false,
    };
    refuse(&view, &error)
}
