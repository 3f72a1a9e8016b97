//! Who may do what, where: the check with which every service function begins.

mod rights;

pub use self::rights::{NodeRoles, Rights, Roles, Scope};
use super::error::{Error, Result};
use super::op::{Actor, Op};

/// Something that can be done, by the name that the authorization table and the audit log use: `noun.verb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action {
    /// Its name.
    pub name: &'static str,
    /// The roles of which a person needs one.
    pub roles: Roles,
    /// The roles of which a node needs one; with none of them, no node may do it.
    pub nodes: NodeRoles,
}

impl Action {
    /// An action for people who hold one of these roles.
    pub const fn new(name: &'static str, roles: Roles) -> Self {
        Self { name, roles, nodes: NodeRoles::NONE }
    }

    /// The same, for nodes that hold one of these roles too.
    #[must_use]
    pub const fn and_nodes(self, nodes: NodeRoles) -> Self {
        Self { nodes, ..self }
    }

    /// Who may do it, in words.
    pub fn who(&self) -> String {
        if self.nodes == NodeRoles::NONE {
            return self.roles.to_string();
        }
        format!("{}, or a node with the role {}", self.roles, self.nodes)
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Lets whoever may do this everywhere pass: the hub itself, its machine's operator, and people with the right role.
/// What a node may do by its grants is decided where the target is known.
pub fn require(op: &Op, action: Action) -> Result<()> {
    require_in(op, action, &Scope::Everything)
}

/// As [`require`], for one thing.
pub fn require_in(op: &Op, action: Action, scope: &Scope) -> Result<()> {
    if allows(op, action, scope) { Ok(()) } else { Err(refusal(op, action)) }
}

/// As [`require`], for an action whose things are not known yet: lets pass who may do it to at least one thing. The
/// caller then leaves out, or calls not found, what the actor may not see.
pub fn require_somewhere(op: &Op, action: Action) -> Result<()> {
    match &op.actor {
        Actor::Person(person) if person.rights.allows_somewhere(action) => Ok(()),
        _ => require(op, action),
    }
}

/// Whether the actor may do this to one thing.
pub fn allows(op: &Op, action: Action, scope: &Scope) -> bool {
    match &op.actor {
        Actor::Hub(_) | Actor::Operator { .. } => true,
        Actor::Person(person) => person.rights.allows(action, scope),
        Actor::Client(client) => client.may.contains(&action),
        Actor::Node { roles, .. } => action.nodes.meets(*roles),
        Actor::Anonymous => false,
    }
}

/// Who is signed in, for what everybody may do with what is their own.
pub fn require_person(op: &Op) -> Result<&super::op::Person> {
    match &op.actor {
        Actor::Person(person) => Ok(person),
        Actor::Anonymous => Err(Error::Unauthenticated("sign in first".to_owned())),
        other => Err(Error::Forbidden(format!(
            "this is about a person's own account, and {} is none: sign in, or name the person",
            other.name()
        ))),
    }
}

/// Lets everybody pass whom the hub knows, for what somebody may do with what is their own.
pub fn require_somebody(op: &Op) -> Result<()> {
    match &op.actor {
        Actor::Anonymous => Err(Error::Unauthenticated(
            "the hub does not know you: sign in with `nave login`, use the command line on the hub's own machine, or an API token".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn refusal(op: &Op, action: Action) -> Error {
    match &op.actor {
        Actor::Node { name, .. } => {
            if action.nodes == NodeRoles::NONE {
                return Error::Forbidden(format!(
                    "node {name} may not do that ({action}): ask the hub's operator"
                ));
            }
            Error::Forbidden(format!(
                "node {name} may not do that ({action}): it takes the role {}; the hub's operator gives it with `nave node roles {name} …`",
                action.nodes
            ))
        }
        Actor::Person(person) => Error::Forbidden(format!(
            "{} may not do that ({action}): it takes the role {}; ask an administrator of this hub",
            person.name, action.roles
        )),
        Actor::Client(client) => Error::Forbidden(format!(
            "{} may not do that ({action}): the hub's configuration does not let it",
            client.name
        )),
        _ => Error::Unauthenticated(format!(
            "this needs an identity ({action}): sign in with `nave login`, use the command line on the hub's own machine, or an API token"
        )),
    }
}
