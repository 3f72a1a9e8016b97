//! Sessions: who is signed in in which browser.

use axum::Json;
use axum::extract::{Path, State};
use http::Method;

use super::{Done, NOTHING_MORE, Shared};
use crate::api::Session;
use crate::hub::error::Result;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::people;
use crate::hub::people::sessions;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/nave/v1/people/{person}/sessions", Access::OwnOr(people::READ), list).on(
        Method::DELETE,
        "/nave/v1/sessions/{session}",
        Access::OwnOr(people::RESET),
        end,
    )
}

async fn list(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Vec<Session>>> {
    sessions::list(&op, &hub, &who).await.map(Json)
}

async fn end(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    sessions::end(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}
