//! `/oidc/…`: this hub as a provider of sign-in, as far as programs ask it. Where people decide is a page.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::answer::{failure, status_of};
use super::routes::{Access, Routes};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::http::extract::Stranger;
use crate::hub::people::idp::{self, NotExchanged};

/// The largest form of a program, in bytes.
const MAX_FORM: usize = 16 << 10;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/oidc/.well-known/openid-configuration", Access::Open, description)
        .get("/oidc/jwks", Access::Open, keys)
        // A program proves by the form what it may have.
        .post("/oidc/token", Access::Open, token)
}

type Shared = State<Arc<Hub>>;

fn off() -> Response {
    failure(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing here: no program signs people in with their account on this hub",
    )
}

async fn description(State(hub): Shared) -> Result<Response> {
    if !idp::is_on(&hub) {
        return Ok(off());
    }
    idp::description(&hub).map(|said| Json(said).into_response())
}

async fn keys(State(hub): Shared) -> Result<Response> {
    if !idp::is_on(&hub) {
        return Ok(off());
    }
    idp::published_keys(&hub).await.map(|keys| Json(keys).into_response())
}

async fn token(Stranger(op): Stranger, State(hub): Shared, body: Body) -> Response {
    if !idp::is_on(&hub) {
        return off();
    }
    let answered = match Limited::new(body, MAX_FORM).collect().await {
        Ok(body) => {
            let form: Vec<(String, String)> = form_urlencoded::parse(&body.to_bytes()).into_owned().collect();
            idp::exchange(&op, &hub, &form).await
        }
        Err(_) => {
            Err(NotExchanged::Refused("invalid_request", "the form is too long, or did not arrive whole"))
        }
    };
    let mut response = match answered {
        Ok(given) => Json(given).into_response(),
        Err(NotExchanged::Refused(code, words)) => refused(StatusCode::BAD_REQUEST, code, words),
        Err(NotExchanged::Failed(error)) => {
            if let Error::Internal(source) | Error::Unavailable { source, .. } = &error {
                tracing::error!(%source, "a program could not be given its token");
            }
            refused(status_of(&error), "temporarily_unavailable", &error.message())
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// As RFC 6749, section 5.2, has it.
fn refused(status: StatusCode, code: &str, words: &str) -> Response {
    let said: Value = json!({ "error": code, "error_description": words });
    (status, Json(said)).into_response()
}
