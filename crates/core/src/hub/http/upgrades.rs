//! `/link` and `/stream`: requests that turn into a node's own connections.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use nave_link::pipe::Prefixed;

use super::routes::{Access, Routes};
use crate::hub::context::Hub;
use crate::hub::edge::{self, Connection};
use crate::hub::error::{Error, Result};
use crate::hub::nodes::link;
use crate::hub::op::{Actor, Op};
use crate::hub::streams::relay;
use crate::id::RequestId;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/link", Access::Proof, open_link).get("/stream", Access::Proof, open_stream)
}

async fn open_link(
    State(hub): State<Arc<Hub>>,
    connection: Option<Extension<Connection>>,
    Extension(id): Extension<RequestId>,
    mut request: Request,
) -> Result<Response> {
    let answer = link::websocket_answer(request.headers())?;
    let seen =
        connection.and_then(|Extension(connection)| Some((connection.peer.ip(), connection.exporter?)));
    let (source, exporter) = seen.ok_or_else(|| {
        Error::invalid(
            "tls",
            "a node's link needs TLS 1.3 up to the hub: something in between ends it, or speaks 1.2 only",
        )
    })?;
    let op = Op { actor: Actor::Anonymous, source: Some(source), request: id, clock: hub.clock.clone() };
    let upgrade = hyper::upgrade::on(&mut request);
    let tasks = hub.tasks.clone();
    tasks.spawn(async move {
        if let Ok(upgraded) = upgrade.await
            && let Ok((io, early)) = edge::upgraded(upgraded)
        {
            let io = Prefixed::new(early, io);
            link::serve(op, hub, io, exporter).await;
        }
    });
    Ok(answer.map(|()| Body::empty()))
}

async fn open_stream(
    State(hub): State<Arc<Hub>>,
    connection: Option<Extension<Connection>>,
    mut request: Request,
) -> Result<Response> {
    let exporter = connection.and_then(|Extension(connection)| connection.exporter);
    let (answer, admitted) = relay::admit(&hub, request.headers(), exporter)?;
    let upgrade = hyper::upgrade::on(&mut request);
    let tasks = hub.tasks.clone();
    tasks.spawn(async move {
        if let Ok(upgraded) = upgrade.await
            && let Ok((io, early)) = edge::upgraded(upgraded)
        {
            relay::bring(hub, admitted, Prefixed::new(early, io)).await;
        }
    });
    Ok(answer.map(|()| Body::empty()))
}
