//! Links of fleets: a node opens one on a WebSocket at an address of the fleet's, beside its control connection. What is
//! said on it is the fleet's.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use nave_link::pipe::Prefixed;
use nave_link::rpc::{Handler, Limits, Peer, websocket_config};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Connections;
use super::link::websocket_answer;
use crate::hub::access::Action;
use crate::hub::context::Hub;
use crate::hub::edge::{self, Connection};
use crate::hub::error::Result;
use crate::id::NodeId;

/// The hub's end of a fleet's link.
pub trait FleetLink: Send + Sync + 'static {
    /// Where it ends.
    fn hub(&self) -> &Arc<Hub>;

    /// Which node opened it.
    fn node(&self) -> NodeId;

    /// What that node must be allowed to do, as long as the link stands.
    fn for_what(&self) -> Action;

    /// What answers that node.
    fn handler(self: &Arc<Self>) -> Arc<dyn Handler>;

    /// Takes note of a link that stands.
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
        let (ends, ended) = watch::channel(None);
        let end = move |why: &str| drop(ends.send_replace(Some(why.to_owned())));
        let connected = Connections::enter(link.hub(), link.node(), link.for_what(), end).await;
        let limits = Limits { heartbeat: None, lost_after: link.hub().settings.lost_after };
        let peer = Peer::start(socket, link.handler(), limits);
        link.begin(&peer);
        tokio::select! {
            biased;
            why = reason(ended) => {
                peer.close(why);
                peer.closed().await;
            }
            _ = peer.closed() => {}
            () = link.tell(&peer) => {}
            () = stop.cancelled() => {
                peer.close("the hub is stopping");
                peer.closed().await;
            }
        }
        drop(connected);
        link.end(&peer);
    });
    Ok(answer.map(|()| Body::empty()))
}

/// Waits until the hub has a reason to end the link.
async fn reason(mut ended: watch::Receiver<Option<String>>) -> String {
    let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
    match reason {
        Some(reason) => reason,
        None => std::future::pending().await,
    }
}
