//! The paths of not-my-board's hub, for clients from networks that the configuration lists. Where the dialect is off,
//! there is nothing.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode, header};
use nave_core::hub::context::Hub;
use nave_core::hub::edge::{self, Connection};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes, failure};
use nave_core::hub::nodes::link::websocket_answer;
use nave_link::pipe::Prefixed;
use serde_json::{Map, Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::session::Session;
use super::{address, description, python};
use crate::hub::{Boards, READ};
use crate::not_my_board::channel::Channel;
use crate::not_my_board::websocket::{self, End};

/// Declares them.
pub(in crate::hub) fn routes(boards: &Boards, routes: Routes) -> Routes {
    let fleet = || boards.clone();
    let (ws, places, info, callback) = (fleet(), fleet(), fleet(), fleet());
    routes
        .get("/ws", Access::Listed, move |hub, connection, request| async move {
            open(ws, hub, connection, request)
        })
        .get("/api/v1/places", Access::Listed, move |connection, headers: HeaderMap| async move {
            list_places(&places, connection, &headers).await
        })
        .get("/api/v1/auth-info", Access::Open, move |State(hub): State<Arc<Hub>>| async move {
            auth_info(&info, &hub)
        })
        .get("/oidc-callback", Access::Open, move |request: Request| async move {
            oidc_callback(&callback, &request)
        })
}

type From = Option<Extension<Connection>>;

/// Where whoever asks is.
fn whence(boards: &Boards, connection: From, headers: &HeaderMap) -> Result<IpAddr> {
    let Some(Extension(connection)) = connection else {
        return Err(Error::Forbidden("not-my-board's clients come over the network".to_owned()));
    };
    Ok(address::of_client(connection.peer.ip(), headers, &boards.config().not_my_board))
}

/// Lets pass whoever needs no sign-in, and where there is one, everybody: it comes with the first request that needs it.
fn admit(boards: &Boards, source: IpAddr) -> Result<()> {
    if boards.config().not_my_board.is_open_to(source) || boards.0.auth.is_some() {
        return Ok(());
    }
    Err(refused(source))
}

fn refused(source: IpAddr) -> Error {
    tracing::info!(%source, "a not-my-board client was refused: no network in boards.not_my_board.open_to holds it");
    Error::Forbidden(format!(
        "{source} is in no network that this hub lets not-my-board's clients come from (boards.not_my_board.open_to): ask the hub's operator"
    ))
}

fn off() -> Response {
    failure(StatusCode::NOT_FOUND, "not_found", "there is nothing here: not-my-board's protocol is off")
}

fn open(
    boards: Boards,
    State(hub): State<Arc<Hub>>,
    connection: From,
    mut request: Request,
) -> Result<Response> {
    if !boards.config().not_my_board.enabled {
        return Ok(off());
    }
    let Ok(answer) = websocket_answer(request.headers()) else {
        return Ok((StatusCode::NOT_FOUND, "Page not found").into_response());
    };
    let stop = connection.as_ref().map(|connection| connection.shutdown.soft().clone());
    let address = whence(&boards, connection, request.headers())?;
    admit(&boards, address)?;
    let stop = stop.unwrap_or_default();
    let upgrade = hyper::upgrade::on(&mut request);
    let tasks = hub.tasks.clone();
    tasks.spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let Ok((io, early)) = edge::upgraded(upgraded) else { return };
        let io = Prefixed::new(early, io);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(websocket::config())).await;
        let (channel, outgoing) = Channel::new();
        let session = Session::new(boards, hub, address, channel.clone());
        websocket::serve(End::Hub, socket, (channel, outgoing), Arc::new(Arc::clone(&session)), stop).await;
        session.end().await;
    });
    Ok(answer.map(|()| Body::empty()))
}

/// An agent asks here on a connection of its own, which proves nothing; but it is on `/ws` too, where it can be asked.
async fn list_places(boards: &Boards, connection: From, headers: &HeaderMap) -> Result<Response> {
    if !boards.config().not_my_board.enabled {
        return Ok(off());
    }
    let source = whence(boards, connection, headers)?;
    if !boards.config().not_my_board.is_open_to(source) && !boards.0.sessions.vouch(source, READ).await {
        return Err(refused(source));
    }
    let places: Vec<Value> =
        boards.places().all().iter().filter_map(|place| description::write(place)).collect();
    Ok(Json(json!({ "places": places })).into_response())
}

/// Where clients sign in, if they need to.
fn auth_info(boards: &Boards, hub: &Hub) -> Response {
    if !boards.config().not_my_board.enabled {
        return off();
    }
    let info = boards.0.auth.as_ref().map_or_else(|| Ok(json!({})), |auth| auth.info(hub));
    info.map_or_else(Error::into_response, |info| Json(info).into_response())
}

/// A browser comes back from a provider.
fn oidc_callback(boards: &Boards, request: &Request) -> Response {
    if !boards.config().not_my_board.enabled {
        return off();
    }
    let query = request.uri().query().unwrap_or_default();
    let query: Map<String, Value> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect();
    let plain = [(header::CONTENT_TYPE, "text/plain")];
    let (known, key) = match query.get("state") {
        Some(Value::String(state)) => {
            let state = state.clone();
            (boards.0.logins.came(&state, query), state)
        }
        _ => (false, "state".to_owned()),
    };
    if known {
        return (plain, "Continue in not-my-board CLI").into_response();
    }
    // The words of the hub that this one stands in for: it is what people search for.
    let words = format!("KeyError in request handler: {}", python::quoted(&key));
    (StatusCode::INTERNAL_SERVER_ERROR, plain, words).into_response()
}
