//! `/nave/v1`: the native API. Each handler reads its input, calls one service and answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::Input;
use super::routes::{Access, Routes};
use crate::api::{
    Check, Event, EventFilter, GrantRequest, HubView, Invitation, InviteRequest, JobView, KeyRotation,
    KeyText, MintKey, Node, NodeChange, Stream,
};
use crate::hub::access::{self, Action, Roles};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::Op;
use crate::hub::{event, grants, identity, job, nodes, seal, status, streams};

/// Reading what the hub is and how it is.
pub const STATUS: Action = Action::new("hub.read", Roles::ANY);

const fn action(action: Action) -> Access {
    Access::Action(action)
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/healthz", Access::Open, healthz)
        .get("/readyz", Access::Open, readyz)
        .get("/nave/v1/hub", action(STATUS), hub)
        .get("/nave/v1/checks", action(STATUS), checks)
        .get("/nave/v1/jobs", action(STATUS), jobs)
        .get("/nave/v1/nodes", action(nodes::READ), list_nodes)
        .get("/nave/v1/nodes/{node}", action(nodes::READ), show_node)
        .on(Method::PATCH, "/nave/v1/nodes/{node}", action(nodes::CHANGE), change_node)
        .post("/nave/v1/nodes/{node}/approve", action(nodes::APPROVE), approve_node)
        .post("/nave/v1/nodes/{node}/revoke", action(nodes::REVOKE), revoke_node)
        .post("/nave/v1/nodes/{node}/key", action(nodes::MINT), mint_key)
        .post("/nave/v1/nodes/{node}/grants", action(grants::GRANT), add_grant)
        .on(Method::DELETE, "/nave/v1/nodes/{node}/grants", action(grants::GRANT), remove_grant)
        .post("/nave/v1/invites", action(nodes::INVITE), invite)
        .get("/nave/v1/streams", action(streams::READ), list_streams)
        .on(Method::DELETE, "/nave/v1/streams/{stream}", action(streams::CUT), cut_stream)
        .get("/nave/v1/events", action(event::READ), list_events)
        .get("/nave/v1/access-key", action(identity::SHOW), show_key)
        .post("/nave/v1/access-key/rotate", action(identity::ROTATE), rotate_key)
        .post("/nave/v1/master-key/rotate", action(seal::ROTATE), rotate_master_key)
}

type Shared = State<Arc<Hub>>;

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(hub): Shared) -> Result<&'static str> {
    drop(hub.store.read().await?);
    Ok("ready\n")
}

async fn hub(op: Op, State(hub): Shared) -> Result<Json<HubView>> {
    access::require(&op, STATUS)?;
    Ok(Json(HubView {
        id: hub.key.public().digest().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        url: hub.url.get().map(ToString::to_string).unwrap_or_default(),
        fingerprint: hub.access_keys.fingerprint().to_string(),
        listeners: hub.listeners.get().cloned().unwrap_or_default(),
    }))
}

async fn checks(op: Op, State(hub): Shared) -> Result<Json<Vec<Check>>> {
    access::require(&op, STATUS)?;
    Ok(Json(status::running(&hub).await))
}

async fn jobs(op: Op, State(hub): Shared) -> Result<Json<Vec<JobView>>> {
    access::require(&op, STATUS)?;
    Ok(Json(job::list(&hub)))
}

#[derive(Deserialize)]
struct ListNodes {
    #[serde(default)]
    all: bool,
}

async fn list_nodes(op: Op, State(hub): Shared, Query(query): Query<ListNodes>) -> Result<Json<Vec<Node>>> {
    nodes::list(&op, &hub, query.all).await.map(Json)
}

async fn show_node(op: Op, State(hub): Shared, Path(node): Path<String>) -> Result<Json<Node>> {
    nodes::show(&op, &hub, &node).await.map(Json)
}

async fn change_node(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(change): Input<NodeChange>,
) -> Result<StatusCode> {
    nodes::change(&op, &hub, &node, &change).await.map(|()| StatusCode::NO_CONTENT)
}

async fn approve_node(op: Op, State(hub): Shared, Path(node): Path<String>) -> Result<StatusCode> {
    nodes::approve(&op, &hub, &node).await.map(|()| StatusCode::NO_CONTENT)
}

async fn revoke_node(op: Op, State(hub): Shared, Path(node): Path<String>) -> Result<StatusCode> {
    nodes::revoke(&op, &hub, &node).await.map(|()| StatusCode::NO_CONTENT)
}

async fn mint_key(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(request): Input<MintKey>,
) -> Result<Json<KeyText>> {
    let grace = Duration::from_secs(request.grace_seconds);
    let key = nodes::mint_key(&op, &hub, &node, &request.roles, grace).await?;
    Ok(Json(KeyText { key: key.reveal().to_string() }))
}

async fn add_grant(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Result<StatusCode> {
    grants::grant(&op, &hub, &node, &request).await.map(|()| StatusCode::NO_CONTENT)
}

async fn remove_grant(
    op: Op,
    State(hub): Shared,
    Path(node): Path<String>,
    Input(request): Input<GrantRequest>,
) -> Result<StatusCode> {
    grants::withdraw(&op, &hub, &node, &request).await.map(|()| StatusCode::NO_CONTENT)
}

async fn invite(
    op: Op,
    State(hub): Shared,
    Input(request): Input<InviteRequest>,
) -> Result<Json<Invitation>> {
    nodes::invite(&op, &hub, &request).await.map(Json)
}

async fn list_streams(op: Op, State(hub): Shared) -> Result<Json<Vec<Stream>>> {
    streams::list(&op, &hub).map(Json)
}

async fn cut_stream(op: Op, State(hub): Shared, Path(stream): Path<String>) -> Result<StatusCode> {
    streams::cut(&op, &hub, &stream).await.map(|()| StatusCode::NO_CONTENT)
}

async fn list_events(op: Op, State(hub): Shared, Query(query): Query<Value>) -> Result<Json<Vec<Event>>> {
    access::require(&op, event::READ)?;
    let filter = event_filter(query)?;
    event::list(&op, &hub.store, &filter).await.map(Json)
}

/// Query strings hold only texts; the filter's numbers are read from them.
fn event_filter(query: Value) -> Result<EventFilter> {
    let Value::Object(mut fields) = query else { return Ok(EventFilter::default()) };
    for name in ["after", "before", "limit"] {
        if let Some(value) = fields.get_mut(name) {
            let number = value.as_str().and_then(|text| text.parse::<i64>().ok());
            *value = json!(number.ok_or_else(|| Error::invalid(name, "must be a whole number"))?);
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| Error::invalid("filter", error.to_string()))
}

#[derive(Deserialize)]
struct ShowKey {
    #[serde(default)]
    full: bool,
}

async fn show_key(op: Op, State(hub): Shared, Query(query): Query<ShowKey>) -> Result<Json<KeyText>> {
    let key = identity::show(&op, &hub, query.full)?;
    Ok(Json(KeyText { key: key.to_string() }))
}

async fn rotate_key(op: Op, State(hub): Shared, Input(request): Input<KeyRotation>) -> Result<Json<KeyText>> {
    let key = identity::rotate(&op, &hub, Duration::from_secs(request.grace_seconds)).await?;
    Ok(Json(KeyText { key: key.to_string() }))
}

async fn rotate_master_key(op: Op, State(hub): Shared) -> Result<StatusCode> {
    hub.sealer.rotate_master(&op, &hub.bus).await.map(|()| StatusCode::NO_CONTENT)
}
