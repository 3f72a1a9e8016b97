//! The way to a provider of sign-in and back. Both are addresses rather than pages: only what goes wrong is shown.

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::HeaderMap;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes, cookie};
use nave_core::hub::op::Op;
use nave_core::hub::people::providers;

use super::{Shared, append_cookie, bare, refuse};
use crate::form::Fields;
use crate::page::secured;
use crate::views::door::Said;
use crate::visitor::{Arrival, next};
use crate::words::sentence;

pub(crate) fn routes(routes: Routes) -> Routes {
    // Each checks by itself what the browser brings.
    routes.get("/oidc/begin/{provider}", Access::Open, begin).get(
        "/oidc/callback/{provider}",
        Access::Open,
        finish,
    )
}

async fn begin(
    arrival: Arrival,
    State(hub): Shared,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let begun = async {
        let fields = Fields::parse(query.unwrap_or_default().as_bytes())?;
        let next = next(Some(fields.one("next")?));
        providers::begin(&arrival.op, &hub, &provider, &next).await
    };
    match begun.await {
        Ok(leaving) => send(&leaving.url, &[cookie::set_ticket(Some(&leaving.ticket))]),
        Err(error) => refused(&hub, &headers, &arrival.op, &error),
    }
}

async fn finish(
    arrival: Arrival,
    State(hub): Shared,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let ticket = cookie::ticket(&headers);
    match providers::finish(&arrival.op, &hub, &provider, ticket, &query, &arrival.browser).await {
        Ok(arrived) => send(&arrived.next, &[cookie::set(Some(&arrived.secret)), cookie::set_ticket(None)]),
        Err(error) => refused(&hub, &headers, &arrival.op, &error),
    }
}

/// Sends the browser on, with cookies.
fn send(to: &str, cookies: &[String]) -> Response {
    let mut response = secured(Redirect::to(to).into_response());
    for cookie in cookies {
        append_cookie(&mut response, cookie);
    }
    response
}

fn refused(hub: &Hub, headers: &HeaderMap, op: &Op, error: &Error) -> Response {
    let title = "You are not signed in";
    let view = Said {
        shell: bare(hub, headers, title, "", String::new()),
        icon: "shield",
        title: title.to_owned(),
        words: format!("{} (Request {})", sentence(&error.message()), op.request),
        next: Some(("/sign-in".to_owned(), "Back to sign-in")),
        primary: true,
    };
    refuse(&view, error)
}
