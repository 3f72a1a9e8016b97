//! What is no page by itself: assets, what browsers report of blocked contents, and the page for where nothing is.

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{StatusCode, Uri};
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes, failure};
use nave_core::hub::paths::Owner;

use crate::assets;
use crate::error::PageError;
use crate::visitor::Arrival;

/// As much of a report as goes into the log.
const LONGEST_REPORT: usize = 2000;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get("/assets/{file}", Access::Open, assets::serve)
        .get("/favicon.ico", Access::Open, assets::favicon)
        .post("/csp-report", Access::Open, blocked)
        .get("/{*path}", Access::Open, nothing)
}

/// A page tried to load or run what it may not: a defect of ours, or somebody's attempt.
async fn blocked(report: Bytes) -> StatusCode {
    let report: String = String::from_utf8_lossy(&report).chars().take(LONGEST_REPORT).collect();
    tracing::warn!(report, "a browser blocked something on a page");
    StatusCode::NO_CONTENT
}

async fn nothing(arrival: Arrival, uri: Uri) -> Response {
    let shown: String = uri.path().chars().take(200).collect();
    if Owner::of(uri.path()) == Owner::Console {
        let mut error = PageError::from(Error::not_found("page", shown));
        error.request = Some(arrival.op.request);
        return error.into_response();
    }
    failure(StatusCode::NOT_FOUND, "not_found", &format!("there is nothing at {shown}"))
}
