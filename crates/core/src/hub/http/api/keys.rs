//! Access keys, the shared one and those of one node, and the master key.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{KeyRotation, KeyText, MintKey};
use crate::hub::error::Result;
use crate::hub::http::extract::Input;
use crate::hub::http::routes::Routes;
use crate::hub::identity;
use crate::hub::nodes;
use crate::hub::op::Op;
use crate::hub::seal;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .post("/nave/v1/nodes/{node}/key", action(nodes::MINT), mint)
        .get("/nave/v1/access-key", action(identity::SHOW), show)
        .post("/nave/v1/access-key/rotate", action(identity::ROTATE), rotate)
        .post("/nave/v1/master-key/rotate", action(seal::ROTATE), rotate_master)
}

async fn mint(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(request): Input<MintKey>,
) -> Result<Json<KeyText>> {
    let grace = Duration::from_secs(request.grace_seconds);
    let key = nodes::mint_key(&op, &hub, &node, &request.roles, grace).await?;
    Ok(Json(KeyText { key: key.reveal().to_string() }))
}

#[derive(Deserialize)]
struct ShowKey {
    #[serde(default)]
    full: bool,
}

async fn show(op: Op, State(hub): Shared, Query(query): Query<ShowKey>) -> Result<Json<KeyText>> {
    let key = identity::show(&op, &hub, query.full)?;
    Ok(Json(KeyText { key: key.to_string() }))
}

async fn rotate(op: Op, State(hub): Shared, Input(request): Input<KeyRotation>) -> Result<Json<KeyText>> {
    let key = identity::rotate(&op, &hub, Duration::from_secs(request.grace_seconds)).await?;
    Ok(Json(KeyText { key: key.to_string() }))
}

async fn rotate_master(op: Op, State(hub): Shared) -> Done {
    hub.sealer.rotate_master(&op, &hub.bus).await.map(|()| NOTHING_MORE)
}
