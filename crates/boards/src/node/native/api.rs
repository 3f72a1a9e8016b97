//! Requests of a node, or of a person's device, to the hub's API.

use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use nave_core::api::ErrorBody;
use nave_link::dial::{self, DialError, Known};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest answer that is read, in bytes.
const MOST: usize = 64 << 20;

/// Why the API gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The hub was not reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The answer did not come whole, or cannot be read.
    #[error("the hub's answer cannot be used: {0}")]
    Answer(String),
    /// The hub says no, in its words.
    #[error("{message}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The words.
        message: String,
    },
}

/// Asks, each time on a connection of its own; `longest` is how long an answer may take.
pub(super) async fn ask<T: DeserializeOwned>(
    known: &Known,
    method: Method,
    path: &str,
    body: &impl Serialize,
    longest: Duration,
) -> Result<T, ApiError> {
    let unusable = |error: &dyn std::fmt::Display| ApiError::Answer(error.to_string());
    let body = serde_json::to_vec(body).map_err(|error| unusable(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body))
        .map_err(|error| unusable(&error))?;
    let asking = async {
        let response = dial::api(known).await?.send(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST).collect().await;
        Ok::<_, ApiError>((status, body.map_err(|error| unusable(&error))?.to_bytes()))
    };
    let answered = tokio::time::timeout(longest, asking).await;
    let (status, body) = answered.map_err(|_| unusable(&"it did not come in time"))??;
    if !status.is_success() {
        let message = serde_json::from_slice::<ErrorBody>(&body)
            .map_or_else(|_| format!("the hub answered {status}"), |body| body.error.message);
        return Err(ApiError::Refused { status, message });
    }
    // What answers nothing answers `null`.
    let body = if body.is_empty() { &b"null"[..] } else { &body };
    serde_json::from_slice(body).map_err(|error| unusable(&error))
}
