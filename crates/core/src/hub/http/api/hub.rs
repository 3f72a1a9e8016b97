//! `/nave/v1/hub`, `checks` and `jobs`: what the hub is and how it is.

use axum::Json;
use axum::extract::State;

use super::{Shared, action};
use crate::api::{Check, HubView, JobView};
use crate::hub::access;
use crate::hub::access::{Action, Roles};
use crate::hub::error::Result;
use crate::hub::http::routes::Routes;
use crate::hub::job;
use crate::hub::op::Op;
use crate::hub::status;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/nave/v1/hub", action(STATUS), hub).get("/nave/v1/checks", action(STATUS), checks).get(
        "/nave/v1/jobs",
        action(STATUS),
        jobs,
    )
}

/// Reading what the hub is and how it is.
pub const STATUS: Action = Action::new("hub.read", Roles::ANY);

async fn hub(op: Op, State(hub): Shared) -> Result<Json<HubView>> {
    access::require(&op, STATUS)?;
    Ok(Json(HubView {
        id: hub.key.public().digest().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        url: hub.url.get().map(ToString::to_string).unwrap_or_default(),
        fingerprint: hub.access_keys.fingerprint().to_string(),
        listeners: hub.listeners.get().cloned().unwrap_or_default(),
    }))
}

async fn checks(op: Op, State(hub): Shared) -> Result<Json<Vec<Check>>> {
    access::require(&op, STATUS)?;
    Ok(Json(status::running(&hub).await))
}

async fn jobs(op: Op, State(hub): Shared) -> Result<Json<Vec<JobView>>> {
    access::require(&op, STATUS)?;
    Ok(Json(job::list(&hub)))
}
