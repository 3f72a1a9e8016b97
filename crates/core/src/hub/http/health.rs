//! `/healthz` and `/readyz`: whether the hub lives, and whether it can serve.

use std::sync::Arc;

use axum::extract::State;

use super::routes::{Access, Routes};
use crate::hub::context::Hub;
use crate::hub::error::Result;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/healthz", Access::Open, healthz).get("/readyz", Access::Open, readyz)
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(hub): State<Arc<Hub>>) -> Result<&'static str> {
    drop(hub.store.read().await?);
    Ok("ready\n")
}
