//! `/nave/v1/nodes`: machines that joined, or were invited to.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{Node, NodeChange};
use crate::hub::error::Result;
use crate::hub::http::input::{Input, Path, Query};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::Routes;
use crate::hub::nodes;
use crate::hub::op::Op;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(action(nodes::READ), operation!(list))
        .operation(action(nodes::READ), operation!(show))
        .operation(action(nodes::CHANGE), operation!(change))
        .operation(action(nodes::APPROVE), operation!(approve))
        .operation(action(nodes::REVOKE), operation!(revoke))
        .operation(action(nodes::keyed::RELEASE), operation!(release))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListNodes {
    /// Whether to list those that are only invited, and those that were revoked, too.
    #[serde(default)]
    all: bool,
}

/// Lists nodes.
///
/// Members and those that wait for an operator, in the order of their names: as many of them as the one who asks may
/// see.
#[utoipa::path(
    get,
    path = "/nave/v1/nodes",
    params(ListNodes),
    responses((status = 200, description = "The nodes", body = Vec<Node>))
)]
async fn list(op: Op, State(hub): Shared, Query(query): Query<ListNodes>) -> Result<Json<Vec<Node>>> {
    nodes::list(&op, &hub, query.all).await.map(Json)
}

/// Shows a node.
///
/// One node, with what it may open.
#[utoipa::path(
    get,
    path = "/nave/v1/nodes/{node}",
    params(("node" = String, Path, description = "Its name or its id.", example = "lab")),
    responses((status = 200, description = "The node", body = Node))
)]
async fn show(op: Op, State(hub): Shared, Path(node): Path<String>) -> Result<Json<Node>> {
    nodes::show(&op, &hub, &node).await.map(Json)
}

/// Changes a node.
///
/// Its name, its roles, its labels. It is told at once when it is connected.
#[utoipa::path(
    patch,
    path = "/nave/v1/nodes/{node}",
    params(("node" = String, Path, description = "Its name or its id.", example = "lab")),
    request_body = Option<NodeChange>,
    responses(
        (status = 204, description = "It was changed"),
        (status = 409, description = "Another node has that name")
    )
)]
async fn change(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(change): Input<NodeChange>,
) -> Done {
    nodes::change(&op, &hub, &node, &change).await.map(|()| NOTHING_MORE)
}

/// Lets a node in.
///
/// One that showed itself with the shared access key and waits becomes a member.
#[utoipa::path(
    post,
    path = "/nave/v1/nodes/{node}/approve",
    params(("node" = String, Path, description = "Its name or its id.", example = "lab")),
    responses(
        (status = 204, description = "It is a member"),
        (status = 409, description = "It is a member already, or has not shown itself yet")
    )
)]
async fn approve(op: Op, State(hub): Shared, Path(node): Path<String>) -> Done {
    nodes::approve(&op, &hub, &node).await.map(|()| NOTHING_MORE)
}

/// Revokes a node.
///
/// Its connection and its streams end at once, and its key is refused from now on. An invitation that was not used
/// yet is taken back.
#[utoipa::path(
    post,
    path = "/nave/v1/nodes/{node}/revoke",
    params(("node" = String, Path, description = "Its name or its id.", example = "lab")),
    responses((status = 204, description = "It is no member any more"))
)]
async fn revoke(op: Op, State(hub): Shared, Path(node): Path<String>) -> Done {
    nodes::revoke(&op, &hub, &node).await.map(|()| NOTHING_MORE)
}

/// Releases a node's name.
///
/// Under the shared access key a name belongs to the address that used it first. From now on the next that comes with it
/// has it, from wherever.
#[utoipa::path(
    post,
    path = "/nave/v1/nodes/{node}/release",
    params(("node" = String, Path, description = "Its name or its id, or what its program calls it.", example = "lab")),
    responses(
        (status = 204, description = "The name is free"),
        (status = 409, description = "It is not bound to an address")
    )
)]
async fn release(op: Op, State(hub): Shared, Path(node): Path<String>) -> Done {
    nodes::keyed::release(&op, &hub, &node).await.map(|()| NOTHING_MORE)
}
