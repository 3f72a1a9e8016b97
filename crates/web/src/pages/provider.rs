//! The way to a provider of sign-in and back. Both are addresses rather than pages: only what goes wrong is shown.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, header};
use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes, cookie, status_of};
use nave_core::hub::op::Op;
use nave_core::hub::people::providers;

use crate::form::Fields;
use crate::page::{html, secured};
use crate::shell::{Shell, Theme};
use crate::views::door::Said;
use crate::visitor::{Arrival, next};
use crate::words::sentence;

pub(super) fn routes(routes: Routes) -> Routes {
    // Each checks by itself what the browser brings.
    routes.get("/oidc/begin/{provider}", Access::Open, begin).get(
        "/oidc/callback/{provider}",
        Access::Open,
        finish,
    )
}

async fn begin(
    arrival: Arrival,
    State(hub): State<Arc<Hub>>,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let begun = async {
        let fields = Fields::parse(query.unwrap_or_default().as_bytes())?;
        let next = next(Some(fields.one("next")?));
        providers::begin(&arrival.op, &hub, &provider, &next).await
    };
    match begun.await {
        Ok(leaving) => send(&leaving.url, [cookie::set_ticket(Some(&leaving.ticket))]),
        Err(error) => refused(&hub, &arrival.op, &error),
    }
}

async fn finish(
    arrival: Arrival,
    State(hub): State<Arc<Hub>>,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let ticket = cookie::ticket(&headers);
    match providers::finish(&arrival.op, &hub, &provider, ticket, &query, &arrival.browser).await {
        Ok(arrived) => send(&arrived.next, [cookie::set(Some(&arrived.secret)), cookie::set_ticket(None)]),
        Err(error) => refused(&hub, &arrival.op, &error),
    }
}

fn send<const N: usize>(to: &str, cookies: [String; N]) -> Response {
    let mut response = secured(Redirect::to(to).into_response());
    for cookie in cookies {
        match HeaderValue::from_str(&cookie) {
            Ok(cookie) => response.headers_mut().append(header::SET_COOKIE, cookie),
            Err(_) => return http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
    }
    response
}

fn refused(hub: &Hub, op: &Op, error: &Error) -> Response {
    let title = "You are not signed in".to_owned();
    let shell = Shell {
        title: title.clone(),
        here: "",
        menu: Vec::new(),
        person: None,
        hub: hub.url.get().map(|url| url.host().to_owned()).unwrap_or_default(),
        theme: Theme::System,
        form_token: String::new(),
        notice: None,
        now: op.clock.now(),
    };
    let page = Said {
        shell,
        icon: "shield",
        title,
        words: format!("{} (Request {})", sentence(&error.message()), op.request),
        next: Some(("/sign-in".to_owned(), "Back to sign-in")),
        primary: true,
    };
    html(status_of(error), &page)
}
