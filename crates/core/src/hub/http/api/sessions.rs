//! Sessions: who is signed in in which browser.

use axum::Json;
use axum::extract::State;

use super::{Done, NOTHING_MORE, Shared};
use crate::api::Session;
use crate::hub::error::Result;
use crate::hub::http::input::Path;
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::people::{self, sessions};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(Access::OwnOr(people::READ), operation!(list))
        .operation(Access::OwnOr(people::RESET), operation!(end))
}

/// Lists a person's sessions.
///
/// Where it is signed in in a browser. Everybody may look at their own.
#[utoipa::path(
    get,
    path = "/nave/v1/people/{person}/sessions",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    responses((status = 200, description = "The sessions", body = Vec<Session>))
)]
async fn list(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Vec<Session>>> {
    sessions::list(&op, &hub, &who).await.map(Json)
}

/// Ends a session.
///
/// Its browser must sign in anew. Everybody may end their own.
#[utoipa::path(
    delete,
    path = "/nave/v1/sessions/{session}",
    params(("session" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It has ended"))
)]
async fn end(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    sessions::end(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}
