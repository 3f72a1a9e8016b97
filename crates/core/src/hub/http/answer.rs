//! How errors and requests are answered: one shape for every error, a request id on every answer.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tracing::Instrument as _;

use crate::api::{ErrorBody, ErrorWords};
use crate::hub::error::Error;
use crate::id::RequestId;

/// Leads from an answer to the hub's log lines.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("nave-request-id");

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
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

/// Gives every request its id, and its log lines a span that carries it.
pub(crate) async fn identify(mut request: Request<Body>, next: Next) -> Response {
    let id = RequestId::new();
    request.extensions_mut().insert(id);
    let span =
        tracing::info_span!("request", id = %id, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    let value = HeaderValue::from_str(&id.to_string()).expect("a UUID is a header value");
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

/// What is answered where nothing is.
pub(crate) async fn not_found(request: Request<Body>) -> Response {
    let path = request.uri().path();
    let shown: String = path.chars().take(200).collect();
    failure(StatusCode::NOT_FOUND, "not_found", &format!("there is nothing at {shown}"))
}
