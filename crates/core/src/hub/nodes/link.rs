//! `/link`: a node's control connection, from its first byte to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, Response, StatusCode, header};
use nave_link::handshake::{self, FromHub, HandshakeError, PATIENCE, Ready, Refused, RefusedCode};
use nave_link::proof::Exporter;
use nave_link::protocol::{NodeChanged, NodeReport, ToHub};
use nave_link::rpc::{Handler, Limits, Peer, RpcError, code, websocket_config};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::admission::{self, Admission};
use super::presence::Session;
use super::store::NodeRow;
use crate::hub::access::NodeRoles;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::{Actor, Op};
use crate::hub::streams;
use crate::id::NodeId;

/// How often a pending node is told that it still waits.
const REMIND: Duration = Duration::from_secs(20);
/// How long a pending node may wait on one connection; it comes back by itself.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// The answer that turns a request into a WebSocket (RFC 6455, section 4.2.2).
pub fn websocket_answer(headers: &HeaderMap) -> Result<Response<()>> {
    let has = |name: header::HeaderName, word: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let (true, true, true, Some(key)) = (
        has(header::CONNECTION, "upgrade"),
        has(header::UPGRADE, "websocket"),
        has(header::SEC_WEBSOCKET_VERSION, "13"),
        key,
    ) else {
        return Err(Error::invalid(
            "upgrade",
            "this address is for nodes, which open a WebSocket here over HTTP/1.1",
        ));
    };
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .body(())
        .map_err(Error::internal)
}

/// Serves one control connection until it ends.
pub async fn serve<S>(op: Op, hub: Arc<Hub>, io: S, exporter: Exporter)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(websocket_config())).await;
    match meet(&op, &hub, &mut socket, exporter).await {
        Ok((row, report)) => stay(op, hub, socket, row, report).await,
        Err(error) => {
            tracing::info!(source = ?op.source, request = %op.request, %error, "a node was not let in");
            // The node has its answer; the close frame only ends the conversation politely.
            let _ = tokio::time::timeout(PATIENCE, socket.close(None)).await;
        }
    }
}

/// The handshake, up to and including the decision.
async fn meet<S>(
    op: &Op,
    hub: &Hub,
    socket: &mut WebSocketStream<S>,
    exporter: Exporter,
) -> Result<(NodeRow, NodeReport), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (key, proof) = handshake::greet(socket, &hub.key, exporter).await?;
    let row = match admission::admit(op, hub, &key, &proof).await {
        Ok(Admission::Member(row)) => row,
        Ok(Admission::Pending(row)) => wait_for_approval(hub, socket, &row).await?,
        Err(refused) => return Err(refuse(socket, refused).await),
    };
    if let Some(older) = hub.presence.is_taken(row.id).await {
        if let Err(error) = admission::note_duplicate(op, hub, &row, &older.address).await {
            tracing::warn!(%error, "a duplicate connection cannot be recorded");
        }
        let message = format!(
            "this key is used on two machines: {} is connected from {} already. If this machine is a copy of another, join it anew with a data folder of its own",
            row.name, older.address
        );
        return Err(refuse(socket, Refused { code: RefusedCode::InUse, message }).await);
    }
    Ok((row, proof.report))
}

async fn wait_for_approval<S>(
    hub: &Hub,
    socket: &mut WebSocketStream<S>,
    row: &NodeRow,
) -> Result<NodeRow, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let message =
        format!("{} waits for the hub's operator: `nave node approve {}` lets it in", row.name, row.name);
    let begun = tokio::time::Instant::now();
    loop {
        handshake::say(socket, &FromHub::Pending { message: message.clone() }).await?;
        match admission::await_approval(hub, row.id, REMIND).await {
            Ok(Some(row)) => return Ok(row),
            Ok(None) if begun.elapsed() < LONGEST_WAIT => {}
            Ok(None) => {
                let message = "still waiting for approval".to_owned();
                return Err(refuse(socket, Refused { code: RefusedCode::Unavailable, message }).await);
            }
            Err(error) => {
                let refused = Refused { code: RefusedCode::Revoked, message: error.message() };
                return Err(refuse(socket, refused).await);
            }
        }
    }
}

async fn refuse<S>(socket: &mut WebSocketStream<S>, refused: Refused) -> HandshakeError
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match handshake::say(socket, &FromHub::Refused(refused.clone())).await {
        Ok(()) => refused.into(),
        Err(error) => error,
    }
}

/// From the moment the node is in.
async fn stay<S>(op: Op, hub: Arc<Hub>, mut socket: WebSocketStream<S>, row: NodeRow, report: NodeReport)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = op.source.map(|source| source.to_string()).unwrap_or_default();
    let ready = Ready {
        node: NodeChanged { id: row.id.to_string(), name: row.name.clone(), roles: row.roles.clone() },
        hub_keys: vec![hub.key.public()],
        heartbeat_ms: u64::try_from(hub.settings.heartbeat.as_millis()).unwrap_or(u64::MAX),
        lost_after_ms: u64::try_from(hub.settings.lost_after.as_millis()).unwrap_or(u64::MAX),
    };
    if let Err(error) = super::note_presence(&op, &hub, row.id, &address, Some(&report)).await {
        let refused = Refused { code: RefusedCode::Unavailable, message: error.message() };
        tracing::warn!(node = row.name, %error, "a node's coming cannot be written down");
        let _ = refuse(&mut socket, refused).await;
        return;
    }
    if handshake::say(&mut socket, &FromHub::Ready(ready)).await.is_err() {
        return;
    }
    let limits = Limits { heartbeat: None, lost_after: hub.settings.lost_after };
    let answers = Arc::new(Answers { hub: Arc::clone(&hub), op, id: row.id });
    let peer = Peer::start(socket, Arc::clone(&answers) as Arc<dyn Handler>, limits);
    hub.presence.enter(row.id, Session::new(peer.clone(), address.clone(), report));
    hub.metrics.links.fetch_add(1, Ordering::Relaxed);
    tracing::info!(node = row.name, %address, "node connected");
    super::tell_presence(&hub, row.id).await;
    // Revoked between the decision and this moment: nobody has put it out yet.
    match super::still_member(&hub, row.id).await {
        Ok(true) => {}
        Ok(false) => hub.presence.put_out(row.id, "this node was revoked"),
        Err(error) => tracing::warn!(%error, "a node's membership cannot be checked again"),
    }
    let why = peer.closed().await;
    let gone = hub.presence.leave(row.id, &peer);
    tracing::info!(node = row.name, %why, "node disconnected");
    if gone {
        super::tell_presence(&hub, row.id).await;
        if let Err(error) = super::note_presence(&answers.op, &hub, row.id, &address, None).await {
            tracing::warn!(node = row.name, %error, "a node's going cannot be written down");
        }
    }
}

/// Answers what the node asks.
struct Answers {
    hub: Arc<Hub>,
    op: Op,
    id: NodeId,
}

impl Answers {
    /// By the node, which is called and may do something only once it was looked up.
    fn op(&self) -> Op {
        let actor = Actor::Node { id: self.id, name: String::new(), roles: NodeRoles::NONE };
        Op { actor, ..self.op.clone() }
    }
}

impl Handler for Answers {
    fn call(
        &self,
        method: String,
        params: Box<RawValue>,
    ) -> BoxFuture<'static, std::result::Result<Box<RawValue>, RpcError>> {
        let hub = Arc::clone(&self.hub);
        let op = self.op();
        async move {
            let request = ToHub::parse(&method, &params)?;
            let op = super::renewed(&op, &hub).await.map_err(|error| to_rpc(&error))?;
            match request {
                ToHub::StreamOpen(open) => answer(streams::open(&op, &hub, &open).await),
                ToHub::StreamCheck(check) => answer(streams::check(&op, &hub, &check).await),
                ToHub::StreamReport(_) | ToHub::NodeReport(_) => {
                    Err(RpcError::new(code::INVALID_REQUEST, format!("{method} is a notice")))
                }
            }
        }
        .boxed()
    }

    fn notice(&self, method: &str, params: &RawValue) {
        match ToHub::parse(method, params) {
            Ok(ToHub::StreamReport(report)) => self.hub.streams.report(&self.hub, self.id, &report),
            Ok(ToHub::NodeReport(report)) => {
                if let Some(session) = self.hub.presence.session(self.id) {
                    session.set_report(report);
                }
            }
            Ok(_) => tracing::debug!(method, "a node sent a request as a notice"),
            Err(error) => tracing::debug!(method, %error, "a node sent a notice that is not understood"),
        }
    }
}

fn answer<T: serde::Serialize>(result: Result<T>) -> std::result::Result<Box<RawValue>, RpcError> {
    let value = result.map_err(|error| to_rpc(&error))?;
    serde_json::value::to_raw_value(&value).map_err(|error| RpcError::new(code::INTERNAL, error.to_string()))
}

fn to_rpc(error: &Error) -> RpcError {
    if let Error::Internal(source) | Error::Unavailable { source, .. } = error {
        tracing::error!(%source, "a node's request failed");
        return RpcError {
            code: code::INTERNAL,
            message: error.message(),
            reason: Some(error.code().to_owned()),
        };
    }
    RpcError::refused(error.code(), error.message())
}
