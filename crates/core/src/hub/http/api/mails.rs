//! `/nave/v1/mails`: what the hub mailed, and what became of it.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{Mail, MailTest};
use crate::hub::error::Result;
use crate::hub::http::input::{Input, Path};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::Routes;
use crate::hub::mail;
use crate::hub::op::Op;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(action(mail::READ), operation!(list))
        .operation(action(mail::READ), operation!(show))
        .operation(action(mail::MANAGE), operation!(test))
        .operation(action(mail::MANAGE), operation!(retry))
        .operation(action(mail::MANAGE), operation!(discard))
}

/// Lists mails.
///
/// Those that failed, those that wait, those that were sent within a month; never what stands in them.
#[utoipa::path(get, path = "/nave/v1/mails", responses((status = 200, description = "The mails", body = Vec<Mail>)))]
async fn list(op: Op, State(hub): Shared) -> Result<Json<Vec<Mail>>> {
    mail::list(&op, &hub).await.map(Json)
}

/// Shows a mail.
///
/// What became of it; never what stands in it.
#[utoipa::path(
    get,
    path = "/nave/v1/mails/{mail}",
    params(("mail" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The mail", body = Mail))
)]
async fn show(op: Op, State(hub): Shared, Path(mail): Path<String>) -> Result<Json<Mail>> {
    mail::show(&op, &hub, &mail).await.map(Json)
}

/// Queues a test mail.
///
/// What becomes of it is seen in the list.
#[utoipa::path(
    post,
    path = "/nave/v1/mails",
    request_body = MailTest,
    responses(
        (status = 202, description = "It is queued", body = Mail),
        (status = 409, description = "Mail is not configured")
    )
)]
async fn test(op: Op, State(hub): Shared, Input(test): Input<MailTest>) -> Result<(StatusCode, Json<Mail>)> {
    let mail = mail::test(&op, &hub, &test.address).await?;
    Ok((StatusCode::ACCEPTED, Json(mail)))
}

/// Sends a mail again.
///
/// One that failed, or one that waits at once.
#[utoipa::path(
    post,
    path = "/nave/v1/mails/{mail}/retry",
    params(("mail" = String, Path, description = "Its id.")),
    responses(
        (status = 204, description = "It is queued again"),
        (status = 409, description = "It was sent already")
    )
)]
async fn retry(op: Op, State(hub): Shared, Path(mail): Path<String>) -> Done {
    mail::retry(&op, &hub, &mail).await.map(|()| NOTHING_MORE)
}

/// Forgets a mail.
///
/// Sent or not.
#[utoipa::path(
    delete,
    path = "/nave/v1/mails/{mail}",
    params(("mail" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It is forgotten"))
)]
async fn discard(op: Op, State(hub): Shared, Path(mail): Path<String>) -> Done {
    mail::discard(&op, &hub, &mail).await.map(|()| NOTHING_MORE)
}
