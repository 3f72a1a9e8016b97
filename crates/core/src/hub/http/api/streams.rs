//! `/nave/v1/streams`: byte pipes between two nodes.

use axum::Json;
use axum::extract::State;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::Stream;
use crate::hub::error::Result;
use crate::hub::http::input::Path;
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::streams;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(Access::OwnOr(streams::READ), operation!(list))
        .operation(action(streams::CUT), operation!(cut))
}

/// Lists the streams under way.
///
/// The oldest first: a node's own, or for a person those of the nodes that it may see.
#[utoipa::path(get, path = "/nave/v1/streams", responses((status = 200, description = "The streams", body = Vec<Stream>)))]
async fn list(op: Op, State(hub): Shared) -> Result<Json<Vec<Stream>>> {
    streams::list(&op, &hub).map(Json)
}

/// Cuts a stream.
///
/// Both of its ends are told, and its connections end.
#[utoipa::path(
    delete,
    path = "/nave/v1/streams/{stream}",
    params(("stream" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It was cut"))
)]
async fn cut(op: Op, State(hub): Shared, Path(stream): Path<String>) -> Done {
    streams::cut(&op, &hub, &stream).await.map(|()| NOTHING_MORE)
}
