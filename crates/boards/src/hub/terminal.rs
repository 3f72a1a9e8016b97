//! Web terminals: a TCP interface of a place in its holder's browser. The stream ends in the hub, which can read it; so the
//! exporter must have allowed it in the place's description. How the bytes reach the browser is the pages'.

use std::sync::Arc;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event::Event;
use nave_core::hub::leases::Holder;
use nave_core::hub::op::Op;
use nave_core::hub::streams::here::{self, Here, Known};
use nave_core::id::NodeId;
use nave_link::address::Target;
use serde_json::json;

use super::{Boards, READ};
use crate::link;

/// A terminal that its holder may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// The place.
    pub place: String,
    /// The name of the interface.
    pub interface: String,
    /// The node that offers it.
    pub node: String,
    node_id: NodeId,
    target: Target,
}

/// Finds a terminal: an interface, by its name, of one of a place's parts, counted from 1. Only who has the place may.
pub fn find(
    op: &Op,
    hub: &Hub,
    boards: &Boards,
    place: &str,
    part: usize,
    interface: &str,
) -> Result<Terminal> {
    access::require(op, READ)?;
    let found = boards.places().by_name(place).ok_or_else(|| Error::not_found("place", place))?;
    let tcp = part.checked_sub(1).and_then(|at| found.parts.get(at)).and_then(|part| part.tcp.get(interface));
    let tcp = tcp.ok_or_else(|| Error::not_found("interface", interface))?;
    let target = link::target(&tcp.host, tcp.port).filter(|_| tcp.web_terminal);
    let (Some(target), Some((node_id, node))) = (target, found.reach.node.clone()) else {
        return Err(Error::Forbidden(format!(
            "the exporter of {place} does not let {interface} be used in a browser: `web_terminal = true` beside its port does, in the place's description"
        )));
    };
    let holder = Boards::pool(hub)?.holder_of(place).map(|held| held.lease.holder);
    if !holder.as_ref().is_some_and(|holder| holder.is(&Holder::of(op))) {
        let who = holder.map_or("nobody".to_owned(), |holder| holder.name);
        return Err(Error::Forbidden(format!(
            "only who has {place} may use it, and {who} has it: reserve it first"
        )));
    }
    Ok(Terminal { place: place.to_owned(), interface: interface.to_owned(), node, node_id, target })
}

/// Opens it. The exporter has connected the service when this returns.
pub async fn open(op: &Op, hub: &Arc<Hub>, terminal: &Terminal) -> Result<Here> {
    let stream = here::open(op, hub, terminal.node_id, &terminal.target).await?;
    let detail = json!({ "interface": terminal.interface, "stream": stream.id(), "target": terminal.target });
    note(op, hub, terminal, "terminal.opened", detail).await?;
    Ok(stream)
}

/// Notes that it ended, and why.
pub async fn closed(op: &Op, hub: &Hub, terminal: &Terminal, stream: &Known, why: &str) -> Result<()> {
    access::require_somebody(op)?;
    let (sent, received) = stream.bytes();
    let detail =
        json!({ "interface": terminal.interface, "sent": sent, "received": received, "reason": why });
    note(op, hub, terminal, "terminal.closed", detail).await
}

/// Why a stream was cut, for whoever used it.
pub fn why_cut(op: &Op, hub: &Hub, terminal: &Terminal, stream: &Known) -> String {
    let holds = Boards::pool(hub)
        .ok()
        .and_then(|pool| pool.holder_of(&terminal.place))
        .is_some_and(|held| held.lease.holder.is(&Holder::of(op)));
    match stream.why() {
        None => "the hub is stopping".to_owned(),
        Some(_) if !holds => format!("you do not have {} any more", terminal.place),
        Some(why) => why.to_owned(),
    }
}

async fn note(
    op: &Op,
    hub: &Hub,
    terminal: &Terminal,
    action: &'static str,
    detail: serde_json::Value,
) -> Result<()> {
    let mut act = hub.store.begin().await?;
    let place = terminal.place.clone();
    let event = Event { action, object_kind: "place", object_id: place.clone(), object_name: place, detail };
    hub.record(&mut act, op, event).await?;
    act.commit().await
}
