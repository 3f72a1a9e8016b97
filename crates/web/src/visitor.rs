//! Who looks at a page: a person with a session. Whoever has none is sent to sign in, and comes back afterwards.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::http::{Access, cookie};
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::people::secret::Secret;
use nave_core::hub::people::sessions::{self, Browser, Found};

use crate::error::PageError;
use crate::section::Sections;

/// What a form's token is derived for.
const FORM: &str = "form";
/// The longest address that somebody is sent back to after signing in.
const LONGEST_NEXT: usize = 1024;

/// Somebody who is signed in.
#[derive(Debug)]
pub struct Visitor {
    /// Who asks, for the services.
    pub op: Op,
    /// Goes into every form of the page, and must come back with it.
    pub form_token: String,
    /// Whether the request comes from htmx, which wants a fragment.
    pub fragment: bool,
    /// The request's headers: colours and messages come in cookies.
    pub headers: HeaderMap,
    /// What fleets bring to the console.
    pub sections: Sections,
}

/// Why there is no visitor: nobody is signed in, or the hub could not find out.
#[derive(Debug)]
pub enum NoVisitor {
    /// The browser goes to the sign-in page, with the way back.
    SignIn {
        /// Where it came from.
        next: String,
        /// Whether htmx asks, which follows no redirect by itself.
        fragment: bool,
    },
    /// The hub failed.
    Failed(PageError),
}

impl IntoResponse for NoVisitor {
    fn into_response(self) -> Response {
        match self {
            Self::Failed(error) => error.into_response(),
            Self::SignIn { next, fragment } => {
                let query: String =
                    form_urlencoded::Serializer::new(String::new()).append_pair("next", &next).finish();
                let to = if next == "/" { "/sign-in".to_owned() } else { format!("/sign-in?{query}") };
                let mut response = Redirect::to(&to).into_response();
                if fragment && let Ok(value) = HeaderValue::from_str(&to) {
                    response = http::StatusCode::NO_CONTENT.into_response();
                    response.headers_mut().insert("hx-redirect", value);
                }
                response
            }
        }
    }
}

impl FromRequestParts<Arc<Hub>> for Visitor {
    type Rejection = NoVisitor;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, NoVisitor> {
        let failed = |error| NoVisitor::Failed(PageError::of(error, parts));
        let fragment = is_fragment(parts);
        let op = match Op::from_request_parts(&mut parts.clone(), hub).await {
            Ok(op) => op,
            Err(error) => return Err(failed(error)),
        };
        let secret = cookie::session(&parts.headers);
        let (Actor::Person(_), Some(secret)) = (&op.actor, secret) else {
            let next = if parts.method.is_safe() { back(parts) } else { "/".to_owned() };
            return Err(NoVisitor::SignIn { next, fragment });
        };
        // Before the page looks for anything: what is there is not for those to know who may not see the page.
        if let Some(Access::Page(action)) = parts.extensions.get() {
            access::require_somewhere(&op, *action).map_err(failed)?;
        }
        let headers = parts.headers.clone();
        let sections = parts.extensions.get::<Sections>().cloned().unwrap_or_default();
        Ok(Self { op, form_token: secret.derive(FORM).to_string(), fragment, headers, sections })
    }
}

/// Somebody whose sign-in may still want something: a code, a second factor.
#[derive(Debug)]
pub struct Arrival {
    /// Who asks: nobody yet.
    pub op: Op,
    /// The session, however far it has come.
    pub found: Option<(Secret, Found)>,
    /// Where the browser is and what it calls itself.
    pub browser: Browser,
    /// The request's headers.
    pub headers: HeaderMap,
}

impl Arrival {
    /// Goes into the forms of a sign-in under way.
    pub fn form_token(&self) -> String {
        self.found.as_ref().map(|(secret, _)| secret.derive(FORM).to_string()).unwrap_or_default()
    }
}

impl FromRequestParts<Arc<Hub>> for Arrival {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, PageError> {
        if !parts.method.is_safe() && !cookie::same_origin(parts) {
            return Err(PageError::foreign(parts));
        }
        // The cookie of a sign-in under way makes nobody of anybody; other credentials are not looked at here.
        let mut bare = parts.clone();
        bare.headers.remove(http::header::COOKIE);
        bare.headers.remove(http::header::AUTHORIZATION);
        let op = Op::from_request_parts(&mut bare, hub).await.map_err(|error| PageError::of(error, parts))?;
        let found = match cookie::session(&parts.headers) {
            Some(secret) => sessions::find(hub, &secret, op.source)
                .await
                .map_err(|error| PageError::of(error, parts))?
                .map(|found| (secret, found)),
            None => None,
        };
        let agent = parts.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
        let browser = Browser { address: op.source, agent: agent.unwrap_or_default().to_owned() };
        Ok(Self { op, found, browser, headers: parts.headers.clone() })
    }
}

/// Whether a form that came with this cookie was made for it.
pub(crate) fn is_own_form(parts: &Parts, token: &str) -> bool {
    cookie::session(&parts.headers).is_some_and(|secret| secret.derives(FORM, token))
}

/// Whether htmx asks, which wants only a part of the page.
pub(crate) fn is_fragment(parts: &Parts) -> bool {
    parts.headers.contains_key("hx-request") && !parts.headers.contains_key("hx-boosted")
}

fn back(parts: &Parts) -> String {
    let here = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    next(Some(here))
}

/// Where to go after signing in: a path of this hub, and nothing that leads elsewhere.
pub fn next(wanted: Option<&str>) -> String {
    let own = |text: &&str| {
        text.starts_with('/')
            && !text.starts_with("//")
            && !text.contains('\\')
            // As addresses are written; nothing else can stand in the header that sends a browser there.
            && text.chars().all(|c| c.is_ascii_graphic())
            && text.len() <= LONGEST_NEXT
            && !text.starts_with("/sign-")
    };
    wanted.filter(own).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(next(Some("/nodes?q=lab")), "/nodes?q=lab");
        let long = format!("/{}", "x".repeat(2000));
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "nodes",
            "/a\r\nb",
            "/a b",
            "/\u{1}",
            "/ä",
            "/sign-in",
            &long,
        ] {
            assert_eq!(next(Some(bad)), "/", "{bad}");
        }
        assert_eq!(next(None), "/");
    }
}
