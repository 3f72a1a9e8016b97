//! `/nave/v1/invites`: bringing nodes in.

use axum::Json;
use axum::extract::State;

use super::{Shared, action};
use crate::api::{Invitation, InviteRequest};
use crate::hub::error::Result;
use crate::hub::http::extract::Input;
use crate::hub::http::routes::Routes;
use crate::hub::nodes;
use crate::hub::op::Op;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.post("/nave/v1/invites", action(nodes::INVITE), invite)
}

async fn invite(
    op: Op,
    State(hub): Shared,
    Input(request): Input<InviteRequest>,
) -> Result<Json<Invitation>> {
    nodes::invite(&op, &hub, &request).await.map(Json)
}
