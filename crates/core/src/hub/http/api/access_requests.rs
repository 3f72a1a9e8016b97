//! `/nave/v1/access-requests`: who asks to be let in.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{AcceptRequest, AccessRequest, AccessRequestStatus, NewAccessRequest, Noted, PersonLink};
use crate::hub::error::Result;
use crate::hub::http::extract::Stranger;
use crate::hub::http::input::{Input, Path, Query};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::people::requests;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(Access::Open, operation!(ask))
        .operation(action(requests::DECIDE), operation!(list))
        .operation(action(requests::DECIDE), operation!(accept))
        .operation(action(requests::DECIDE), operation!(decline))
}

/// Asks to be let in.
///
/// The answer is the same whether or not the address has an account, or has asked before.
#[utoipa::path(
    post,
    path = "/nave/v1/access-requests",
    request_body = NewAccessRequest,
    responses(
        (status = 200, description = "It was noted", body = Noted),
        (status = 403, description = "This hub takes no such requests"),
        (status = 429, description = "Too many requests from one address")
    )
)]
async fn ask(
    Stranger(op): Stranger,
    State(hub): Shared,
    Input(request): Input<NewAccessRequest>,
) -> Result<Json<Noted>> {
    requests::ask(&op, &hub, &request).await.map(Json)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListRequests {
    /// Those that wait, unless others are asked for.
    #[serde(default)]
    status: AccessRequestStatus,
}

/// Lists access requests.
///
/// Those that wait, the newest first; or those that were decided.
#[utoipa::path(
    get,
    path = "/nave/v1/access-requests",
    params(ListRequests),
    responses((status = 200, description = "The requests", body = Vec<AccessRequest>))
)]
async fn list(
    op: Op,
    State(hub): Shared,
    Query(query): Query<ListRequests>,
) -> Result<Json<Vec<AccessRequest>>> {
    requests::list(&op, &hub, query.status.word()).await.map(Json)
}

/// Lets somebody in who asked.
///
/// An invitation goes to the address that asked.
#[utoipa::path(
    post,
    path = "/nave/v1/access-requests/{request}/accept",
    params(("request" = String, Path, description = "Its id.")),
    request_body = AcceptRequest,
    responses(
        (status = 200, description = "The person, and the link unless it goes by mail", body = PersonLink),
        (status = 409, description = "It was decided already, or the address has an account meanwhile")
    )
)]
async fn accept(
    op: Op,
    State(hub): Shared,
    Path(id): Path<String>,
    Input(accept): Input<AcceptRequest>,
) -> Result<Json<PersonLink>> {
    requests::accept(&op, &hub, &id, &accept.roles).await.map(Json)
}

/// Does not let somebody in.
///
/// Nobody is told.
#[utoipa::path(
    post,
    path = "/nave/v1/access-requests/{request}/decline",
    params(("request" = String, Path, description = "Its id.")),
    responses(
        (status = 204, description = "It was declined"),
        (status = 409, description = "It was decided already")
    )
)]
async fn decline(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    requests::decline(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}
