//! Links of fleets: a node opens one on a WebSocket at an address of the fleet's, beside its control connection. What is
//! said on it is the fleet's.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use nave_link::pipe::Prefixed;
use nave_link::rpc::{Handler, Limits, Peer, websocket_config};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::link::websocket_answer;
use crate::hub::context::Hub;
use crate::hub::edge::{self, Connection};
use crate::hub::error::Result;
use crate::hub::op::Op;

/// The hub's end of a fleet's link.
pub trait FleetLink: Send + Sync + 'static {
    /// Where it ends.
    fn hub(&self) -> &Arc<Hub>;

    /// Which node opened it.
    fn op(&self) -> &Op;

    /// What answers that node.
    fn handler(self: &Arc<Self>) -> Arc<dyn Handler>;

    /// Takes note of a link that stands. From now on, the fleet closes it when it hears that the node is revoked.
    fn begin(self: &Arc<Self>, peer: &Peer);

    /// Tells the node what there is to tell. The link ends when this does.
    fn tell(&self, peer: &Peer) -> impl Future<Output = ()> + Send;

    /// Takes note of a link that has ended.
    fn end(self: &Arc<Self>, peer: &Peer);
}

/// Serves a link on the connection that a request came by, until the node or the hub ends it.
///
/// # Errors
///
/// When the request does not open a WebSocket.
pub fn take_over<L: FleetLink>(
    link: Arc<L>,
    connection: Option<Extension<Connection>>,
    mut request: Request,
) -> Result<Response> {
    let answer = websocket_answer(request.headers())?;
    let stop = connection.map(|Extension(connection)| connection.shutdown.soft().clone()).unwrap_or_default();
    let upgrade = hyper::upgrade::on(&mut request);
    let tasks = link.hub().tasks.clone();
    tasks.spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let Ok((io, early)) = edge::upgraded(upgraded) else { return };
        let io = Prefixed::new(early, io);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(websocket_config())).await;
        let limits = Limits { heartbeat: None, lost_after: link.hub().settings.lost_after };
        let peer = Peer::start(socket, link.handler(), limits);
        link.begin(&peer);
        // Revoked between the request and this moment: nobody has put it out yet.
        if super::renewed(link.op(), link.hub()).await.is_err() {
            peer.close("this node was revoked");
        }
        tokio::select! {
            _ = peer.closed() => {}
            () = link.tell(&peer) => {}
            () = stop.cancelled() => {
                peer.close("the hub is stopping");
                peer.closed().await;
            }
        }
        link.end(&peer);
    });
    Ok(answer.map(|()| Body::empty()))
}
