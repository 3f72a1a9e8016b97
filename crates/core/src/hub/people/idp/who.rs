//! For whom a program acts, in a token and out of it again: the person or the node, and the way by which the token came
//! about, with which it ends.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sqlx::AnyConnection;
use time::OffsetDateTime;

use super::super::store::{self, PersonRow};
use super::Program;
use crate::api::NodeStatus;
use crate::hub::access::Scope;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::nodes;
use crate::hub::op::{Actor, Person, Via};
use crate::id::{NodeId, SignInId, TokenId};

/// What a token came about by, as its claim `sid` says: when that ends, so does what the token is worth here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// A sign-in in a program.
    Program(SignInId),
    /// An API token.
    Token(TokenId),
    /// A node, or a device, which is one that acts for its person.
    Node(NodeId),
}

impl Basis {
    pub(super) fn text(self) -> String {
        match self {
            Self::Program(id) => format!("program:{id}"),
            Self::Token(id) => format!("token:{id}"),
            Self::Node(id) => format!("node:{id}"),
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once(':')?;
        match kind {
            "program" => id.parse().ok().map(Self::Program),
            "token" => id.parse().ok().map(Self::Token),
            "node" => id.parse().ok().map(Self::Node),
            _ => None,
        }
    }

    /// By what somebody acts; `None` for whoever gets no token.
    pub(super) fn of(actor: &Actor) -> Option<Self> {
        match actor {
            Actor::Node { id, .. } => Some(Self::Node(*id)),
            Actor::Person(person) => match person.via {
                Via::Device(id) => Some(Self::Node(id)),
                Via::Token(id) => Some(Self::Token(id)),
                Via::Program(id) => Some(Self::Program(id)),
                Via::Session(_) => None,
            },
            _ => None,
        }
    }

    /// Who acts by it now; `None` when it has ended, or whose it was may not act any more.
    pub(super) async fn actor(
        self,
        reader: &mut AnyConnection,
        program: &str,
        now: OffsetDateTime,
    ) -> Result<Option<Actor>> {
        match self {
            Self::Node(id) => {
                let row = nodes::store::by_id(reader, id).await?;
                let Some(row) = row.filter(|row| row.status == NodeStatus::Active) else { return Ok(None) };
                match nodes::actor(reader, &row).await {
                    // A device whose person may not act any more.
                    Err(Error::Forbidden(_)) => Ok(None),
                    actor => actor.map(Some),
                }
            }
            Self::Token(id) => {
                let row = store::tokens::by_id(reader, id).await?.filter(|row| row.expires_at > now);
                let Some(row) = row else { return Ok(None) };
                let person = super::super::active(reader, row.person).await?;
                Ok(person.map(|person| {
                    let rights = person.rights().under(row.role, row.scope);
                    Actor::Person(Person { rights: Arc::new(rights), ..acting(&person, Via::Token(id)) })
                }))
            }
            Self::Program(id) => {
                let row = store::programs::by_id(reader, id).await?.filter(|row| row.program == program);
                let Some(row) = row else { return Ok(None) };
                let person = super::super::active(reader, row.person).await?;
                Ok(person.map(|person| Actor::Person(acting(&person, Via::Program(id)))))
            }
        }
    }
}

pub(super) fn acting(person: &PersonRow, via: Via) -> Person {
    Person { id: person.id, name: person.name.clone(), rights: Arc::new(person.rights()), via }
}

/// Whoever brought an ID token, with the rights that it has by now; `None` when it may not act any more.
pub async fn renewed(hub: &Hub, program: Program, actor: &Actor) -> Result<Option<Actor>> {
    let Some(basis) = Basis::of(actor) else { return Ok(None) };
    basis.actor(&mut *hub.store.read().await?, program.id, hub.clock.now()).await
}

/// What a token says of whoever acts.
pub(super) async fn claims(reader: &mut AnyConnection, actor: &Actor) -> Result<Map<String, Value>> {
    let said = match actor {
        Actor::Person(person) => {
            let row = store::by_id(reader, person.id).await?;
            let row = row.ok_or_else(|| Error::not_found("person", person.id.to_string()))?;
            let everywhere = row.roles.iter().filter(|(_, scope)| *scope == Scope::Everything);
            let roles: Vec<&str> = everywhere.map(|(role, _)| role.word()).collect();
            json!({
                "sub": row.id.to_string(),
                "name": row.name,
                "preferred_username": row.email,
                "email": row.email,
                "roles": roles,
            })
        }
        Actor::Node { id, name, roles } => {
            json!({
                "sub": id.to_string(),
                "name": name,
                "preferred_username": name,
                "roles": roles.words(),
            })
        }
        other => return Err(Error::Forbidden(format!("{} gets no ID token", other.name()))),
    };
    match said {
        Value::Object(said) => Ok(said),
        _ => Ok(Map::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_came_about_by_survives_its_text() {
        for basis in
            [Basis::Program(SignInId::new()), Basis::Token(TokenId::new()), Basis::Node(NodeId::new())]
        {
            assert_eq!(Basis::read(&basis.text()), Some(basis));
        }
        for bad in ["", "node", "node:", "node:x", "session:0190a0a0-0000-7000-8000-000000000000"] {
            assert_eq!(Basis::read(bad), None, "{bad}");
        }
    }
}
