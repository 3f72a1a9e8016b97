//! How errors and requests are answered: one shape for every error, a request id on every answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use hyper::body::Body as _;

use crate::api::{ErrorBody, ErrorWords};
use crate::hub::context::Hub;
use crate::hub::error::Error;
use crate::id::RequestId;

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
        let field = match &self {
            Self::Invalid { field, .. } => Some(field.clone()),
            _ => None,
        };
        let words =
            ErrorWords { code: self.code().to_owned(), message: self.message(), field, request: None };
        let mut response = answer(status, words);
        if let Self::Throttled(wait) = &self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// An error answer.
pub fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    let words = ErrorWords { code: code.to_owned(), message: message.to_owned(), field: None, request: None };
    answer(status, words)
}

fn answer(status: StatusCode, words: ErrorWords) -> Response {
    let body = axum::Json(ErrorBody { error: words.clone() });
    (status, axum::Extension(words), body).into_response()
}

/// Names the request in an error answer, and logs what was refused: so the answer leads to the log lines. What anybody
/// can cause at will is not logged unless somebody wants to know.
pub(crate) fn name_request(mut response: Response, id: RequestId) -> Response {
    let Some(words) = response.extensions_mut().remove::<ErrorWords>() else { return response };
    let (status, code, field) = (response.status(), words.code.as_str(), words.field.as_deref());
    match status {
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::CONFLICT => {
            tracing::info!(%status, code, field, "refused");
        }
        _ => tracing::debug!(%status, code, field, "refused"),
    }
    let words = ErrorWords { request: Some(id.to_string()), ..words };
    let Ok(body) = serde_json::to_vec(&ErrorBody { error: words }) else { return response };
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    // An answer to HEAD has no body, and stays without one.
    if !response.body().is_end_stream() {
        *response.body_mut() = Body::from(body);
    }
    response
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

/// What is answered where something is, and does not take that method.
pub(crate) async fn method_not_allowed(request: Request<Body>) -> Response {
    let message = format!("{} cannot be done here; `Allow` says what can", request.method());
    failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message)
}
