//! `/nave/v1/agent-mails`: messages, as agents and people read and send them.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use nave_core::hub::error::Result;
use nave_core::hub::http::{Access, Input, Path, Query, Routes, operation};
use nave_core::hub::op::Op;

use super::{Done, Fleet, Shared};
use crate::api::{Mail, MailFilter, NewMail, ReadMail};
use crate::hub::{OWN, letters};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.noun("agent-mails", "Mail and chat between agents.", |routes| {
        routes
            .operation(Access::Action(OWN), operation!(list))
            .operation(Access::Action(OWN), operation!(send))
            .operation(Access::Action(OWN), operation!(read))
            .operation(Access::Action(OWN), operation!(archive))
    })
}

/// Lists the messages of an agent.
///
/// With `search`, those in which all words stand, or begin.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-mails",
    params(MailFilter),
    responses((status = 200, description = "The messages, the newest first", body = Vec<Mail>))
)]
async fn list(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Query(filter): Query<MailFilter>,
) -> Result<Json<Vec<Mail>>> {
    letters::list(&op, &hub, &agents, &filter).await.map(Json)
}

/// Sends a message.
///
/// It is durable when this answers. An agent that does not run is woken by it.
#[utoipa::path(
    post,
    path = "/nave/v1/agent-mails",
    request_body = NewMail,
    responses((status = 200, description = "The message", body = Mail))
)]
async fn send(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Input(new): Input<NewMail>,
) -> Result<Json<Mail>> {
    letters::send(&op, &hub, &agents, new).await.map(Json)
}

/// Shows a message.
///
/// As one of those who have it; with `read`, it counts as read by that one.
#[utoipa::path(
    get,
    path = "/nave/v1/agent-mails/{mail}",
    params(("mail" = i64, Path, description = "Its number.", example = 1), ReadMail),
    responses((status = 200, description = "The message", body = Mail))
)]
async fn read(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(mail): Path<i64>,
    Query(asked): Query<ReadMail>,
) -> Result<Json<Mail>> {
    letters::read(&op, &hub, &agents, &asked.agent, mail, asked.read).await.map(Json)
}

/// Puts a message away.
///
/// For one of those who have it; others keep it.
#[utoipa::path(
    delete,
    path = "/nave/v1/agent-mails/{mail}",
    params(("mail" = i64, Path, description = "Its number.", example = 1), ReadMail),
    responses((status = 204, description = "It was put away"))
)]
async fn archive(
    op: Op,
    State(hub): Shared,
    Extension(agents): Fleet,
    Path(mail): Path<i64>,
    Query(asked): Query<ReadMail>,
) -> Done {
    letters::archive(&op, &hub, &agents, &asked.agent, mail).await?;
    Ok(StatusCode::NO_CONTENT)
}
