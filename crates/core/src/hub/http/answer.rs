//! How errors and requests are answered: one shape for every error, a request id on every answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::api::{ErrorBody, ErrorWords};
use crate::hub::context::Hub;
use crate::hub::error::Error;

/// How HTTP calls an error.
pub fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Invalid { .. } => StatusCode::BAD_REQUEST,
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::Forbidden(_) => StatusCode::FORBIDDEN,
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::Conflict(_) => StatusCode::CONFLICT,
        Error::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
        Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = status_of(&self);
        if let Self::Internal(source) | Self::Unavailable { source, .. } = &self {
            tracing::error!(%source, "a request failed");
        }
        let mut response = failure(status, self.code(), &self.message());
        if let Self::Invalid { field, problem } = &self {
            let words = ErrorWords {
                code: self.code().to_owned(),
                message: format!("{field}: {problem}"),
                field: Some(field.clone()),
                request: None,
            };
            response = (status, axum::Json(ErrorBody { error: words })).into_response();
        }
        if let Self::Throttled(wait) = &self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// An error answer.
pub fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    let words = ErrorWords { code: code.to_owned(), message: message.to_owned(), field: None, request: None };
    (status, axum::Json(ErrorBody { error: words })).into_response()
}

/// Counts what is answered.
pub(crate) async fn count(State(hub): State<Arc<Hub>>, request: Request<Body>, next: Next) -> Response {
    let response = next.run(request).await;
    hub.metrics.answered(response.status());
    response
}

/// What is answered where nothing is.
pub(crate) async fn not_found(request: Request<Body>) -> Response {
    let path = request.uri().path();
    let shown: String = path.chars().take(200).collect();
    failure(StatusCode::NOT_FOUND, "not_found", &format!("there is nothing at {shown}"))
}
