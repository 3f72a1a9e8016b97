//! `/nave/v1/hub`, `checks` and `jobs`: what the hub is and how it is; and the description of this API.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::header;

use super::{Shared, action};
use crate::api::{Check, HubView, JobView};
use crate::hub::access;
use crate::hub::error::Result;
use crate::hub::http::openapi::{Document, operation};
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::{job, status};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(action(status::READ), operation!(show))
        .operation(action(status::READ), operation!(checks))
        .operation(action(status::READ), operation!(jobs))
        .operation(Access::Open, operation!(describe))
}

/// Shows the hub.
///
/// Who it is, which program it runs and where it listens.
#[utoipa::path(get, path = "/nave/v1/hub", responses((status = 200, description = "The hub", body = HubView)))]
async fn show(op: Op, State(hub): Shared) -> Result<Json<HubView>> {
    access::require(&op, status::READ)?;
    Ok(Json(HubView {
        id: hub.key.public().digest().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        url: hub.url.get().map(ToString::to_string).unwrap_or_default(),
        fingerprint: hub.access_keys.fingerprint().to_string(),
        listeners: hub.listeners.get().cloned().unwrap_or_default(),
    }))
}

/// Checks the hub.
///
/// Looks at everything that it can see of itself and its machine, now. What is not good comes with what to do.
#[utoipa::path(get, path = "/nave/v1/checks", responses((status = 200, description = "What was seen", body = Vec<Check>)))]
async fn checks(op: Op, State(hub): Shared) -> Result<Json<Vec<Check>>> {
    access::require(&op, status::READ)?;
    Ok(Json(status::running(&hub).await))
}

/// Lists the background jobs.
///
/// What the hub does by itself, when it last did it, and what came of it.
#[utoipa::path(get, path = "/nave/v1/jobs", responses((status = 200, description = "The jobs", body = Vec<JobView>)))]
async fn jobs(op: Op, State(hub): Shared) -> Result<Json<Vec<JobView>>> {
    access::require(&op, status::READ)?;
    Ok(Json(job::list(&hub)))
}

/// Describes this API.
///
/// This very document: OpenAPI 3.1, made from the program that answers.
#[utoipa::path(
    get,
    path = "/nave/v1/openapi.json",
    responses((status = 200, description = "The description", body = Object))
)]
async fn describe(Extension(document): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.text()).into_response()
}
