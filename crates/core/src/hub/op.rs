//! `Op`: who asks, from where, under which request, by which clock. Every service function takes one first.

use std::net::IpAddr;
use std::sync::Arc;

use super::access::{Action, NodeRoles, Rights};
use crate::clock::Clock;
use crate::id::{NodeId, PersonId, RequestId, SessionId, SignInId, TokenId};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The hub itself; the text names the job.
    Hub(&'static str),
    /// Whoever reached the hub's own socket on its own machine: root or the owner of the data folder.
    Operator {
        /// The Unix user id that the kernel reported.
        uid: u32,
    },
    /// A node, recognised by its key.
    Node {
        /// Which node.
        id: NodeId,
        /// Its name when it connected.
        name: String,
        /// What it is for.
        roles: NodeRoles,
    },
    /// A person.
    Person(Person),
    /// A program that a dialect let in, as the configuration says: no account of this hub.
    Client(Client),
    /// Nobody that the hub knows (yet).
    Anonymous,
}

/// A person who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub id: PersonId,
    /// Its name at that time.
    pub name: String,
    /// What it may do, by the way it came.
    pub rights: Arc<Rights>,
    /// The way it came.
    pub via: Via,
}

/// A program that a dialect let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The dialect.
    pub dialect: &'static str,
    /// Who it is, the same on each of its connections: whoever vouches for it and the name there, or its address.
    pub id: String,
    /// How people call it.
    pub name: String,
    /// What the configuration lets it do.
    pub may: Vec<Action>,
}

/// How a person proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A session in a browser.
    Session(SessionId),
    /// An API token.
    Token(TokenId),
    /// The key of a device, which is a node that acts for its person.
    Device(NodeId),
    /// An ID token that a program got by its sign-in.
    Program(SignInId),
}

/// The context of one operation.
#[derive(Clone, Debug)]
pub struct Op {
    /// Who asks.
    pub actor: Actor,
    /// The address it came from, unmapped; `None` inside the hub and on its own socket.
    pub source: Option<IpAddr>,
    /// Follows the operation from the edge through the log to the audit row.
    pub request: RequestId,
    /// Tells the time.
    pub clock: Clock,
}

impl Op {
    /// An operation of the hub itself.
    pub fn hub(job: &'static str, clock: Clock) -> Self {
        Self { actor: Actor::Hub(job), source: None, request: RequestId::new(), clock }
    }
}

impl Actor {
    /// The kind, as the audit log writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hub(_) => "hub",
            Self::Operator { .. } => "operator",
            Self::Node { .. } => "node",
            Self::Person(_) => "person",
            Self::Client(_) => "client",
            Self::Anonymous => "anonymous",
        }
    }

    /// The identifier within the kind, as the audit log writes it.
    pub fn id(&self) -> String {
        match self {
            Self::Hub(job) => (*job).to_owned(),
            Self::Operator { uid } => uid.to_string(),
            Self::Node { id, .. } => id.to_string(),
            Self::Person(person) => person.id.to_string(),
            Self::Client(client) => format!("{} {}", client.dialect, client.id),
            Self::Anonymous => String::new(),
        }
    }

    /// The name that a person reads.
    pub fn name(&self) -> String {
        match self {
            Self::Hub(job) => format!("hub ({job})"),
            Self::Operator { uid } => format!("operator (uid {uid})"),
            Self::Node { name, .. } => name.clone(),
            Self::Person(person) => person.name.clone(),
            Self::Client(client) => client.name.clone(),
            Self::Anonymous => "anonymous".to_owned(),
        }
    }
}
