//! The pages of whoever is not signed in yet: one-time links, signing in, forgotten passwords, asking for access; and
//! the way out.

mod link;
mod sign_in;

use axum::extract::RawQuery;
use axum::response::{IntoResponse as _, Redirect, Response};
use nave_core::api::NewAccessRequest;
use nave_core::hub::context::Hub;
use nave_core::hub::http::{Access, Routes, cookie};
use nave_core::hub::mail;
use nave_core::hub::people::secret::Secret;
use nave_core::hub::people::sessions::Stage;
use nave_core::hub::people::{links, providers, requests, sessions};

use super::{Answer, Shared, append_cookie, bare, refuse, show};
use crate::form::{Fields, Form, OpenForm};
use crate::page;
use crate::shell::Shell;
use crate::ui::Filled;
use crate::views::door::{Forgot, RequestAccess, Said};
use crate::visitor::{Arrival, Visitor, next};

pub(crate) fn routes(routes: Routes) -> Routes {
    let routes = routes
        .get("/forgot", Access::Open, ask_forgot)
        .post("/forgot", Access::Open, forgot)
        .get("/request-access", Access::Open, ask_access)
        .post("/request-access", Access::Open, request_access)
        .post("/sign-out", Access::OwnPage, sign_out)
        .get("/signed-out", Access::Open, signed_out);
    link::routes(sign_in::routes(routes))
}

/// What stands around a page of somebody who arrives.
fn shell(arrival: &Arrival, hub: &Hub, title: &str) -> Shell {
    bare(hub, &arrival.headers, title, "", arrival.form_token())
}

/// Sends the browser to what is wanted next of a sign-in, with its new cookie.
fn onward(secret: &Secret, stage: Stage, to: &str) -> Response {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("next", to).finish();
    let to = match stage {
        Stage::Code => format!("/sign-in/code?{query}"),
        Stage::Enroll => format!("/sign-in/enroll?{query}"),
        Stage::Done => to.to_owned(),
    };
    let mut response = page::secured(Redirect::to(&to).into_response());
    append_cookie(&mut response, &cookie::set(Some(secret)));
    response
}

/// Where the address says that somebody wants to go.
fn wanted(query: Option<String>) -> Result<(Fields, String), crate::error::PageError> {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let to = next(Some(fields.one("next")?));
    Ok((fields, to))
}

async fn ask_forgot(arrival: Arrival, hub: Shared) -> Answer {
    let shell = shell(&arrival, &hub, "Forgotten password");
    let view = Forgot { shell, form: Filled::blank(), mails: mail::is_configured(&hub) };
    Ok(show(&view, &view.shell))
}

async fn forgot(arrival: Arrival, hub: Shared, OpenForm(fields): OpenForm) -> Answer {
    let asked = fields.one("email").and_then(|email| links::forgot(&arrival.op, &hub, email));
    if let Err(error) = asked {
        let shell = shell(&arrival, &hub, "Forgotten password");
        let mails = mail::is_configured(&hub);
        return Ok(refuse(&Forgot { shell, form: Filled::refused(&fields, &error), mails }, &error));
    }
    let words = if mail::is_configured(&hub) {
        "If that address has an account here, a link for a new password is on its way to it. It works for two hours."
    } else {
        "This hub sends no mail: ask an administrator for a link for a new password."
    };
    Ok(said(shell(&arrival, &hub, "Look into your mail"), "mail", words))
}

async fn ask_access(arrival: Arrival, hub: Shared) -> Answer {
    let view = RequestAccess { shell: shell(&arrival, &hub, "Request access"), form: Filled::blank() };
    Ok(show(&view, &view.shell))
}

async fn request_access(arrival: Arrival, hub: Shared, OpenForm(fields): OpenForm) -> Answer {
    let asked = async {
        let request = NewAccessRequest {
            email: fields.one("email")?.to_owned(),
            name: fields.one("name")?.to_owned(),
            message: fields.one("message")?.to_owned(),
        };
        requests::ask(&arrival.op, &hub, &request).await
    };
    match asked.await {
        Ok(noted) => Ok(said(shell(&arrival, &hub, "Your request was noted"), "check", &noted.message)),
        Err(error) => {
            let shell = shell(&arrival, &hub, "Request access");
            Ok(refuse(&RequestAccess { shell, form: Filled::refused(&fields, &error) }, &error))
        }
    }
}

fn said(shell: Shell, icon: &'static str, words: &str) -> Response {
    let view = Said {
        title: shell.title.clone(),
        shell,
        icon,
        words: words.to_owned(),
        next: Some(("/sign-in".to_owned(), "Back to sign-in")),
        primary: false,
    };
    show(&view, &view.shell)
}

async fn sign_out(visitor: Visitor, hub: Shared, _: Form) -> Answer {
    let secret = cookie::session(&visitor.headers);
    let found = match &secret {
        Some(secret) => sessions::find(&hub, secret, visitor.op.source).await?,
        None => None,
    };
    let mut elsewhere = None;
    if let Some(found) = found {
        // Asked first: what the provider needs to know ends with the session.
        elsewhere = providers::sign_out_url(&visitor.op, &hub, &found.session).await?;
        sessions::end(&visitor.op, &hub, &found.session.id.to_string()).await?;
    }
    let mut response = match elsewhere {
        // A form may lead nowhere else, so this is a link.
        Some(url) => {
            let view = Said {
                shell: bare(&hub, &visitor.headers, "You are signed out", "", String::new()),
                icon: "leave",
                title: "You are signed out here".to_owned(),
                words: "At your organisation's provider you are still signed in.".to_owned(),
                next: Some((url, "Sign out there, too")),
                primary: false,
            };
            show(&view, &view.shell)
        }
        None => page::secured(Redirect::to("/signed-out").into_response()),
    };
    append_cookie(&mut response, &cookie::set(None));
    Ok(response)
}

async fn signed_out(arrival: Arrival, hub: Shared, RawQuery(_): RawQuery) -> Answer {
    let view = Said {
        shell: shell(&arrival, &hub, "Signed out"),
        icon: "leave",
        title: "You are signed out".to_owned(),
        words: "This browser's session has ended.".to_owned(),
        next: Some(("/sign-in".to_owned(), "Sign in again")),
        primary: true,
    };
    Ok(show(&view, &view.shell))
}
