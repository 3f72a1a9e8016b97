//! `/nave/v1/people` and `/nave/v1/me`: accounts.

use axum::Json;
use axum::extract::{Path, State};
use http::Method;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{Me, NewPerson, Person, PersonChange, PersonLink, SetupLink};
use crate::hub::access;
use crate::hub::error::Result;
use crate::hub::http::extract::Input;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::{self, Actor, Op, Via};
use crate::hub::people;
use crate::hub::people::links;
use crate::hub::people::second_factor;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/nave/v1/me", Access::Known, me)
        .post("/nave/v1/setup-link", action(people::INVITE), setup_link)
        .get("/nave/v1/people", action(people::READ), list)
        .post("/nave/v1/people", action(people::INVITE), invite)
        .get("/nave/v1/people/{person}", Access::OwnOr(people::READ), show)
        .on(Method::PATCH, "/nave/v1/people/{person}", Access::OwnOr(people::CHANGE), change)
        .post("/nave/v1/people/{person}/disable", action(people::DISABLE), disable)
        .post("/nave/v1/people/{person}/enable", action(people::DISABLE), enable)
        .post("/nave/v1/people/{person}/reset-password", action(people::RESET), reset_password)
        .post("/nave/v1/people/{person}/reset-second-factor", action(people::RESET), reset_second_factor)
}

async fn me(op: Op, State(hub): Shared) -> Result<Json<Me>> {
    let person = match &op.actor {
        Actor::Person(person) => Some(people::show(&op, &hub, &person.id.to_string()).await?),
        Actor::Anonymous => {
            access::require_person(&op)?;
            None
        }
        _ => None,
    };
    let device = match &op.actor {
        Actor::Person(op::Person { via: Via::Device(id), .. }) => Some(id.to_string()),
        _ => None,
    };
    Ok(Json(Me { kind: op.actor.kind().to_owned(), name: op.actor.name(), person, device }))
}

async fn setup_link(op: Op, State(hub): Shared) -> Result<Json<SetupLink>> {
    let link = links::setup(&op, &hub).await?.map(|link| link.to_string());
    Ok(Json(SetupLink { link }))
}

async fn list(op: Op, State(hub): Shared) -> Result<Json<Vec<Person>>> {
    people::list(&op, &hub).await.map(Json)
}

async fn invite(op: Op, State(hub): Shared, Input(new): Input<NewPerson>) -> Result<Json<PersonLink>> {
    links::invite(&op, &hub, &new).await.map(Json)
}

async fn show(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Person>> {
    people::show(&op, &hub, &who).await.map(Json)
}

async fn change(op: Op, State(hub): Shared, Path(who): Path<String>, Input(to): Input<PersonChange>) -> Done {
    people::change(&op, &hub, &who, &to).await.map(|()| NOTHING_MORE)
}

async fn disable(op: Op, State(hub): Shared, Path(who): Path<String>) -> Done {
    people::disable(&op, &hub, &who).await.map(|()| NOTHING_MORE)
}

async fn enable(op: Op, State(hub): Shared, Path(who): Path<String>) -> Done {
    people::enable(&op, &hub, &who).await.map(|()| NOTHING_MORE)
}

async fn reset_password(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<PersonLink>> {
    links::reset(&op, &hub, &who).await.map(Json)
}

async fn reset_second_factor(op: Op, State(hub): Shared, Path(who): Path<String>) -> Done {
    second_factor::reset(&op, &hub, &who).await.map(|()| NOTHING_MORE)
}
