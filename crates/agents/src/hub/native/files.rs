//! `/nave/v1/agent-files`: files that hang on messages, as they are.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Extension, Json};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Path, Query, Routes, operation};
use nave_core::hub::op::Op;

use super::{Fleet, Shared};
use crate::api::{Attachment, NewFile};
use crate::hub::files::serve::served;
use crate::hub::{OWN, files};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.noun("agent-files", "Files that hang on mail between agents.", |routes| {
        routes
            .operation(Access::Action(OWN), operation!(bring))
            .operation(Access::Action(OWN), operation!(fetch))
    })
}

/// Keeps a file.
///
/// It hangs on nothing until a message is sent that names its `id` among its `attachments`.
#[utoipa::path(
    post,
    path = "/nave/v1/agent-files",
    params(NewFile),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "1 byte to 10 MiB"),
    responses((status = 200, description = "The file", body = Attachment))
)]
async fn bring(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Query(new): Query<NewFile>,
    request: Request,
) -> Result<Json<Attachment>> {
    let content = to_bytes(request.into_body(), files::LARGEST).await.map_err(|_| {
        Error::invalid("file", format!("did not arrive whole, or has more than {} bytes", files::LARGEST))
    })?;
    files::bring(&op, &hub, &agents, &new, content).await.map(Json)
}

/// Gives a file.
///
/// To who brought it, and to those who have a message on which it hangs.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-files/{file}",
    params(("file" = String, Path, description = "Its id.", example = "Zm9vYmFyYm")),
    responses((status = 200, description = "What is in it", body = Vec<u8>, content_type = "application/octet-stream"))
)]
async fn fetch(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(file): Path<String>,
) -> Result<Response> {
    let (row, content) = files::fetch(&op, &hub, &agents, &file).await?;
    served(&row, content)
}
