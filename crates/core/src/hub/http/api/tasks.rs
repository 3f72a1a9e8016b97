//! `/nave/v1/tasks`: durable pieces of work for nodes.

use axum::Json;
use axum::extract::State;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{Task, TaskFilter};
use crate::hub::error::Result;
use crate::hub::http::input::{Path, Query};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::Routes;
use crate::hub::op::Op;
use crate::hub::tasks;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(action(tasks::READ), operation!(list))
        .operation(action(tasks::READ), operation!(show))
        .operation(action(tasks::CANCEL), operation!(cancel))
}

/// Lists tasks.
///
/// The newest first, without what there is to do in them and what came of it.
#[utoipa::path(
    get,
    path = "/nave/v1/tasks",
    params(TaskFilter),
    responses(
        (status = 200, description = "The tasks", body = Vec<Task>),
        (status = 404, description = "There is no such node")
    )
)]
async fn list(op: Op, State(hub): Shared, Query(filter): Query<TaskFilter>) -> Result<Json<Vec<Task>>> {
    tasks::list(&op, &hub, &filter).await.map(Json)
}

/// Shows a task.
///
/// One task, with what there is to do and what came of it.
#[utoipa::path(
    get,
    path = "/nave/v1/tasks/{task}",
    params(("task" = String, Path, description = "Its id.", example = "0198f0e3-0000-7000-8000-000000000000")),
    responses((status = 200, description = "The task", body = Task))
)]
async fn show(op: Op, State(hub): Shared, Path(task): Path<String>) -> Result<Json<Task>> {
    tasks::show(&op, &hub, &task).await.map(Json)
}

/// Calls a task off.
///
/// Whoever works on it is told, and what it says of it counts no more.
#[utoipa::path(
    post,
    path = "/nave/v1/tasks/{task}/cancel",
    params(("task" = String, Path, description = "Its id.", example = "0198f0e3-0000-7000-8000-000000000000")),
    responses(
        (status = 204, description = "It is called off"),
        (status = 409, description = "It has ended already")
    )
)]
async fn cancel(op: Op, State(hub): Shared, Path(task): Path<String>) -> Done {
    tasks::cancel(&op, &hub, &task).await.map(|()| NOTHING_MORE)
}
