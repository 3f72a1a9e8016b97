//! Streams that end in the hub itself: it reads the bytes and carries them on to a person's browser. The hub proves its own
//! key inside the TLS, as a node does, and the node takes it for an end only where its operator said so by name.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use nave_link::address::Target;
use nave_link::inner;
use nave_link::protocol::StreamOffer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_rustls::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::live::{Live, Origin};
use super::relay::Half;
use super::{OFFER_TIMEOUT, reach, theirs};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::nodes;
use crate::hub::op::{Actor, Op, Person, Via};
use crate::hub::people::sessions;
use crate::id::NodeId;

/// What nodes are told who asks. No node can be called so.
const NAME: &str = "the hub";
/// How long the node's connection may take to come and to prove the node's key.
const MEETING_TIME: Duration = Duration::from_secs(20);
/// How often it is looked at whether the right to a stream still stands; most of what ends it is told at once.
const LOOK: Duration = Duration::from_secs(10);

/// A stream that ends here. It ends when it is dropped. Whoever carries its bytes stops when it is cut.
pub struct Here {
    io: TlsStream<Half>,
    live: Arc<Live>,
    _forgets: Forgets,
    _watched: DropGuard,
}

/// Whether a stream to a target may end here, on behalf of somebody: only what is held in a fleet allows that, and no grant.
pub(super) fn may(op: &Op, hub: &Hub, node: NodeId, target: &Target) -> bool {
    hub.fleets.iter().any(|fleet| fleet.lets_end_here(hub, op, node, target))
}

/// Opens a stream to a target of a node that ends here, for somebody who is signed in with a browser. It lives as long as
/// the session and what allowed it. Whoever calls this writes down what it is opened for.
pub async fn open(op: &Op, hub: &Arc<Hub>, node: NodeId, target: &Target) -> Result<Here> {
    let Actor::Person(Person { via: Via::Session(_), name, .. }) = &op.actor else {
        return Err(Error::Forbidden("a stream ends in the hub only for a person in a browser".to_owned()));
    };
    if !may(op, hub, node, target) {
        return Err(Error::Forbidden(format!("nothing allows {name} to have {target} end in the hub")));
    }
    let mut reader = hub.store.read().await?;
    let to = nodes::store::by_id(&mut reader, node).await?;
    drop(reader);
    let to = to.ok_or_else(|| Error::not_found("node", node.to_string()))?;
    let allowed = reach(hub, Origin::Hub(op.clone()), name.clone(), hub.key.public(), to)?;
    let opening = hub.streams.begin(hub, &allowed, target)?;
    // Whatever happens from here on, it is forgotten.
    let forgets = Forgets { hub: Arc::clone(hub), id: opening.id.clone() };
    let offer = StreamOffer {
        stream: opening.id.clone(),
        ticket: opening.asked_ticket.clone(),
        peer: NAME.to_owned(),
        peer_key: hub.key.public(),
        target: target.clone(),
    };
    let offered = allowed.session.peer.call(&offer, OFFER_TIMEOUT).await;
    offered.map_err(|error| theirs(&allowed.to.name, &error))?;
    let meeting = async {
        let half = opening.here.await.map_err(|_| Error::Conflict("the stream was cut".to_owned()))?;
        let met = inner::connect(half, &hub.key, allowed.to_key, &opening.id).await;
        met.map_err(|error| Error::Conflict(format!("{}: {error}", allowed.to.name)))
    };
    let io = tokio::select! {
        met = tokio::time::timeout(MEETING_TIME, meeting) => met.map_err(|_| {
            Error::Conflict(format!("{} did not come to the hub with the stream in time", allowed.to.name))
        })??,
        () = opening.live.cut.cancelled() => {
            return Err(Error::Conflict(opening.live.why().unwrap_or("the hub is stopping").to_owned()));
        }
    };
    opening.live.set_here();
    hub.metrics.streams.fetch_add(1, Ordering::Relaxed);
    let watched = CancellationToken::new();
    hub.tasks.spawn(watched.clone().run_until_cancelled_owned(watch(
        Arc::clone(hub),
        op.clone(),
        Arc::clone(&opening.live),
        node,
        target.clone(),
    )));
    Ok(Here { io, live: opening.live, _forgets: forgets, _watched: watched.drop_guard() })
}

impl Here {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.live.id
    }

    /// Cancelled when the hub cuts it.
    pub fn cut(&self) -> CancellationToken {
        self.live.cut.clone()
    }

    /// How it is known once it was given away to be read and written.
    pub fn known(&self) -> Known {
        Known(Arc::clone(&self.live))
    }
}

/// What can be said about a stream that ends here.
#[derive(Clone)]
pub struct Known(Arc<Live>);

impl Known {
    /// Why the hub cut it; `None` when it did not, or because it stops.
    pub fn why(&self) -> Option<&str> {
        self.0.why()
    }

    /// Bytes to the node and from it.
    pub fn bytes(&self) -> (u64, u64) {
        (self.0.counts.forth.load(Ordering::Relaxed), self.0.counts.back.load(Ordering::Relaxed))
    }
}

/// Forgets a stream that has ended, or was not opened after all.
struct Forgets {
    hub: Arc<Hub>,
    id: String,
}

impl Drop for Forgets {
    fn drop(&mut self) {
        self.hub.streams.forget(&self.id);
    }
}

/// Cuts a stream when the session of whoever it is for ends, or what allowed it.
async fn watch(hub: Arc<Hub>, op: Op, live: Arc<Live>, node: NodeId, target: Target) {
    let Actor::Person(Person { via: Via::Session(session), .. }) = op.actor else { return };
    let me = op.actor.id();
    let mut notices = hub.bus.subscribe();
    loop {
        let why = match sessions::renewed(&hub, session).await {
            Ok(Some(person)) => {
                let op = Op { actor: Actor::Person(person), ..op.clone() };
                (!may(&op, &hub, node, &target)).then_some("the right that allowed it was taken back")
            }
            Ok(None) => Some("the sign-in that opened it has ended"),
            // It is looked at again.
            Err(error) => {
                tracing::warn!(stream = live.id, %error, "a stream's session cannot be looked at");
                None
            }
        };
        if let Some(why) = why {
            hub.streams.cut(&hub, &live.id, why).await;
            return;
        }
        let until = Instant::now() + LOOK;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                notice = notices.recv() => match notice {
                    Ok(notice) if notice.topic == "person" && notice.key == me => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

impl AsyncRead for Here {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        self.live.counts.back.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Here {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.live.counts.forth.fetch_add(written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
