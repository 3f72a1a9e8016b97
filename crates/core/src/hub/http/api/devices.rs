//! Devices, and `/nave/v1/device-sign-ins`: how a command line comes to act for a person.

use axum::Json;
use axum::extract::{Path, State};
use http::Method;

use super::{Done, NOTHING_MORE, Shared};
use crate::api::{Device, DeviceAsked, DevicePoll, DeviceRequest, DeviceStatus, DeviceView};
use crate::hub::error::Result;
use crate::hub::http::extract::{Input, ProvedKey};
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::{Actor, Op};
use crate::hub::people;
use crate::hub::people::devices;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/nave/v1/people/{person}/devices", Access::OwnOr(people::READ), list)
        .on(Method::DELETE, "/nave/v1/devices/{device}", Access::OwnOr(people::RESET), revoke)
        .post("/nave/v1/device-sign-ins", Access::Proof, ask)
        .post("/nave/v1/device-sign-ins/poll", Access::Open, poll)
        .get("/nave/v1/device-sign-ins/{code}", Access::SignedIn, show)
        .post("/nave/v1/device-sign-ins/{code}/approve", Access::SignedIn, approve)
        .post("/nave/v1/device-sign-ins/{code}/deny", Access::SignedIn, deny)
}

async fn list(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Vec<Device>>> {
    devices::list(&op, &hub, &who).await.map(Json)
}

async fn revoke(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    devices::revoke(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}

/// The hub does not know the device yet: the key on the connection is all that it shows.
async fn ask(
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

async fn poll(op: Op, State(hub): Shared, Input(poll): Input<DevicePoll>) -> Result<Json<DeviceStatus>> {
    devices::poll(&op, &hub, &poll.device_code).await.map(Json)
}

async fn show(op: Op, State(hub): Shared, Path(code): Path<String>) -> Result<Json<DeviceView>> {
    devices::waiting(&op, &hub, &code).await.map(Json)
}

async fn approve(op: Op, State(hub): Shared, Path(code): Path<String>) -> Done {
    devices::approve(&op, &hub, &code).await.map(|()| NOTHING_MORE)
}

async fn deny(op: Op, State(hub): Shared, Path(code): Path<String>) -> Done {
    devices::deny(&op, &hub, &code).await.map(|()| NOTHING_MORE)
}
