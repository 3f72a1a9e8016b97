//! `/nave/v1/tokens`: API tokens.

use axum::Json;
use axum::extract::{Path, State};
use http::Method;

use super::{Done, NOTHING_MORE, Shared};
use crate::api::{ApiToken, ApiTokenSecret, NewApiToken};
use crate::hub::error::Result;
use crate::hub::http::extract::Input;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::people::tokens;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/nave/v1/tokens", Access::SignedIn, list).post("/nave/v1/tokens", Access::SignedIn, make).on(
        Method::DELETE,
        "/nave/v1/tokens/{token}",
        Access::SignedIn,
        end,
    )
}

async fn list(op: Op, State(hub): Shared) -> Result<Json<Vec<ApiToken>>> {
    tokens::list(&op, &hub).await.map(Json)
}

async fn make(op: Op, State(hub): Shared, Input(new): Input<NewApiToken>) -> Result<Json<ApiTokenSecret>> {
    tokens::make(&op, &hub, &new).await.map(Json)
}

async fn end(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    tokens::end(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}
