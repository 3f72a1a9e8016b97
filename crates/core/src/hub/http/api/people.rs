//! `/nave/v1/people` and `/nave/v1/me`: accounts.

use axum::Json;
use axum::extract::State;

use super::{Done, NOTHING_MORE, Shared, action};
use crate::api::{Me, NewPerson, Person, PersonChange, PersonLink, SetupLink};
use crate::hub::access;
use crate::hub::error::Result;
use crate::hub::http::input::{Input, Path};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::{self, Actor, Op, Via};
use crate::hub::people::{self, links, second_factor};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(Access::Known, operation!(me))
        .operation(action(people::INVITE), operation!(setup_link))
        .operation(action(people::READ), operation!(list))
        .operation(action(people::INVITE), operation!(invite))
        .operation(Access::OwnOr(people::READ), operation!(show))
        .operation(Access::OwnOr(people::CHANGE), operation!(change))
        .operation(action(people::DISABLE), operation!(disable))
        .operation(action(people::DISABLE), operation!(enable))
        .operation(action(people::RESET), operation!(reset_password))
        .operation(action(people::RESET), operation!(reset_second_factor))
}

/// Shows who asks.
///
/// As what the hub knows whoever sends this; for a person, the account.
#[utoipa::path(get, path = "/nave/v1/me", responses((status = 200, description = "Who asks", body = Me)))]
async fn me(op: Op, State(hub): Shared) -> Result<Json<Me>> {
    access::require_somebody(&op)?;
    let person = match &op.actor {
        Actor::Person(person) => Some(people::show(&op, &hub, &person.id.to_string()).await?),
        _ => None,
    };
    let device = match &op.actor {
        Actor::Person(op::Person { via: Via::Device(id), .. }) => Some(id.to_string()),
        _ => None,
    };
    Ok(Json(Me { kind: op.actor.kind().to_owned(), name: op.actor.name(), person, device }))
}

/// Makes the link by which the first administrator comes in.
///
/// It takes the place of any before it, and is good once, for a day. There is none once somebody administers the hub.
#[utoipa::path(
    post,
    path = "/nave/v1/setup-link",
    responses((status = 200, description = "The link, if there is one", body = SetupLink))
)]
async fn setup_link(op: Op, State(hub): Shared) -> Result<Json<SetupLink>> {
    let link = links::setup(&op, &hub).await?.map(|link| link.to_string());
    Ok(Json(SetupLink { link }))
}

/// Lists people.
///
/// Everybody, in the order of their names.
#[utoipa::path(get, path = "/nave/v1/people", responses((status = 200, description = "The people", body = Vec<Person>)))]
async fn list(op: Op, State(hub): Shared) -> Result<Json<Vec<Person>>> {
    people::list(&op, &hub).await.map(Json)
}

/// Invites a person.
///
/// Makes an account, and a link by which the person sets its password. Inviting somebody again who has not come yet
/// makes a new link.
#[utoipa::path(
    post,
    path = "/nave/v1/people",
    request_body = NewPerson,
    responses(
        (status = 200, description = "The person, and the link unless it goes by mail", body = PersonLink),
        (status = 404, description = "A role's scope names a node that is not there"),
        (status = 409, description = "There is an account with that address")
    )
)]
async fn invite(op: Op, State(hub): Shared, Input(new): Input<NewPerson>) -> Result<Json<PersonLink>> {
    links::invite(&op, &hub, &new).await.map(Json)
}

/// Shows a person.
///
/// Everybody may look at themselves, by their id.
#[utoipa::path(
    get,
    path = "/nave/v1/people/{person}",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    responses((status = 200, description = "The person", body = Person))
)]
async fn show(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Person>> {
    people::show(&op, &hub, &who).await.map(Json)
}

/// Changes a person.
///
/// Its name and its roles. Everybody may change their own name.
#[utoipa::path(
    patch,
    path = "/nave/v1/people/{person}",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    request_body = Option<PersonChange>,
    responses(
        (status = 204, description = "It was changed"),
        (status = 409, description = "Somebody else changed it meanwhile, or the last administrator would be none")
    )
)]
async fn change(op: Op, State(hub): Shared, Path(who): Path<String>, Input(to): Input<PersonChange>) -> Done {
    people::change(&op, &hub, &who, &to).await.map(|()| NOTHING_MORE)
}

/// Takes an account out of use.
///
/// Its sessions, tokens and devices are refused at once.
#[utoipa::path(
    post,
    path = "/nave/v1/people/{person}/disable",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    responses(
        (status = 204, description = "It is out of use"),
        (status = 409, description = "It is out of use already, or belongs to the last administrator")
    )
)]
async fn disable(op: Op, State(hub): Shared, Path(who): Path<String>) -> Done {
    people::disable(&op, &hub, &who).await.map(|()| NOTHING_MORE)
}

/// Takes an account back into use.
///
/// The person signs in as before; its sessions do not come back.
#[utoipa::path(
    post,
    path = "/nave/v1/people/{person}/enable",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    responses(
        (status = 204, description = "It is in use"),
        (status = 409, description = "It is not out of use")
    )
)]
async fn enable(op: Op, State(hub): Shared, Path(who): Path<String>) -> Done {
    people::enable(&op, &hub, &who).await.map(|()| NOTHING_MORE)
}

/// Makes a link for a new password.
///
/// The old password stays good until the link is used. Somebody who has not come yet is invited anew.
#[utoipa::path(
    post,
    path = "/nave/v1/people/{person}/reset-password",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    responses(
        (status = 200, description = "The person, and the link unless it goes by mail", body = PersonLink),
        (status = 409, description = "The account is out of use")
    )
)]
async fn reset_password(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<PersonLink>> {
    links::reset(&op, &hub, &who).await.map(Json)
}

/// Takes off a second factor.
///
/// With the recovery codes that belong to it. The person sets up a new one when it signs in next.
#[utoipa::path(
    post,
    path = "/nave/v1/people/{person}/reset-second-factor",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    responses((status = 204, description = "It is off"))
)]
async fn reset_second_factor(op: Op, State(hub): Shared, Path(who): Path<String>) -> Done {
    second_factor::reset(&op, &hub, &who).await.map(|()| NOTHING_MORE)
}
