//! `/nave/v1/people` and what acts for people: sessions, API tokens, devices, access requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use http::{Method, StatusCode};
use serde::Deserialize;

use super::extract::{Input, ProvedKey};
use super::routes::{Access, Routes};
use crate::api::{
    AcceptRequest, AccessRequest, ApiToken, ApiTokenSecret, Device, DeviceAsked, DevicePoll, DeviceRequest,
    DeviceStatus, DeviceView, Grant, GrantRequest, Me, NewAccessRequest, NewApiToken, NewPerson, Noted,
    Person, PersonChange, PersonLink, Session, SetupLink,
};
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::Result;
use crate::hub::grants;
use crate::hub::op::{self, Actor, Op, Via};
use crate::hub::people::{self, devices, links, requests, second_factor, sessions, tokens};

pub(super) fn routes(routes: Routes) -> Routes {
    let (read, disable) = (Access::Action(people::READ), Access::Action(people::DISABLE));
    let reset = Access::Action(people::RESET);
    let decide = Access::Action(requests::DECIDE);
    routes
        .get("/nave/v1/me", Access::Known, me)
        .post("/nave/v1/setup-link", Access::Action(people::INVITE), setup_link)
        .get("/nave/v1/people", read, list)
        .post("/nave/v1/people", Access::Action(people::INVITE), invite)
        .get("/nave/v1/people/{person}", Access::OwnOr(people::READ), show)
        .on(Method::PATCH, "/nave/v1/people/{person}", Access::OwnOr(people::CHANGE), patch)
        .post("/nave/v1/people/{person}/disable", disable, put_out)
        .post("/nave/v1/people/{person}/enable", disable, enable)
        .post("/nave/v1/people/{person}/reset-password", reset, reset_password)
        .post("/nave/v1/people/{person}/reset-second-factor", reset, reset_second_factor)
        .get("/nave/v1/people/{person}/grants", Access::OwnOr(people::READ), list_grants)
        .post("/nave/v1/people/{person}/grants", Access::Action(grants::GRANT), add_grant)
        .on(Method::DELETE, "/nave/v1/people/{person}/grants", Access::Action(grants::GRANT), remove_grant)
        .get("/nave/v1/people/{person}/sessions", Access::OwnOr(people::READ), list_sessions)
        .get("/nave/v1/people/{person}/devices", Access::OwnOr(people::READ), list_devices)
        .on(Method::DELETE, "/nave/v1/sessions/{session}", Access::OwnOr(people::RESET), end_session)
        .on(Method::DELETE, "/nave/v1/devices/{device}", Access::OwnOr(people::RESET), revoke_device)
        .get("/nave/v1/tokens", Access::SignedIn, list_tokens)
        .post("/nave/v1/tokens", Access::SignedIn, make_token)
        .on(Method::DELETE, "/nave/v1/tokens/{token}", Access::SignedIn, end_token)
        .post("/nave/v1/device-sign-ins", Access::Proof, ask_device)
        .post("/nave/v1/device-sign-ins/poll", Access::Open, poll_device)
        .get("/nave/v1/device-sign-ins/{code}", Access::SignedIn, show_device)
        .post("/nave/v1/device-sign-ins/{code}/approve", Access::SignedIn, approve_device)
        .post("/nave/v1/device-sign-ins/{code}/deny", Access::SignedIn, deny_device)
        .post("/nave/v1/access-requests", Access::Open, ask_access)
        .get("/nave/v1/access-requests", decide, list_requests)
        .post("/nave/v1/access-requests/{request}/accept", decide, accept_request)
        .post("/nave/v1/access-requests/{request}/decline", decide, decline_request)
}

type Shared = State<Arc<Hub>>;
type Done = Result<StatusCode>;

const NOTHING_MORE: StatusCode = StatusCode::NO_CONTENT;

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

async fn patch(op: Op, State(hub): Shared, Path(who): Path<String>, Input(to): Input<PersonChange>) -> Done {
    people::change(&op, &hub, &who, &to).await.map(|()| NOTHING_MORE)
}

async fn put_out(op: Op, State(hub): Shared, Path(who): Path<String>) -> Done {
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

async fn list_grants(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Vec<Grant>>> {
    grants::of_person(&op, &hub, &who).await.map(Json)
}

async fn add_grant(
    op: Op,
    State(hub): Shared,
    Path(who): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::grant_person(&op, &hub, &who, &request).await.map(|()| NOTHING_MORE)
}

async fn remove_grant(
    op: Op,
    State(hub): Shared,
    Path(who): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Done {
    grants::withdraw_person(&op, &hub, &who, &request).await.map(|()| NOTHING_MORE)
}

async fn list_sessions(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Vec<Session>>> {
    sessions::list(&op, &hub, &who).await.map(Json)
}

async fn end_session(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    sessions::end(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}

async fn list_devices(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Vec<Device>>> {
    devices::list(&op, &hub, &who).await.map(Json)
}

async fn revoke_device(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    devices::revoke(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}

async fn list_tokens(op: Op, State(hub): Shared) -> Result<Json<Vec<ApiToken>>> {
    tokens::list(&op, &hub).await.map(Json)
}

async fn make_token(
    op: Op,
    State(hub): Shared,
    Input(new): Input<NewApiToken>,
) -> Result<Json<ApiTokenSecret>> {
    tokens::make(&op, &hub, &new).await.map(Json)
}

async fn end_token(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    tokens::end(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}

/// The hub does not know the device yet: the key on the connection is all that it shows.
async fn ask_device(
    axum::Extension(connection): axum::Extension<crate::hub::edge::Connection>,
    axum::Extension(request): axum::Extension<crate::id::RequestId>,
    State(hub): Shared,
    ProvedKey(key): ProvedKey,
    Input(asked): Input<DeviceRequest>,
) -> Result<Json<DeviceAsked>> {
    let source = Some(connection.peer.ip());
    let op = Op { actor: Actor::Anonymous, source, request, clock: hub.clock.clone() };
    devices::ask(&op, &hub, key, &asked).await.map(Json)
}

async fn poll_device(
    op: Op,
    State(hub): Shared,
    Input(poll): Input<DevicePoll>,
) -> Result<Json<DeviceStatus>> {
    devices::poll(&op, &hub, &poll.device_code).await.map(Json)
}

async fn show_device(op: Op, State(hub): Shared, Path(code): Path<String>) -> Result<Json<DeviceView>> {
    devices::waiting(&op, &hub, &code).await.map(Json)
}

async fn approve_device(op: Op, State(hub): Shared, Path(code): Path<String>) -> Done {
    devices::approve(&op, &hub, &code).await.map(|()| NOTHING_MORE)
}

async fn deny_device(op: Op, State(hub): Shared, Path(code): Path<String>) -> Done {
    devices::deny(&op, &hub, &code).await.map(|()| NOTHING_MORE)
}

async fn ask_access(
    op: Op,
    State(hub): Shared,
    Input(request): Input<NewAccessRequest>,
) -> Result<Json<Noted>> {
    requests::ask(&op, &hub, &request).await.map(Json)
}

#[derive(Deserialize)]
struct ListRequests {
    #[serde(default = "open")]
    status: String,
}

fn open() -> String {
    "open".to_owned()
}

async fn list_requests(
    op: Op,
    State(hub): Shared,
    Query(query): Query<ListRequests>,
) -> Result<Json<Vec<AccessRequest>>> {
    requests::list(&op, &hub, &query.status).await.map(Json)
}

async fn accept_request(
    op: Op,
    State(hub): Shared,
    Path(id): Path<String>,
    Input(accept): Input<AcceptRequest>,
) -> Result<Json<PersonLink>> {
    requests::accept(&op, &hub, &id, &accept.roles).await.map(Json)
}

async fn decline_request(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    requests::decline(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}
