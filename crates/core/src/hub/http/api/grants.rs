//! Grants of nodes and of people: who may open what, where.

use axum::Json;
use axum::extract::State;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{Grant, GrantRequest};
use crate::hub::error::Result;
use crate::hub::http::input::{Input, Path};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::{grants, people};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(action(grants::GRANT), operation!(add_to_node))
        .operation(action(grants::GRANT), operation!(remove_from_node))
        .operation(Access::OwnOr(people::READ), operation!(list_of_person))
        .operation(action(grants::GRANT), operation!(add_to_person))
        .operation(action(grants::GRANT), operation!(remove_from_person))
}

/// Gives a node a right.
///
/// It may open the services that the scope covers, as far as their own nodes' operators let it. A right that it has
/// already is left as it is.
#[utoipa::path(
    post,
    path = "/nave/v1/nodes/{node}/grants",
    params(("node" = String, Path, description = "Its name or its id.", example = "lab")),
    request_body = GrantRequest,
    responses((status = 204, description = "It has the right"))
)]
async fn add_to_node(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::grant(&op, &hub, &node, &request).await.map(|()| NOTHING_MORE)
}

/// Takes a right from a node.
///
/// Streams that stood on it end.
#[utoipa::path(
    delete,
    path = "/nave/v1/nodes/{node}/grants",
    params(("node" = String, Path, description = "Its name or its id.", example = "lab")),
    request_body = GrantRequest,
    responses((status = 204, description = "It does not have the right any more"))
)]
async fn remove_from_node(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::withdraw(&op, &hub, &node, &request).await.map(|()| NOTHING_MORE)
}

/// Lists a person's rights.
///
/// What its devices may open besides what its roles let them. Everybody may look at their own.
#[utoipa::path(
    get,
    path = "/nave/v1/people/{person}/grants",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    responses((status = 200, description = "The rights", body = Vec<Grant>))
)]
async fn list_of_person(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Vec<Grant>>> {
    grants::of_person(&op, &hub, &who).await.map(Json)
}

/// Gives a person a right.
///
/// Its devices may open the services that the scope covers. A right that it has already is left as it is.
#[utoipa::path(
    post,
    path = "/nave/v1/people/{person}/grants",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    request_body = GrantRequest,
    responses((status = 204, description = "It has the right"))
)]
async fn add_to_person(
    op: Op,
    State(hub): Shared,
    Path(who): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::grant_person(&op, &hub, &who, &request).await.map(|()| NOTHING_MORE)
}

/// Takes a right from a person.
///
/// Streams of its devices that stood on it end.
#[utoipa::path(
    delete,
    path = "/nave/v1/people/{person}/grants",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    request_body = GrantRequest,
    responses((status = 204, description = "It does not have the right any more"))
)]
async fn remove_from_person(
    op: Op,
    State(hub): Shared,
    Path(who): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::withdraw_person(&op, &hub, &who, &request).await.map(|()| NOTHING_MORE)
}
