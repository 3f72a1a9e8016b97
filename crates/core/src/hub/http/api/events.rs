//! `/nave/v1/events`: the audit log.

use axum::Json;
use axum::extract::State;

use super::{Shared, action};
use crate::api::{Event, EventFilter};
use crate::hub::error::Result;
use crate::hub::event;
use crate::hub::http::input::Query;
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::Routes;
use crate::hub::op::Op;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.operation(action(event::READ), operation!(list))
}

/// Lists the audit log.
///
/// The newest first; with `after`, those that were committed later than that one, the oldest first, so that whoever
/// asks again and again with the last number misses none.
#[utoipa::path(
    get,
    path = "/nave/v1/events",
    params(EventFilter),
    responses((status = 200, description = "The events", body = Vec<Event>))
)]
async fn list(op: Op, State(hub): Shared, Query(filter): Query<EventFilter>) -> Result<Json<Vec<Event>>> {
    event::list(&op, &hub.store, &filter).await.map(Json)
}
