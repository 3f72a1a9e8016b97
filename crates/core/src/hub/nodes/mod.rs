//! Nodes: who was invited, who joined, who is connected, who is out.

mod admission;
mod connections;
pub mod fleet_link;
mod invites;
pub mod keyed;
pub mod link;
mod listed;
mod node_keys;
mod presence;
pub(crate) mod store;
mod visits;

use std::collections::BTreeMap;
use std::sync::Arc;

use nave_link::address::is_name;
use nave_link::protocol::{NodeChanged, NodeReport};
use serde_json::{Value, json};
use sqlx::AnyConnection;

pub use connections::{Connected, Connections};
pub use invites::{INVITE, forget_expired, invite};
pub use listed::Listed;
pub use node_keys::{MINT, mint_key};
pub use presence::{Presence, Session, Visit};
pub use store::NodeRow;
pub use visits::{Stay, enter};

use super::access::{self, Action, Roles, Scope};
use super::bus::Notice;
use super::context::Hub;
use super::error::{Error, Result};
use super::event::Event;
use super::fleet::NodeHappening;
use super::grants;
use super::op::{Actor, Op, Person, Via};
use super::{people, tasks};
use crate::api::{Node, NodeChange, NodeRole, NodeStatus};
use crate::id::{NodeId, RequestId};

/// Listing nodes and looking at one.
pub const READ: Action = Action::new("node.read", Roles::ANY);
/// Letting a pending node in.
pub const APPROVE: Action = Action::new("node.approve", Roles::OPERATORS);
/// Changing a node's name, roles or labels.
pub const CHANGE: Action = Action::new("node.change", Roles::OPERATORS);
/// Ending a membership.
pub const REVOKE: Action = Action::new("node.revoke", Roles::OPERATORS);

/// The roles that a node can have.
pub const ROLES: [&str; 4] = NodeRole::WORDS;

/// All nodes that are not gone, in the order of their names; with `all`, those that are gone and those only invited too.
pub async fn list(op: &Op, hub: &Hub, all: bool) -> Result<Vec<Node>> {
    let now = hub.clock.now();
    let is_here = |node: &Listed| matches!(node.status(), NodeStatus::Active | NodeStatus::Pending);
    let nodes = listed(op, hub).await?.into_iter().filter(|node| all || is_here(node));
    Ok(nodes.map(|node| node.view(now)).collect())
}

/// All nodes, in the order of their names, for whoever shows some of them.
pub async fn listed(op: &Op, hub: &Hub) -> Result<Vec<Listed>> {
    access::require_somewhere(op, READ)?;
    let mut reader = hub.store.read().await?;
    let rows = store::all(&mut reader).await?;
    let shown = rows.into_iter().filter(|row| access::allows(op, READ, &Scope::node(row.id)));
    Ok(shown.map(|row| Listed::new(row, &hub.presence)).collect())
}

/// What lists of names need of a node.
#[derive(Clone, Debug)]
pub struct Brief {
    /// Its name.
    pub name: String,
    /// What it is to the hub.
    pub status: NodeStatus,
    /// Whether it is connected.
    pub online: bool,
}

/// As [`list`] without those that are gone, and no more of each than such lists need.
pub async fn briefs(op: &Op, hub: &Hub) -> Result<Vec<Brief>> {
    access::require_somewhere(op, READ)?;
    let mut reader = hub.store.read().await?;
    let rows = store::brief(&mut reader).await?;
    let shown = rows.into_iter().filter(|(id, _, _)| access::allows(op, READ, &Scope::node(*id)));
    let brief = |(id, name, status)| Brief { name, status, online: hub.presence.is_here(id) };
    Ok(shown.map(brief).collect())
}

/// One node with its rights.
pub async fn show(op: &Op, hub: &Hub, name: &str) -> Result<Node> {
    access::require_somewhere(op, READ)?;
    let mut reader = hub.store.read().await?;
    let row = find_for(op, READ, &mut reader, name).await?;
    let grants = grants::of_node(&mut reader, &row).await?;
    Ok(Node { grants, ..Listed::new(row, &hub.presence).view(hub.clock.now()) })
}

/// Lets a pending node in.
pub async fn approve(op: &Op, hub: &Hub, name: &str) -> Result<()> {
    access::require_somewhere(op, APPROVE)?;
    let mut act = hub.store.begin().await?;
    let row = find_for(op, APPROVE, act.connection(), name).await?;
    let key = match (row.status, &row.public_key) {
        (NodeStatus::Pending, Some(key)) => *key,
        (NodeStatus::Active, _) => return Err(Error::Conflict(format!("{} is a member already", row.name))),
        _ => {
            return Err(Error::Conflict(format!(
                "{} has not joined yet: there is nothing to approve",
                row.name
            )));
        }
    };
    store::activate(&mut act, row.id, &key, op.clock.now()).await?;
    hub.record(&mut act, op, about("node.approved", &row, json!({ "key": key }))).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await
}

/// Changes a node.
pub async fn change(op: &Op, hub: &Arc<Hub>, name: &str, change: &NodeChange) -> Result<()> {
    access::require_somewhere(op, CHANGE)?;
    let mut act = hub.store.begin().await?;
    let row = find_for(op, CHANGE, act.connection(), name).await?;
    let mut now = (row.name.clone(), row.roles.clone());
    if let Some(new) = &change.name
        && *new != row.name
    {
        check_name(new)?;
        store::rename(&mut act, row.id, new).await?;
        hub.record(&mut act, op, about("node.renamed", &row, json!({ "name": new }))).await?;
        now.0.clone_from(new);
    }
    if let Some(roles) = &change.roles {
        check_roles(roles)?;
        store::clear_roles(&mut act, row.id).await?;
        for role in roles {
            store::add_role(&mut act, row.id, role).await?;
        }
        hub.record(&mut act, op, about("node.roles_set", &row, json!({ "roles": roles }))).await?;
        now.1.clone_from(roles);
    }
    if let Some(labels) = &change.labels {
        check_labels(labels)?;
        store::set_labels(&mut act, row.id, labels).await?;
        hub.record(&mut act, op, about("node.labelled", &row, json!({ "labels": labels }))).await?;
    }
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await?;
    // Before the node is told, which may take as long as it likes to hear it.
    hub.connections.review(hub, row.id).await;
    let changed = NodeChanged { id: row.id.to_string(), name: now.0, roles: now.1 };
    hub.presence.tell_changed(row.id, changed).await;
    Ok(())
}

/// Ends a membership: its connection and its streams end at once, and its key is refused from now on. An invitation
/// that was not used yet is taken back.
pub async fn revoke(op: &Op, hub: &Arc<Hub>, name: &str) -> Result<()> {
    access::require_somewhere(op, REVOKE)?;
    let mut act = hub.store.begin().await?;
    let row = find_for(op, REVOKE, act.connection(), name).await?;
    grants::forget_node(&mut act, row.id).await?;
    if row.status == NodeStatus::Invited {
        store::remove_invited(&mut act, row.id).await?;
    } else {
        store::revoke(&mut act, row.id).await?;
        tasks::give_up_node(&mut act, row.id, op.clock.now()).await?;
    }
    hub.record(&mut act, op, about("node.revoked", &row, Value::Null)).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await?;
    hub.presence.put_out(row.id, "this node was revoked");
    hub.connections.review(hub, row.id).await;
    hub.streams.cut_node(hub, row.id, &format!("{} was revoked", row.name)).await;
    let mut told = hub.presence.told(row.id).lock().await;
    told.remove(&row.id);
    hub.tell_fleets(NodeHappening::Revoked(row.id)).await;
    Ok(())
}

/// The node of that name, or with that id.
pub async fn find(reader: &mut AnyConnection, name: &str) -> Result<NodeRow> {
    if let Some(row) = store::by_name(reader, name).await? {
        return Ok(row);
    }
    let by_id = match name.parse() {
        Ok(id) => store::by_id(reader, id).await?,
        Err(_) => None,
    };
    by_id.ok_or_else(|| Error::not_found("node", name))
}

/// The node of that name, or with that id, if the actor may do this to it. Whoever may not even see it is told that it
/// is not there.
async fn find_for(op: &Op, action: Action, reader: &mut AnyConnection, name: &str) -> Result<NodeRow> {
    access::require_somewhere(op, action)?;
    let row = find(reader, name).await?;
    let scope = Scope::node(row.id);
    // A device is its person's business: it is dealt with on the person's page.
    if row.owner.is_some() || !access::allows(op, READ, &scope) {
        return Err(Error::not_found("node", name));
    }
    access::require_in(op, action, &scope)?;
    Ok(row)
}

/// Who acts when a node that proved its key does: the node, or for a device its person.
pub(crate) async fn actor(reader: &mut AnyConnection, row: &NodeRow) -> Result<Actor> {
    let Some(owner) = &row.owner else { return Ok(row.actor()) };
    let person = people::active(reader, owner.id).await?.ok_or_else(|| {
        Error::Forbidden(format!(
            "the account of {} is not in use: ask an administrator of this hub",
            owner.name
        ))
    })?;
    let rights = Arc::new(person.rights());
    Ok(Actor::Person(Person { id: person.id, name: person.name, rights, via: Via::Device(row.id) }))
}

/// An operation on a connection that stands for long: its actor, with the rights that it has by now.
///
/// # Errors
///
/// [`Error::Forbidden`] when the node that the actor is, or comes by, is a member no longer.
pub async fn renewed(op: &Op, hub: &Hub) -> Result<Op> {
    let request = RequestId::new();
    let (Actor::Node { id, .. } | Actor::Person(Person { via: Via::Device(id), .. })) = &op.actor else {
        return Ok(Op { request, ..op.clone() });
    };
    let mut reader = hub.store.read().await?;
    match store::by_id(&mut reader, *id).await? {
        Some(row) if row.status == NodeStatus::Active => {
            Ok(Op { actor: actor(&mut reader, &row).await?, request, ..op.clone() })
        }
        _ => Err(Error::Forbidden("this node was revoked".to_owned())),
    }
}

/// What a node is called, if it is there.
pub async fn name_of(reader: &mut AnyConnection, id: NodeId) -> Result<Option<String>> {
    Ok(store::by_id(reader, id).await?.filter(|row| row.status != NodeStatus::Revoked).map(|row| row.name))
}

/// Members and which of them are not connected; for checks and metrics.
pub async fn lost(hub: &Hub) -> Result<(usize, Vec<String>)> {
    let mut reader = hub.store.read().await?;
    let mut members = store::brief(&mut reader).await?;
    members.retain(|(_, _, status)| *status == NodeStatus::Active);
    let count = members.len();
    members.retain(|(id, _, _)| !hub.presence.is_here(*id));
    Ok((count, members.into_iter().map(|(_, name, _)| name).collect()))
}

fn about(action: &'static str, row: &NodeRow, detail: Value) -> Event {
    Event {
        action,
        object_kind: "node",
        object_id: row.id.to_string(),
        object_name: row.name.clone(),
        detail,
    }
}

fn tell_after_commit(act: &mut super::store::Act, hub: &Hub, id: NodeId) {
    let bus = Arc::clone(&hub.bus);
    act.after_commit(move || bus.publish(Notice { topic: "node", key: id.to_string() }));
}

/// Tells whoever listens that a node's presence changed, and the fleets what it is by now: each change once, in order.
async fn tell_presence(hub: &Arc<Hub>, id: NodeId) {
    hub.bus.publish(Notice { topic: "node", key: id.to_string() });
    let mut told = hub.presence.told(id).lock().await;
    match (hub.presence.is_here(id), told.contains(&id)) {
        (true, false) => {
            told.insert(id);
            hub.tell_fleets(NodeHappening::Joined(id)).await;
        }
        (false, true) => {
            told.remove(&id);
            hub.tell_fleets(NodeHappening::Lost(id)).await;
        }
        _ => {}
    }
}

/// Writes down that a node came, with what it says about itself, or that it went.
async fn note_presence(
    op: &Op,
    hub: &Hub,
    id: NodeId,
    address: &str,
    report: Option<&NodeReport>,
) -> Result<()> {
    let mut act = hub.store.begin().await?;
    store::saw(&mut act, id, op.clock.now(), Some(address), report).await?;
    act.commit().await
}

/// Whether a node is a member: it has joined, and was not revoked.
pub async fn still_member(hub: &Hub, id: NodeId) -> Result<bool> {
    let mut reader = hub.store.read().await?;
    Ok(store::by_id(&mut reader, id).await?.is_some_and(|row| row.status == NodeStatus::Active))
}

fn check_name(name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(Error::invalid(
        "name",
        format!(
            "{name:?} cannot be a node's name: use 1 to 63 letters, digits, \"-\", \"_\" and \".\", the first a letter or digit"
        ),
    ))
}

fn check_roles(roles: &[String]) -> Result<()> {
    match roles.iter().find(|role| !ROLES.contains(&role.as_str())) {
        Some(role) => {
            Err(Error::invalid("role", format!("{role:?} is no role; there are: {}", ROLES.join(", "))))
        }
        None => Ok(()),
    }
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<()> {
    let fits = |text: &str| text.chars().count() <= 63 && !text.chars().any(char::is_control);
    if labels.len() > 32 || !labels.iter().all(|(key, value)| is_name(key) && fits(value)) {
        return Err(Error::invalid(
            "labels",
            "at most 32, with names like node names and values of at most 63 characters",
        ));
    }
    Ok(())
}
