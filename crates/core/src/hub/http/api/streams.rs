//! `/nave/v1/streams`: byte pipes between two nodes.

use axum::Json;
use axum::extract::{Path, State};
use http::Method;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::Stream;
use crate::hub::error::Result;
use crate::hub::http::routes::Routes;
use crate::hub::op::Op;
use crate::hub::streams;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/nave/v1/streams", action(streams::READ), list).on(
        Method::DELETE,
        "/nave/v1/streams/{stream}",
        action(streams::CUT),
        cut,
    )
}

async fn list(op: Op, State(hub): Shared) -> Result<Json<Vec<Stream>>> {
    streams::list(&op, &hub).map(Json)
}

async fn cut(op: Op, State(hub): Shared, Path(stream): Path<String>) -> Done {
    streams::cut(&op, &hub, &stream).await.map(|()| NOTHING_MORE)
}
