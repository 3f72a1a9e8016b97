//! Devices, and `/nave/v1/device-sign-ins`: how a command line comes to act for a person.

use axum::Json;
use axum::extract::State;

use super::{Done, NOTHING_MORE, Shared};
use crate::api::{Device, DeviceAsked, DevicePoll, DeviceRequest, DeviceStatus, DeviceView};
use crate::hub::error::Result;
use crate::hub::http::extract::{ProvedKey, Stranger};
use crate::hub::http::input::{Input, Path};
use crate::hub::http::openapi::operation;
use crate::hub::http::routes::{Access, Routes};
use crate::hub::op::Op;
use crate::hub::people::{self, devices};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .operation(Access::OwnOr(people::READ), operation!(list))
        .operation(Access::OwnOr(people::RESET), operation!(revoke))
        .operation(Access::Proof, operation!(ask))
        .operation(Access::Open, operation!(poll))
        .operation(Access::SignedIn, operation!(show))
        .operation(Access::SignedIn, operation!(approve))
        .operation(Access::SignedIn, operation!(deny))
}

/// Lists a person's devices.
///
/// The command lines that act for it. Everybody may look at their own.
#[utoipa::path(
    get,
    path = "/nave/v1/people/{person}/devices",
    params(("person" = String, Path, description = "Its address or its id.", example = "grace@example.org")),
    responses((status = 200, description = "The devices", body = Vec<Device>))
)]
async fn list(op: Op, State(hub): Shared, Path(who): Path<String>) -> Result<Json<Vec<Device>>> {
    devices::list(&op, &hub, &who).await.map(Json)
}

/// Signs a device out.
///
/// Its key is refused from now on, and its streams are cut. Everybody may do this to their own, and a device to
/// itself.
#[utoipa::path(
    delete,
    path = "/nave/v1/devices/{device}",
    params(("device" = String, Path, description = "Its id.")),
    responses((status = 204, description = "It is signed out"))
)]
async fn revoke(op: Op, State(hub): Shared, Path(id): Path<String>) -> Done {
    devices::revoke(&op, &hub, &id).await.map(|()| NOTHING_MORE)
}

/// Asks to act for a person.
///
/// How a command line signs in (RFC 8628): it shows a code, which a person approves in the browser. The hub does not
/// know the device yet; its key, proved on the connection, is all that it shows.
#[utoipa::path(
    post,
    path = "/nave/v1/device-sign-ins",
    request_body = DeviceRequest,
    responses(
        (status = 200, description = "What the person does next", body = DeviceAsked),
        (status = 409, description = "The hub knows that key already")
    )
)]
async fn ask(
    ProvedKey(key): ProvedKey,
    Stranger(op): Stranger,
    State(hub): Shared,
    Input(asked): Input<DeviceRequest>,
) -> Result<Json<DeviceAsked>> {
    devices::ask(&op, &hub, key, &asked).await.map(Json)
}

/// Asks whether a device was let in.
///
/// What a command line asks again and again until somebody decides.
#[utoipa::path(
    post,
    path = "/nave/v1/device-sign-ins/poll",
    request_body = DevicePoll,
    responses(
        (status = 200, description = "How it stands", body = DeviceStatus),
        (status = 409, description = "No device asked with that code"),
        (status = 429, description = "Too many wrong codes from one address")
    )
)]
async fn poll(
    Stranger(op): Stranger,
    State(hub): Shared,
    Input(poll): Input<DevicePoll>,
) -> Result<Json<DeviceStatus>> {
    devices::poll(&op, &hub, &poll.device_code).await.map(Json)
}

/// Shows a device that waits.
///
/// What it calls itself and where it asks from: a person compares this before it decides.
#[utoipa::path(
    get,
    path = "/nave/v1/device-sign-ins/{code}",
    params(("code" = String, Path, description = "The code that the device shows.")),
    responses((status = 200, description = "The device", body = DeviceView))
)]
async fn show(op: Op, State(hub): Shared, Path(code): Path<String>) -> Result<Json<DeviceView>> {
    devices::waiting(&op, &hub, &code).await.map(Json)
}

/// Lets a device act for oneself.
///
/// Only in the browser, signed in: what a token or another device may do must not last longer than they.
#[utoipa::path(
    post,
    path = "/nave/v1/device-sign-ins/{code}/approve",
    params(("code" = String, Path, description = "The code that the device shows.")),
    responses(
        (status = 204, description = "It may act"),
        (status = 409, description = "It was decided about meanwhile")
    )
)]
async fn approve(op: Op, State(hub): Shared, Path(code): Path<String>) -> Done {
    devices::approve(&op, &hub, &code).await.map(|()| NOTHING_MORE)
}

/// Does not let a device act.
///
/// It is told so when it asks next.
#[utoipa::path(
    post,
    path = "/nave/v1/device-sign-ins/{code}/deny",
    params(("code" = String, Path, description = "The code that the device shows.")),
    responses(
        (status = 204, description = "It may not act"),
        (status = 409, description = "It was decided about meanwhile")
    )
)]
async fn deny(op: Op, State(hub): Shared, Path(code): Path<String>) -> Done {
    devices::deny(&op, &hub, &code).await.map(|()| NOTHING_MORE)
}
