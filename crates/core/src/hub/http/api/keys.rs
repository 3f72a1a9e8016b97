//! Access keys, the shared one and those of one node, and the master key.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{KeyRotation, KeyText, MintKey};
use crate::hub::error::Result;
use crate::hub::http::input::{Input, Path, Query};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::Routes;
use crate::hub::op::Op;
use crate::hub::{identity, nodes, seal};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(action(nodes::MINT), operation!(mint))
        .operation(action(identity::SHOW), operation!(show))
        .operation(action(identity::ROTATE), operation!(rotate))
        .operation(action(seal::ROTATE), operation!(rotate_master))
}

/// Makes an access key for one node.
///
/// A node of that name is invited by this if there is none. Its earlier keys end after the grace. The hub keeps only
/// the key's hash.
#[utoipa::path(
    post,
    path = "/nave/v1/nodes/{node}/key",
    params((
        "node" = String,
        Path,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description = "Its name.",
        example = "lab"
    )),
    request_body = Option<MintKey>,
    responses((status = 200, description = "The key, told once", body = KeyText))
)]
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

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ShowKey {
    /// Whether it begins with the whole fingerprint of the hub's certificate, for hostile networks, and not only with the
    /// first 16 characters of it.
    #[serde(default)]
    full: bool,
}

/// Shows the shared access key.
///
/// Clients that know no other way show it to the hub.
#[utoipa::path(
    get,
    path = "/nave/v1/access-key",
    params(ShowKey),
    responses((status = 200, description = "The key", body = KeyText))
)]
async fn show(op: Op, State(hub): Shared, Query(query): Query<ShowKey>) -> Result<Json<KeyText>> {
    let key = identity::show(&op, &hub, query.full).await?;
    Ok(Json(KeyText { key: key.to_string() }))
}

/// Replaces the shared access key.
///
/// The old one stays good for the grace. Nodes that have joined are not touched: they are known by their own keys.
#[utoipa::path(
    post,
    path = "/nave/v1/access-key/rotate",
    request_body = Option<KeyRotation>,
    responses((status = 200, description = "The new key", body = KeyText))
)]
async fn rotate(op: Op, State(hub): Shared, Input(request): Input<KeyRotation>) -> Result<Json<KeyText>> {
    let key = identity::rotate(&op, &hub, Duration::from_secs(request.grace_seconds)).await?;
    Ok(Json(KeyText { key: key.to_string() }))
}

/// Replaces the master key.
///
/// What is sealed under it stays readable: the keys that it seals are sealed anew.
#[utoipa::path(
    post,
    path = "/nave/v1/master-key/rotate",
    responses(
        (status = 204, description = "It was replaced"),
        (status = 409, description = "The key is a credential of systemd, which only its owner can replace")
    )
)]
async fn rotate_master(op: Op, State(hub): Shared) -> Done {
    hub.sealer.rotate_master(&op, &hub.bus).await.map(|()| NOTHING_MORE)
}
