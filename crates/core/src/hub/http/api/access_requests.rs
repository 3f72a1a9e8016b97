//! `/nave/v1/access-requests`: who asks to be let in.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{AcceptRequest, AccessRequest, NewAccessRequest, Noted, PersonLink};
use crate::hub::error::Result;
use crate::hub::http::extract::Input;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::people::requests;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .post("/nave/v1/access-requests", Access::Open, ask)
        .get("/nave/v1/access-requests", action(requests::DECIDE), list)
        .post("/nave/v1/access-requests/{request}/accept", action(requests::DECIDE), accept)
        .post("/nave/v1/access-requests/{request}/decline", action(requests::DECIDE), decline)
}

async fn ask(op: Op, State(hub): Shared, Input(request): Input<NewAccessRequest>) -> Result<Json<Noted>> {
    requests::ask(&op, &hub, &request).await.map(Json)
}

#[derive(Deserialize)]
struct ListRequests {
    #[serde(default = "open")]
    status: String,
}

fn open() -> String {
    "open".to_owned()
}

async fn list(
    op: Op,
    State(hub): Shared,
    Query(query): Query<ListRequests>,
) -> Result<Json<Vec<AccessRequest>>> {
    requests::list(&op, &hub, &query.status).await.map(Json)
}

async fn accept(
    op: Op,
    State(hub): Shared,
    Path(id): Path<String>,
    Input(accept): Input<AcceptRequest>,
) -> Result<Json<PersonLink>> {
    requests::accept(&op, &hub, &id, &accept.roles).await.map(Json)
}

async fn decline(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    requests::decline(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}
