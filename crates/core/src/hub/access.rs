//! Who may do what, where: the check with which every service function begins.

use super::error::{Error, Result};
use super::op::{Actor, Op};

/// Something that can be done, by the name that grants and the authorization table use: `noun.verb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action(pub &'static str);

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// Lets the hub itself and its machine's operator do anything, and everybody else nothing. What a node may do by its
/// grants is decided where the scope is known.
pub fn require(op: &Op, action: Action) -> Result<()> {
    match &op.actor {
        Actor::Hub(_) | Actor::Operator { .. } => Ok(()),
        Actor::Node { name, .. } => {
            Err(Error::Forbidden(format!("node {name} may not do that ({action}): ask the hub's operator")))
        }
        Actor::Anonymous => Err(Error::Unauthenticated(format!(
            "this needs an identity ({action}): use the command line on the hub's own machine, or a node's key"
        ))),
    }
}
