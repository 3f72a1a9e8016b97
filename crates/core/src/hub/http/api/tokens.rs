//! `/nave/v1/tokens`: API tokens.

use axum::Json;
use axum::extract::State;

use super::{Done, NOTHING_MORE, Shared};
use crate::api::{ApiToken, ApiTokenSecret, NewApiToken};
use crate::hub::error::Result;
use crate::hub::http::input::{Input, Path};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::people::tokens;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(Access::SignedIn, operation!(list))
        .operation(Access::SignedIn, operation!(make))
        .operation(Access::SignedIn, operation!(end))
}

/// Lists one's own API tokens.
///
/// Without their secrets, which the hub does not have.
#[utoipa::path(get, path = "/nave/v1/tokens", responses((status = 200, description = "The tokens", body = Vec<ApiToken>)))]
async fn list(op: Op, State(hub): Shared) -> Result<Json<Vec<ApiToken>>> {
    tokens::list(&op, &hub).await.map(Json)
}

/// Makes an API token.
///
/// For oneself, with no more than a role may, somewhere, until it ends. A token cannot make another.
#[utoipa::path(
    post,
    path = "/nave/v1/tokens",
    request_body = NewApiToken,
    responses(
        (status = 200, description = "The token, told once", body = ApiTokenSecret),
        (status = 404, description = "The scope names a node that is not there"),
        (status = 409, description = "The person has as many tokens as one may have")
    )
)]
async fn make(op: Op, State(hub): Shared, Input(new): Input<NewApiToken>) -> Result<Json<ApiTokenSecret>> {
    tokens::make(&op, &hub, &new).await.map(Json)
}

/// Ends an API token.
///
/// It is refused from now on.
#[utoipa::path(
    delete,
    path = "/nave/v1/tokens/{token}",
    params(("token" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It has ended"))
)]
async fn end(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    tokens::end(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}
