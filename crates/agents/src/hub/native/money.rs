//! `/nave/v1/agent-costs` and `/nave/v1/agent-budgets`.

use axum::extract::State;
use axum::{Extension, Json};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Input, Path, Query, Routes, operation};
use nave_core::hub::op::Op;
use time::Duration;

use super::{Fleet, Shared};
use crate::api::{BudgetChange, BudgetView, CostFilter, CostSum};
use crate::hub::{MANAGE, READ, budgets, runs};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .noun("agent-costs", "What agents spent.", |routes| {
            routes.operation(Access::Action(READ), operation!(costs))
        })
        .noun("agent-budgets", "What agents may spend.", |routes| {
            routes
                .operation(Access::Action(READ), operation!(all))
                .operation(Access::Action(MANAGE), operation!(change_global))
                .operation(Access::Action(MANAGE), operation!(change))
        })
}

/// Adds up what agents spent.
///
/// By agent and model, in spans of equal length.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-costs",
    params(CostFilter),
    responses((status = 200, description = "The sums, the oldest first", body = Vec<CostSum>))
)]
async fn costs(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Query(filter): Query<CostFilter>,
) -> Result<Json<Vec<CostSum>>> {
    let until = filter.until.unwrap_or(op.clock.now());
    let hours = filter.hours.unwrap_or(24);
    if !(1..=24 * 3660).contains(&hours) {
        return Err(Error::invalid("hours", "must be from 1 to 87840"));
    }
    let spans = i64::from(filter.spans.unwrap_or(1));
    if !(1..=1000).contains(&spans) {
        return Err(Error::invalid("spans", "must be from 1 to 1000"));
    }
    let length = Duration::hours(hours.into());
    let from = until.checked_sub(length).ok_or_else(|| Error::invalid("until", "lies before all time"))?;
    let span = Duration::milliseconds((i64::from(hours) * 3_600_000 + spans - 1) / spans);
    runs::cost_sums(&op, &hub, &agents, from, until, span).await.map(Json)
}

/// Lists the budgets.
///
/// The one that all share first, then those of agents that have one of their own, or may spend nothing at the moment.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-budgets",
    responses((status = 200, description = "The budgets", body = Vec<BudgetView>))
)]
async fn all(op: Op, Extension(agents): Fleet) -> Result<Json<Vec<BudgetView>>> {
    budgets::list(&op, &agents).map(Json)
}

/// Changes the budget that all share.
#[utoipa::path(
    patch,
    path = "/nave/v1/agent-budgets",
    request_body = BudgetChange,
    responses((status = 200, description = "The budgets", body = Vec<BudgetView>))
)]
async fn change_global(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Input(change): Input<BudgetChange>,
) -> Result<Json<Vec<BudgetView>>> {
    budgets::change(&op, &hub, &agents, None, change).await.map(Json)
}

/// Changes an agent's own budget.
///
/// With `reset`, what it spent so far in the present window counts no more.
#[utoipa::path(
    patch,
    path = "/nave/v1/agent-budgets/{agent}",
    params(("agent" = String, Path, description = "Its name, or its number.", example = "admin")),
    request_body = BudgetChange,
    responses((status = 200, description = "The budgets", body = Vec<BudgetView>))
)]
async fn change(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(agent): Path<String>,
    Input(change): Input<BudgetChange>,
) -> Result<Json<Vec<BudgetView>>> {
    budgets::change(&op, &hub, &agents, Some(&agent), change).await.map(Json)
}
