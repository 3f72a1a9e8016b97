//! `/attachments`: files that agents bring and fetch with their own keys, as NAISYS's agents and runners do; in the words of
//! its hub.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use nave_core::hub::context::Hub;
use nave_core::hub::edge::Connection;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes};
use serde_json::json;

use crate::hub::Agents;
use crate::hub::files::serve::served;
use crate::hub::files::{self, LARGEST, Purpose};

/// Declares both paths of both generations.
pub(super) fn routes(agents: &Agents, mut routes: Routes) -> Routes {
    for path in ["/attachments", "/hub/attachments"] {
        let (bring, fetch, named, none) = (agents.clone(), agents.clone(), agents.clone(), agents.clone());
        routes = routes
            .post(path, Access::Proof, move |hub, whence, request| bring_file(bring, hub, whence, request))
            .get(path, Access::Proof, move |hub, whence, request| fetch_file(none, hub, whence, request))
            .get(&format!("{path}/{{id}}"), Access::Proof, move |hub, whence, request| {
                fetch_file(fetch, hub, whence, request)
            })
            .get(&format!("{path}/{{id}}/{{name}}"), Access::Proof, move |hub, whence, request| {
                fetch_file(named, hub, whence, request)
            });
    }
    routes
}

type Whence = Option<Extension<Connection>>;

fn told(status: StatusCode, words: impl Into<String>) -> Response {
    (status, Json(json!({ "error": words.into() }))).into_response()
}

fn failed(error: &Error) -> Response {
    let status = match error {
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
        Error::Invalid { .. } => StatusCode::BAD_REQUEST,
        Error::NotFound { .. } => return told(StatusCode::NOT_FOUND, "Attachment not found"),
        Error::Conflict(words) => return told(StatusCode::NOT_FOUND, words.clone()),
        Error::Forbidden(_) => StatusCode::FORBIDDEN,
        Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => {
            tracing::error!(%error, "a file could not be brought or fetched");
            return told(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error");
        }
    };
    told(status, error.message())
}

/// What stands in a query.
struct Asked(Vec<(String, String)>);

impl Asked {
    fn read(request: &Request) -> Self {
        let query = request.uri().query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, value)| field == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

/// The key, wherever a generation of programs puts it.
fn key(asked: &Asked, headers: &HeaderMap) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    asked.get("apiKey").or_else(|| header("x-api-key")).or(bearer).map(str::to_owned)
}

async fn bring_file(
    agents: Agents,
    State(hub): State<Arc<Hub>>,
    whence: Whence,
    request: Request,
) -> Response {
    let (asked, source) = (Asked::read(&request), whence.map(|Extension(whence)| whence.peer.ip()));
    let given = (
        key(&asked, request.headers()),
        asked.get("filename"),
        asked.get("filesize"),
        asked.get("filehash"),
        asked.get("purpose"),
    );
    let (Some(key), Some(filename), Some(size), Some(hash), Some(purpose)) = given else {
        let missing = "Missing required query params: apiKey, filename, filesize, filehash, purpose";
        return told(StatusCode::BAD_REQUEST, missing);
    };
    let Some(purpose) = Purpose::from_word(purpose) else {
        return told(StatusCode::BAD_REQUEST, "Invalid purpose. Must be \"mail\" or \"context\"");
    };
    let Some(size) = size.trim().parse::<u64>().ok().filter(|size| *size > 0) else {
        return told(StatusCode::BAD_REQUEST, "Invalid filesize");
    };
    if size > LARGEST as u64 {
        let words = format!("File too large. Max size: {LARGEST} bytes");
        return told(StatusCode::PAYLOAD_TOO_LARGE, words);
    }
    let (agent, op) = match files::op_of_agent(&hub, &agents, &key, source) {
        Ok(known) => known,
        Err(error) => return failed(&error),
    };
    let (hash, filename) = (hash.to_lowercase(), filename.to_owned());
    let Ok(content) = to_bytes(request.into_body(), LARGEST).await else {
        return told(StatusCode::PAYLOAD_TOO_LARGE, "File exceeds size limit during upload");
    };
    let seen = files::hash(&content);
    if seen != hash {
        return told(StatusCode::BAD_REQUEST, format!("Hash mismatch. Expected: {hash}, got: {seen}"));
    }
    match files::keep(&op, &hub, &agents, agent, &filename, purpose, content).await {
        Ok(row) => Json(json!({ "id": row.id })).into_response(),
        Err(error) => failed(&error),
    }
}

async fn fetch_file(
    agents: Agents,
    State(hub): State<Arc<Hub>>,
    whence: Whence,
    request: Request,
) -> Response {
    let (asked, source) = (Asked::read(&request), whence.map(|Extension(whence)| whence.peer.ip()));
    let Some(key) = key(&asked, request.headers()) else {
        return told(StatusCode::UNAUTHORIZED, "Missing apiKey");
    };
    let op = match files::op_of_agent(&hub, &agents, &key, source) {
        Ok((_, op)) => op,
        Err(error) => return failed(&error),
    };
    let path = request.uri().path().trim_start_matches("/hub").trim_start_matches("/attachments");
    let id = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if id.is_empty() {
        return told(StatusCode::BAD_REQUEST, "Missing attachment ID");
    }
    match files::fetch(&op, &hub, &agents, id).await {
        Ok((row, content)) => served(&row, content).unwrap_or_else(|error| failed(&error)),
        Err(error) => failed(&error),
    }
}
