//! Grants: (subject, action, scope). Nothing is granted by default except to administrators.

mod store;

use nave_link::address::{NodeTarget, Target};
use serde_json::json;
use sqlx::AnyConnection;

use super::access::{self, Action, Roles};
use super::context::Hub;
use super::error::{Error, Result};
use super::event::Event;
use super::nodes::{self, NodeRow};
use super::op::Op;
use super::people;
use super::store::Act;
use crate::api::{Grant, GrantRequest};
use crate::id::{GrantId, NodeId, PersonId};

/// Giving and taking rights.
pub const GRANT: Action = Action::new("node.grant", Roles::OPERATORS);

/// What can be granted to a node today.
const ACTIONS: [&str; 1] = ["open"];

/// Who has a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A node.
    Node(NodeId),
    /// A person, by whichever device.
    Person(PersonId),
}

impl Subject {
    fn columns(self) -> (&'static str, String) {
        match self {
            Self::Node(id) => ("node", id.to_string()),
            Self::Person(id) => ("person", id.to_string()),
        }
    }
}

/// Where a right holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On one service of one node.
    Target(NodeId, Target),
    /// On every service of one node.
    Node(NodeId),
    /// Everywhere.
    Everything,
}

impl Scope {
    fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Target(node, target) => ("target", format!("{node}/{target}")),
            Self::Node(node) => ("node", node.to_string()),
            Self::Everything => ("everything", String::new()),
        }
    }
}

/// A right that is about to be given.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// What may be done.
    pub action: &'static str,
    /// Where.
    pub scope: Scope,
    /// Where, in words.
    pub words: String,
}

/// Reads what a person wrote; the nodes that it names must exist.
pub async fn resolve(reader: &mut AnyConnection, request: &GrantRequest) -> Result<NewGrant> {
    let action = ACTIONS.into_iter().find(|action| *action == request.action).ok_or_else(|| {
        Error::invalid(
            "action",
            format!("{:?} is no action; there is: {}", request.action, ACTIONS.join(", ")),
        )
    })?;
    let words = request.scope.clone();
    if words == "*" {
        return Ok(NewGrant { action, scope: Scope::Everything, words });
    }
    if !words.contains(':') {
        let node = nodes::find(reader, &words).await?;
        return Ok(NewGrant { action, scope: Scope::Node(node.id), words });
    }
    let target: NodeTarget = words.parse().map_err(|error| Error::invalid("scope", format!("{error}")))?;
    let node = nodes::find(reader, &target.node).await?;
    Ok(NewGrant { action, words: target.to_string(), scope: Scope::Target(node.id, target.target) })
}

/// Writes a right into an act, with its event.
pub async fn add(act: &mut Act, hub: &Hub, op: &Op, node: &NodeRow, grant: &NewGrant) -> Result<()> {
    if store::insert(act, GrantId::new(), Subject::Node(node.id), grant, op).await? {
        hub.record(act, op, about("grant.added", node, grant)).await?;
    }
    Ok(())
}

/// Gives a node a right.
pub async fn grant(op: &Op, hub: &Hub, name: &str, request: &GrantRequest) -> Result<()> {
    access::require(op, GRANT)?;
    let mut act = hub.store.begin().await?;
    let node = nodes::find(act.connection(), name).await?;
    let grant = resolve(act.connection(), request).await?;
    add(&mut act, hub, op, &node, &grant).await?;
    act.commit().await
}

/// Takes a right from a node; streams that stood on it end.
pub async fn withdraw(op: &Op, hub: &Hub, name: &str, request: &GrantRequest) -> Result<()> {
    access::require(op, GRANT)?;
    let mut act = hub.store.begin().await?;
    let node = nodes::find(act.connection(), name).await?;
    let grant = resolve(act.connection(), request).await?;
    if !store::delete(&mut act, Subject::Node(node.id), &grant).await? {
        return Err(Error::not_found("grant", format!("{} {} {}", node.name, grant.action, grant.words)));
    }
    hub.record(&mut act, op, about("grant.removed", &node, &grant)).await?;
    act.commit().await?;
    hub.streams.recheck(hub, node.id).await
}

/// Gives a person a right.
pub async fn grant_person(op: &Op, hub: &Hub, who: &str, request: &GrantRequest) -> Result<()> {
    access::require(op, GRANT)?;
    let mut act = hub.store.begin().await?;
    let person = people::find(act.connection(), who).await?;
    let grant = resolve(act.connection(), request).await?;
    if store::insert(&mut act, GrantId::new(), Subject::Person(person.id), &grant, op).await? {
        hub.record(&mut act, op, people::about("grant.added", &person, detail(&grant))).await?;
    }
    act.commit().await
}

/// Takes a right from a person; streams that stood on it end.
pub async fn withdraw_person(op: &Op, hub: &Hub, who: &str, request: &GrantRequest) -> Result<()> {
    access::require(op, GRANT)?;
    let mut act = hub.store.begin().await?;
    let person = people::find(act.connection(), who).await?;
    let grant = resolve(act.connection(), request).await?;
    if !store::delete(&mut act, Subject::Person(person.id), &grant).await? {
        return Err(Error::not_found("grant", format!("{} {} {}", person.name, grant.action, grant.words)));
    }
    hub.record(&mut act, op, people::about("grant.removed", &person, detail(&grant))).await?;
    act.commit().await?;
    people::recheck_devices(hub, person.id).await
}

/// The rights of a person.
pub async fn of_person(op: &Op, hub: &Hub, who: &str) -> Result<Vec<Grant>> {
    if !access::require_person(op).is_ok_and(|me| me.id.to_string() == who) {
        access::require(op, people::READ)?;
    }
    let mut reader = hub.store.read().await?;
    let person = people::find(&mut reader, who).await?;
    in_words(&mut reader, Subject::Person(person.id), &person.name).await
}

/// The rights of a node.
pub async fn of_node(reader: &mut AnyConnection, node: &NodeRow) -> Result<Vec<Grant>> {
    in_words(reader, Subject::Node(node.id), &node.name).await
}

async fn in_words(reader: &mut AnyConnection, subject: Subject, name: &str) -> Result<Vec<Grant>> {
    let mut grants = store::of(reader, subject).await?;
    for grant in &mut grants {
        // Scopes are kept by id, since names change; people read names.
        let (id, rest) = match grant.scope.split_once('/') {
            Some((id, target)) => (id.to_owned(), format!(":{target}")),
            None => (grant.scope.clone(), String::new()),
        };
        grant.scope = match id.parse() {
            Ok(id) => match nodes::name_of(reader, id).await? {
                Some(name) => format!("{name}{rest}"),
                None => format!("(a node that is gone){rest}"),
            },
            Err(_) => "*".to_owned(),
        };
        name.clone_into(&mut grant.subject);
    }
    Ok(grants)
}

/// Whether a grant lets a node or a person open a target on another node.
pub async fn may_open(
    reader: &mut AnyConnection,
    subject: Subject,
    node: NodeId,
    target: &Target,
) -> Result<bool> {
    store::allows(reader, subject, "open", node, target).await
}

/// Takes away everything that names a node, which is gone.
pub async fn forget_node(act: &mut Act, node: NodeId) -> Result<()> {
    store::delete_node(act, node).await
}

fn about(action: &'static str, node: &NodeRow, grant: &NewGrant) -> Event {
    Event {
        action,
        object_kind: "node",
        object_id: node.id.to_string(),
        object_name: node.name.clone(),
        detail: detail(grant),
    }
}

fn detail(grant: &NewGrant) -> serde_json::Value {
    json!({ "action": grant.action, "scope": grant.words })
}
