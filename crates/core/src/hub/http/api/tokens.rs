//! `/nave/v1/tokens`: API tokens. And ID tokens, with the programs that have some.

use axum::Json;
use axum::extract::State;

use super::{Done, NOTHING_MORE, Shared};
use crate::api::{ApiToken, ApiTokenSecret, IdToken, IdTokenRequest, NewApiToken, ProgramSignIn};
use crate::hub::error::Result;
use crate::hub::http::input::{Input, Path};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::people::{self, idp, tokens};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(Access::SignedIn, operation!(list))
        .operation(Access::SignedIn, operation!(make))
        .operation(Access::SignedIn, operation!(end))
        .operation(Access::Known, operation!(identify))
        .operation(Access::OwnOr(people::READ), operation!(list_programs))
        .operation(Access::OwnOr(people::RESET), operation!(end_program))
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

/// Makes an ID token.
///
/// It says to a program who asks: a person by a device or an API token, or a node. It is good for an hour unless the
/// hub is set up otherwise, and worth nothing any more when what asked for it has ended.
#[utoipa::path(
    post,
    path = "/nave/v1/id-tokens",
    request_body = IdTokenRequest,
    responses(
        (status = 200, description = "The token", body = IdToken),
        (status = 409, description = "No program signs people in with their account on this hub")
    )
)]
async fn identify(
    op: Op,
    State(hub): Shared,
    Input(request): Input<IdTokenRequest>,
) -> Result<Json<IdToken>> {
    idp::issue(&op, &hub, &request).await.map(Json)
}

/// Lists the programs into which a person signed in.
///
/// With the account here. Everybody may look at their own.
#[utoipa::path(
    get,
    path = "/nave/v1/people/{person}/programs",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    responses((status = 200, description = "The programs", body = Vec<ProgramSignIn>))
)]
async fn list_programs(
    op: Op,
    State(hub): Shared,
    Path(who): Path<String>,
) -> Result<Json<Vec<ProgramSignIn>>> {
    idp::list(&op, &hub, &who).await.map(Json)
}

/// Signs a program out.
///
/// What it has of its person is worth nothing here any more. Everybody may do this to their own.
#[utoipa::path(
    delete,
    path = "/nave/v1/programs/{sign_in}",
    params(("sign_in" = String, Path, description = "The id of the sign-in.")),
    responses((status = 204, description = "It is signed out"))
)]
async fn end_program(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    idp::end(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}
