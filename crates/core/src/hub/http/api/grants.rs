//! Grants of nodes and of people: who may open what, where.

use axum::Json;
use axum::extract::{Path, State};
use http::Method;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{Grant, GrantRequest};
use crate::hub::error::Result;
use crate::hub::grants;
use crate::hub::http::extract::Input;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::people;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .post("/nave/v1/nodes/{node}/grants", action(grants::GRANT), add_to_node)
        .on(Method::DELETE, "/nave/v1/nodes/{node}/grants", action(grants::GRANT), remove_from_node)
        .get("/nave/v1/people/{person}/grants", Access::OwnOr(people::READ), list_of_person)
        .post("/nave/v1/people/{person}/grants", action(grants::GRANT), add_to_person)
        .on(Method::DELETE, "/nave/v1/people/{person}/grants", action(grants::GRANT), remove_from_person)
}

async fn add_to_node(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::grant(&op, &hub, &node, &request).await.map(|()| NOTHING_MORE)
}

async fn remove_from_node(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::withdraw(&op, &hub, &node, &request).await.map(|()| NOTHING_MORE)
}

async fn list_of_person(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Vec<Grant>>> {
    grants::of_person(&op, &hub, &who).await.map(Json)
}

async fn add_to_person(
    op: Op,
    State(hub): Shared,
    Path(who): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::grant_person(&op, &hub, &who, &request).await.map(|()| NOTHING_MORE)
}

async fn remove_from_person(
    op: Op,
    State(hub): Shared,
    Path(who): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::withdraw_person(&op, &hub, &who, &request).await.map(|()| NOTHING_MORE)
}
