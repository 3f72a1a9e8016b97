//! What a page shows when something went wrong: what happened, what to do next, and the id that leads to the log line.
//! Never a stack trace.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use nave_core::hub::error::Error;
use nave_core::id::RequestId;

use crate::visitor::is_fragment;

/// An error on its way to a page.
#[derive(Debug)]
pub struct PageError {
    /// What happened.
    pub error: Error,
    /// Leads to the log lines.
    pub request: Option<RequestId>,
    /// Whether only a part of a page was asked for.
    pub fragment: bool,
}

impl PageError {
    /// An error of a service.
    pub fn of(error: Error, parts: &Parts) -> Self {
        Self { error, request: parts.extensions.get().copied(), fragment: is_fragment(parts) }
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
        Self { error, request: None, fragment: false }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        (self.status(), self.error.message()).into_response()
    }
}
