//! The handlers of the pages: each reads what the browser sent, calls the services, and shows a view or sends the
//! browser on. What pages show is in `views`, what is done in the core's services.

mod account;
mod audit;
mod device;
mod door;
mod live;
mod nodes;
mod overview;
mod people;
mod program;
mod provider;
mod reference;
mod rest;
mod settings;
mod status;
mod streams;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use nave_core::hub::access::{self, Action};
use nave_core::hub::context::Hub;
use nave_core::hub::http::Routes;
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::{event, people as accounts};

use crate::error::PageError;
use crate::page;
use crate::shell::{CORE_MENU, MenuItem, Notice, Shell, SignedIn, Theme};
use crate::ui::Tone;
use crate::visitor::Visitor;

/// What handlers are given of the hub.
pub type Shared = State<Arc<Hub>>;
/// What handlers answer.
pub type Answer = Result<Response, PageError>;

/// The cookie that carries a message over a redirect, to the next page and no further.
const NOTICE: &str = "__Host-nave-notice";
/// The longest message that is carried.
const LONGEST_NOTICE: usize = 500;

/// Which action each entry of the menu is for; those that are not here are for everybody.
const MENU_ACTIONS: [(&str, Action); 3] =
    [("/people", accounts::READ), ("/audit", event::READ), ("/settings", nave_core::hub::identity::SHOW)];

/// Every page, and what pages are made of.
pub(crate) fn routes(routes: Routes) -> Routes {
    [
        door::routes,
        provider::routes,
        overview::routes,
        nodes::routes,
        streams::routes,
        people::routes,
        audit::routes,
        settings::routes,
        status::routes,
        reference::routes,
        account::routes,
        device::routes,
        program::routes,
        live::routes,
        rest::routes,
    ]
    .into_iter()
    .fold(routes, |routes, pages| pages(routes))
}

/// What stands around a page of somebody who is signed in.
pub async fn shell(
    visitor: &Visitor,
    hub: &Arc<Hub>,
    title: impl Into<String>,
    here: &'static str,
) -> Result<Shell, PageError> {
    let op = &visitor.op;
    let mut menu: Vec<MenuItem> = CORE_MENU
        .into_iter()
        .filter(|item| {
            let action = MENU_ACTIONS.iter().find(|(path, _)| *path == item.path);
            action.is_none_or(|(_, action)| access::require_somewhere(op, *action).is_ok())
        })
        .collect();
    // After the overview.
    let entries = visitor.sections.entries(op);
    menu.splice(1..1, entries.map(|entry| MenuItem::new(0, entry.name, entry.path, entry.icon)));
    if let Some(item) = menu.iter_mut().find(|item| item.path == "/people") {
        item.count = accounts::requests::list(op, hub, "open").await?.len();
        item.tone = Tone::Warn;
    }
    let person = match &op.actor {
        Actor::Person(person) => {
            let shown = accounts::show(op, hub, &person.id.to_string()).await?;
            Some(SignedIn { name: shown.name, email: shown.email })
        }
        _ => None,
    };
    Ok(Shell { menu, person, ..bare(hub, &visitor.headers, title, here, visitor.form_token.clone()) })
}

/// What stands around a page of somebody who is not signed in yet.
pub(crate) fn bare(
    hub: &Hub,
    headers: &HeaderMap,
    title: impl Into<String>,
    here: &'static str,
    form_token: String,
) -> Shell {
    Shell {
        title: title.into(),
        here,
        menu: Vec::new(),
        person: None,
        hub: hub.url.get().map_or_else(|| "this hub".to_owned(), |url| url.host().to_owned()),
        theme: Theme::from_word(&plain_cookie(headers, Theme::COOKIE).unwrap_or_default()),
        form_token,
        notice: notice(headers),
        now: hub.clock.now(),
    }
}

/// A page as it is sent. The message that it shows is not shown again.
pub fn show(view: &impl Template, shell: &Shell) -> Response {
    let mut response = page::html(StatusCode::OK, view);
    if shell.notice.is_some() {
        let gone = format!("{NOTICE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
        append_cookie(&mut response, &gone);
    }
    response
}

/// A form that came back with what is wrong with it.
pub fn refuse(view: &impl Template, error: &nave_core::hub::error::Error) -> Response {
    page::html(nave_core::hub::http::status_of(error), view)
}

/// Sends the browser to a page, which then says what was done.
pub fn done(to: &str, words: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    let words: String = words.chars().take(LONGEST_NOTICE).collect();
    let value: String = form_urlencoded::byte_serialize(words.as_bytes()).collect();
    append_cookie(
        &mut response,
        &format!("{NOTICE}={value}; Path=/; Max-Age=30; Secure; HttpOnly; SameSite=Lax"),
    );
    page::secured(response)
}

pub(crate) fn append_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn notice(headers: &HeaderMap) -> Option<Notice> {
    let value = plain_cookie(headers, NOTICE)?;
    let decoded = form_urlencoded::parse(format!("w={value}").as_bytes()).next()?.1.into_owned();
    let words: String = decoded.chars().filter(|c| !c.is_control()).take(LONGEST_NOTICE).collect();
    (!words.is_empty()).then_some(Notice { tone: Tone::Good, words })
}

/// A cookie that is no secret.
fn plain_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).find_map(|text| {
        text.split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.to_owned())
    })
}

/// Whether somebody may do something everywhere, for what a page offers.
pub fn may(op: &Op, action: Action) -> bool {
    access::require(op, action).is_ok()
}
