//! `/nave/v1/nodes`: machines that joined, or were invited to.

use axum::Json;
use axum::extract::{Path, Query, State};
use http::Method;
use serde::Deserialize;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{Node, NodeChange};
use crate::hub::error::Result;
use crate::hub::http::extract::Input;
use crate::hub::http::routes::Routes;
use crate::hub::nodes;
use crate::hub::op::Op;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/nave/v1/nodes", action(nodes::READ), list)
        .get("/nave/v1/nodes/{node}", action(nodes::READ), show)
        .on(Method::PATCH, "/nave/v1/nodes/{node}", action(nodes::CHANGE), change)
        .post("/nave/v1/nodes/{node}/approve", action(nodes::APPROVE), approve)
        .post("/nave/v1/nodes/{node}/revoke", action(nodes::REVOKE), revoke)
}

#[derive(Deserialize)]
struct ListNodes {
    #[serde(default)]
    all: bool,
}

async fn list(op: Op, State(hub): Shared, Query(query): Query<ListNodes>) -> Result<Json<Vec<Node>>> {
    nodes::list(&op, &hub, query.all).await.map(Json)
}

async fn show(op: Op, State(hub): Shared, Path(node): Path<String>) -> Result<Json<Node>> {
    nodes::show(&op, &hub, &node).await.map(Json)
}

async fn change(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(change): Input<NodeChange>,
) -> Done {
    nodes::change(&op, &hub, &node, &change).await.map(|()| NOTHING_MORE)
}

async fn approve(op: Op, State(hub): Shared, Path(node): Path<String>) -> Done {
    nodes::approve(&op, &hub, &node).await.map(|()| NOTHING_MORE)
}

async fn revoke(op: Op, State(hub): Shared, Path(node): Path<String>) -> Done {
    nodes::revoke(&op, &hub, &node).await.map(|()| NOTHING_MORE)
}
