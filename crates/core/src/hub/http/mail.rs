//! `/nave/v1/mails`: what the hub mailed, and what became of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::{Method, StatusCode};

use super::extract::Input;
use super::routes::{Access, Routes};
use crate::api::{Mail, MailTest};
use crate::hub::context::Hub;
use crate::hub::error::Result;
use crate::hub::mail;
use crate::hub::op::Op;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/nave/v1/mails", Access::Action(mail::READ), list)
        .get("/nave/v1/mails/{mail}", Access::Action(mail::READ), show)
        .post("/nave/v1/mails", Access::Action(mail::MANAGE), test)
        .post("/nave/v1/mails/{mail}/retry", Access::Action(mail::MANAGE), retry)
        .on(Method::DELETE, "/nave/v1/mails/{mail}", Access::Action(mail::MANAGE), discard)
}

type Shared = State<Arc<Hub>>;

async fn list(op: Op, State(hub): Shared) -> Result<Json<Vec<Mail>>> {
    mail::list(&op, &hub).await.map(Json)
}

async fn show(op: Op, State(hub): Shared, Path(mail): Path<String>) -> Result<Json<Mail>> {
    mail::show(&op, &hub, &mail).await.map(Json)
}

async fn test(op: Op, State(hub): Shared, Input(test): Input<MailTest>) -> Result<(StatusCode, Json<Mail>)> {
    let mail = mail::test(&op, &hub, &test.address).await?;
    Ok((StatusCode::ACCEPTED, Json(mail)))
}

async fn retry(op: Op, State(hub): Shared, Path(mail): Path<String>) -> Result<StatusCode> {
    mail::retry(&op, &hub, &mail).await.map(|()| StatusCode::NO_CONTENT)
}

async fn discard(op: Op, State(hub): Shared, Path(mail): Path<String>) -> Result<StatusCode> {
    mail::discard(&op, &hub, &mail).await.map(|()| StatusCode::NO_CONTENT)
}
