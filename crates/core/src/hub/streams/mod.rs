//! Streams: byte pipes between two nodes. The hub introduces the two, joins their connections where they do not meet
//! directly, counts bytes that it cannot read, and cuts them when the right to them ends. Those that end in the hub itself
//! are in `here`.

pub mod here;
mod live;
pub mod relay;

use std::time::Duration;

use nave_link::address::{NodeTarget, Target};
use nave_link::protocol::{StreamCheck, StreamChecked, StreamOffer, StreamOpen, StreamOpened, TargetCheck};
use nave_link::rpc::CallError;
use sqlx::AnyConnection;

use live::Origin;
pub use live::Streams;

use super::access::{self, Action, Roles, Scope};
use super::context::Hub;
use super::error::{Error, Result};
use super::grants::{self, Subject};
use super::nodes::{NodeRow, Session, find};
use super::op::{Actor, Op, Person, Via};
use crate::api::{NodeStatus, Stream};
use crate::id::NodeId;

/// Listing the streams under way.
pub const READ: Action = Action::new("stream.read", Roles::ANY);
/// Ending a stream.
pub const CUT: Action = Action::new("stream.cut", Roles::OPERATORS);
/// Opening one: granted to nodes per target.
pub const OPEN: Action = Action::new("stream.open", Roles::ADMINS);

/// How long the other node may take to connect the target and to answer.
const OFFER_TIMEOUT: Duration = Duration::from_secs(15);

/// The streams under way, the oldest first. A node sees its own, a person those of nodes that it may see.
pub fn list(op: &Op, hub: &Hub) -> Result<Vec<Stream>> {
    if let Actor::Node { id, .. } = &op.actor {
        return Ok(hub.streams.list(|from, to| from == Some(*id) || to == *id));
    }
    access::require_somewhere(op, READ)?;
    let sees = |node| access::allows(op, READ, &Scope::node(node));
    Ok(hub.streams.list(|from, to| from.is_some_and(sees) || sees(to)))
}

/// Ends a stream.
pub async fn cut(op: &Op, hub: &Hub, id: &str) -> Result<()> {
    access::require(op, CUT)?;
    let Some(stream) = hub.streams.list(|_, _| true).into_iter().find(|stream| stream.id == id) else {
        return Err(Error::not_found("stream", id));
    };
    let mut act = hub.store.begin().await?;
    let event = super::event::Event {
        action: "stream.cut",
        object_kind: "stream",
        object_id: stream.id.clone(),
        object_name: format!("{} to {}:{}", stream.from, stream.to, stream.target),
        detail: serde_json::Value::Null,
    };
    hub.record(&mut act, op, event).await?;
    act.commit().await?;
    hub.streams.cut(hub, id, "the hub's operator cut it").await;
    Ok(())
}

/// Whether a stream would be allowed: by a grant, and by the other node's own operator.
pub async fn check(op: &Op, hub: &Hub, check: &StreamCheck) -> Result<StreamChecked> {
    let allowed = allow(op, hub, &check.node, &check.target).await?;
    let asked = TargetCheck { target: check.target.clone() };
    allowed
        .session
        .peer
        .call(&asked, OFFER_TIMEOUT)
        .await
        .map_err(|error| theirs(&allowed.to.name, &error))?;
    Ok(StreamChecked { peer_key: allowed.to_key })
}

/// Opens a stream: the other node connects the target and both learn how to meet.
pub async fn open(op: &Op, hub: &Hub, open: &StreamOpen) -> Result<StreamOpened> {
    let allowed = allow(op, hub, &open.node, &open.target).await?;
    let opening = hub.streams.begin(hub, &allowed, &open.target)?;
    if let Err(error) = note_opened(op, hub, &allowed.to, &open.target, &opening.id).await {
        hub.streams.forget(&opening.id);
        return Err(error);
    }
    let offer = StreamOffer {
        stream: opening.id.clone(),
        ticket: opening.asked_ticket.clone(),
        peer: allowed.from_name.clone(),
        peer_key: allowed.from_key,
        target: open.target.clone(),
    };
    if let Err(error) = allowed.session.peer.call(&offer, OFFER_TIMEOUT).await {
        hub.streams.forget(&opening.id);
        return Err(theirs(&allowed.to.name, &error));
    }
    hub.metrics.streams.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Ok(StreamOpened {
        stream: opening.id,
        ticket: opening.asking_ticket,
        peer_key: allowed.to_key,
        direct: allowed.session.report().direct,
    })
}

/// Two ends of which the first may open a target on the second, a node that is connected.
pub(crate) struct Allowed {
    from: Origin,
    from_name: String,
    from_key: nave_link::key::PublicKey,
    to: NodeRow,
    to_key: nave_link::key::PublicKey,
    session: Session,
}

async fn allow(op: &Op, hub: &Hub, name: &str, target: &Target) -> Result<Allowed> {
    let (id, from_name) = match &op.actor {
        Actor::Node { id, name, .. } | Actor::Person(Person { via: Via::Device(id), name, .. }) => {
            (*id, name.clone())
        }
        _ => {
            return Err(Error::Forbidden(
                "streams begin on a node, or on a device that is signed in: `nave login` makes this machine one"
                    .to_owned(),
            ));
        }
    };
    let words = NodeTarget { node: name.to_owned(), target: target.clone() };
    // The same words whether the node is unknown or just not granted: names are nobody else's business.
    let refused = || {
        let command = match &op.actor {
            Actor::Person(_) => format!("nave user grant {from_name:?} open {words}"),
            _ => format!("nave node grant {from_name} open {words}"),
        };
        Error::Forbidden(format!(
            "{from_name} may not open {words}: no grant allows it; the hub's operator can change that with `{command}`"
        ))
    };
    let mut reader = hub.store.read().await?;
    let to = match find(&mut reader, name).await {
        Ok(to) => to,
        Err(Error::NotFound { .. }) => return Err(refused()),
        Err(error) => return Err(error),
    };
    if !may_open(op, hub, &mut reader, to.id, target).await? {
        return Err(refused());
    }
    let from_key = super::nodes::store::by_id(&mut reader, id).await?.and_then(|row| row.public_key);
    let Some(from_key) = from_key else {
        return Err(Error::Conflict(format!("{from_name} has not joined yet")));
    };
    reach(hub, Origin::Node(id), from_name, from_key, to)
}

/// Finds the way to a node that may be asked.
fn reach(
    hub: &Hub,
    from: Origin,
    from_name: String,
    from_key: nave_link::key::PublicKey,
    to: NodeRow,
) -> Result<Allowed> {
    let (Some(to_key), NodeStatus::Active) = (to.public_key, to.status) else {
        return Err(Error::Conflict(format!("{} has not joined yet", to.name)));
    };
    let Some(session) = hub.presence.session(to.id) else {
        let since = match to.last_seen_at {
            Some(at) => format!(" since {}", at.replace_nanosecond(0).unwrap_or(at)),
            None => String::new(),
        };
        return Err(Error::Conflict(format!(
            "{} is not connected to the hub{since}: check the machine and its network",
            to.name
        )));
    };
    Ok(Allowed { from, from_name, from_key, to, to_key, session })
}

/// Whether the actor may open a target: a node by its grants, a person by its roles or its grants, and both by what they
/// hold in a fleet.
pub(super) async fn may_open(
    op: &Op,
    hub: &Hub,
    reader: &mut AnyConnection,
    node: NodeId,
    target: &Target,
) -> Result<bool> {
    if access::allows(op, OPEN, &Scope::node(node))
        || hub.fleets.iter().any(|fleet| fleet.lets_open(hub, op, node, target))
    {
        return Ok(true);
    }
    match &op.actor {
        Actor::Node { id, .. } => grants::may_open(reader, Subject::Node(*id), node, target).await,
        Actor::Person(person) => grants::may_open(reader, Subject::Person(person.id), node, target).await,
        _ => Ok(false),
    }
}

/// A person's act is written down; a node's are too many.
async fn note_opened(op: &Op, hub: &Hub, to: &NodeRow, target: &Target, stream: &str) -> Result<()> {
    if !matches!(op.actor, Actor::Person(_)) {
        return Ok(());
    }
    let mut act = hub.store.begin().await?;
    let event = super::event::Event {
        action: "stream.opened",
        object_kind: "node",
        object_id: to.id.to_string(),
        object_name: to.name.clone(),
        detail: serde_json::json!({ "stream": stream, "target": target }),
    };
    hub.record(&mut act, op, event).await?;
    act.commit().await
}

/// What the other node, or the way to it, says.
fn theirs(name: &str, error: &CallError) -> Error {
    Error::Conflict(format!("{name}: {error}"))
}
