//! `/nave/v1/agent-variables` and `/nave/v1/agent-models`.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Input, Path, Routes, operation};
use nave_core::hub::op::Op;

use super::{Done, Fleet, Shared};
use crate::api::{Model, NewVariable, Variable};
use crate::hub::{MANAGE, READ, settings};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .noun("agent-variables", "What hosts are told: keys of providers, settings.", |routes| {
            routes
                .operation(Access::Action(MANAGE), operation!(variables))
                .operation(Access::Action(MANAGE), operation!(set_variable))
                .operation(Access::Action(MANAGE), operation!(unset_variable))
        })
        .noun("agent-models", "Models that agents think and draw with.", |routes| {
            routes
                .operation(Access::Action(READ), operation!(models))
                .operation(Access::Action(MANAGE), operation!(set_model))
                .operation(Access::Action(MANAGE), operation!(unset_model))
        })
}

/// Lists the variables.
///
/// Without their values, which nobody is shown again.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-variables",
    responses((status = 200, description = "The variables", body = Vec<Variable>))
)]
async fn variables(op: Op, State(hub): Shared) -> Result<Json<Vec<Variable>>> {
    settings::variables(&op, &hub).await.map(Json)
}

/// Sets a variable.
#[utoipa::path(
    put,
    path = "/nave/v1/agent-variables/{key}",
    params(("key" = String, Path, description = "Its name.", example = "OPENAI_API_KEY")),
    request_body = NewVariable,
    responses((status = 204, description = "It is set, and the hosts that need it are told"))
)]
async fn set_variable(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(key): Path<String>,
    Input(new): Input<NewVariable>,
) -> Done {
    settings::set_variable(&op, &hub, &agents, &key, new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a variable away.
#[utoipa::path(
    delete,
    path = "/nave/v1/agent-variables/{key}",
    params(("key" = String, Path, description = "Its name.", example = "OPENAI_API_KEY")),
    responses((status = 204, description = "It is gone"))
)]
async fn unset_variable(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(key): Path<String>,
) -> Done {
    settings::unset_variable(&op, &hub, &agents, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the models.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-models",
    responses((status = 200, description = "The models", body = Vec<Model>))
)]
async fn models(op: Op, State(hub): Shared) -> Result<Json<Vec<Model>>> {
    settings::models(&op, &hub).await.map(Json)
}

/// Sets a model.
///
/// One of Nave's own that is set so is changed by no later version.
#[utoipa::path(
    put,
    path = "/nave/v1/agent-models/{key}",
    params(("key" = String, Path, description = "Its key.", example = "mock")),
    request_body = Model,
    responses((status = 204, description = "It is set, and the hosts are told"))
)]
async fn set_model(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(key): Path<String>,
    Input(model): Input<Model>,
) -> Done {
    if model.key() != key {
        return Err(Error::invalid(
            "key",
            format!("is {:?} in the body and {key:?} in the address", model.key()),
        ));
    }
    settings::set_model(&op, &hub, &agents, model).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a model away.
///
/// One of Nave's own comes back as it was.
#[utoipa::path(
    delete,
    path = "/nave/v1/agent-models/{key}",
    params(("key" = String, Path, description = "Its key.", example = "mock")),
    responses((status = 204, description = "It is gone"))
)]
async fn unset_model(op: Op, State(hub): Shared, Extension(agents): Fleet, Path(key): Path<String>) -> Done {
    settings::unset_model(&op, &hub, &agents, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
