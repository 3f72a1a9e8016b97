//! What a page shows when something went wrong: what happened, what to do next, and the id that leads to the log line.
//! Never a stack trace.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use nave_core::hub::error::Error;
use nave_core::hub::http::LatePage;
use nave_core::id::RequestId;

use crate::page;
use crate::shell::Shell;
use crate::views::failure::{DoorFailure, title};
use crate::visitor::is_fragment;
use crate::words;

/// An error on its way to a page.
#[derive(Debug)]
pub struct PageError {
    /// What happened.
    pub error: Error,
    /// Leads to the log lines.
    pub request: Option<RequestId>,
    /// Whether only a part of a page was asked for.
    pub fragment: bool,
    /// In a few words, where the status does not say it well.
    pub title: Option<&'static str>,
}

impl PageError {
    /// An error of a service.
    pub fn of(error: Error, parts: &Parts) -> Self {
        Self { error, request: parts.extensions.get().copied(), fragment: is_fragment(parts), title: None }
    }

    /// A form that was made for another session, or for one that has ended.
    pub fn stale(parts: &Parts) -> Self {
        let words = "this page was open for too long, or you signed in anew meanwhile: nothing was changed; open the page again and repeat what you did";
        Self::of(Error::Forbidden(words.to_owned()), parts)
    }

    /// A form that does not come from a page of this hub.
    pub fn foreign(parts: &Parts) -> Self {
        let words = "this form does not come from a page of this hub: nothing was changed; open the page here and try again";
        Self::of(Error::Forbidden(words.to_owned()), parts)
    }

    /// How HTTP calls it.
    pub fn status(&self) -> StatusCode {
        nave_core::hub::http::status_of(&self.error)
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        Self { error, request: None, fragment: false, title: None }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, words) = (self.status(), words::sentence(&self.error.message()));
        if let Error::Internal(source) | Error::Unavailable { source, .. } = &self.error {
            tracing::error!(%source, "a page failed");
        }
        let request = self.request.map(|id| id.to_string());
        let title = self.title.unwrap_or_else(|| title(status.as_u16()));
        let page = move |id: &str| {
            let view = DoorFailure {
                shell: Shell::nobody(title),
                status: status.as_u16(),
                title,
                words: words.clone(),
                request: request.clone().unwrap_or_else(|| id.to_owned()),
            };
            page::html(status, &view)
        };
        // The request's id is known at the edge.
        LatePage::answer(status, page)
    }
}
