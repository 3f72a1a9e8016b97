//! `/nave/v1/invites`: bringing nodes in.

use axum::Json;
use axum::extract::State;

use super::{Shared, action};
use crate::api::{Invitation, InviteRequest};
use crate::hub::error::Result;
use crate::hub::http::input::Input;
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::Routes;
use crate::hub::nodes;
use crate::hub::op::Op;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.operation(action(nodes::INVITE), operation!(invite))
}

/// Invites a node.
///
/// Makes a token with which a machine joins. A name is kept for the node that comes with it, so that rights on it can
/// be given at once.
#[utoipa::path(
    post,
    path = "/nave/v1/invites",
    request_body = Option<InviteRequest>,
    responses(
        (status = 200, description = "The invitation, told once", body = Invitation),
        (status = 404, description = "A grant names a node that is not there"),
        (status = 409, description = "There is a node of that name")
    )
)]
async fn invite(
    op: Op,
    State(hub): Shared,
    Input(request): Input<InviteRequest>,
) -> Result<Json<Invitation>> {
    nodes::invite(&op, &hub, &request).await.map(Json)
}
