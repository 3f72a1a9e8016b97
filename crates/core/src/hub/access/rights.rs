//! What a person may do: roles, where they hold, and what an API token leaves of them. Which action takes which role
//! is said where the action is declared.

use std::fmt;

use super::Action;
use crate::api::{NodeRole, Role};
use crate::id::NodeId;

/// A set of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Roles(u8);

impl Roles {
    /// Everybody who has any role.
    pub const ANY: Self = Self(0b1111);
    /// Those who run machines.
    pub const OPERATORS: Self = Self(0b0011);
    /// Those who work with data.
    pub const RESEARCHERS: Self = Self(0b0101);
    /// Administrators alone.
    pub const ADMINS: Self = Self(0b0001);

    const fn bit(role: Role) -> u8 {
        match role {
            Role::Admin => 0b0001,
            Role::Operator => 0b0010,
            Role::Researcher => 0b0100,
            Role::Viewer => 0b1000,
        }
    }

    /// Whether a role is among them.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & Self::bit(role) != 0
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Role::ALL.into_iter().filter(|role| self.contains(*role)).map(Role::word).collect();
        f.write_str(&names.join(" or "))
    }
}

/// A set of roles of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeRoles(u8);

impl NodeRoles {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    pub const fn of(roles: &[NodeRole]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < roles.len() {
            bits |= Self::bit(roles[at]);
            at += 1;
        }
        Self(bits)
    }

    /// From the words that the store has; a word that this program does not know says nothing.
    pub fn read(words: &[String]) -> Self {
        let known = NodeRole::ALL.into_iter().filter(|role| words.iter().any(|word| word == role.word()));
        Self(known.fold(0, |bits, role| bits | Self::bit(role)))
    }

    const fn bit(role: NodeRole) -> u8 {
        1 << role as u8
    }

    /// The roles, in words.
    pub fn words(self) -> Vec<&'static str> {
        NodeRole::ALL.into_iter().filter(|role| self.0 & Self::bit(*role) != 0).map(NodeRole::word).collect()
    }

    /// Whether a role is in both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for NodeRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" or "))
    }
}

/// Where a role holds, or what an act is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    Everything,
    /// One thing of a kind: a node (a site is one); fleets have kinds of their own.
    One {
        /// The kind: `node`, or a fleet's word.
        kind: &'static str,
        /// Its id.
        id: String,
    },
}

/// The kinds of things in which roles can hold.
pub const KINDS: [&str; 3] = ["node", "project", "group"];

impl Scope {
    /// One node.
    pub fn node(id: NodeId) -> Self {
        Self::One { kind: "node", id: id.to_string() }
    }

    /// As the store has it: the kind and the id.
    pub fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::Everything => ("everything", ""),
            Self::One { kind, id } => (kind, id),
        }
    }

    /// From what the store has; a kind that this program does not know covers nothing.
    pub fn from_columns(kind: &str, id: &str) -> Option<Self> {
        if kind == "everything" {
            return Some(Self::Everything);
        }
        KINDS.into_iter().find(|known| *known == kind).map(|kind| Self::One { kind, id: id.to_owned() })
    }

    /// Whether what holds here holds there too.
    pub fn covers(&self, other: &Self) -> bool {
        *self == Self::Everything || self == other
    }
}

/// What a person may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    held: Vec<(Role, Scope)>,
    ceiling: Option<(Role, Scope)>,
}

impl Rights {
    /// The rights of somebody who holds these roles.
    pub fn new(held: Vec<(Role, Scope)>) -> Self {
        Self { held, ceiling: None }
    }

    /// What is left of them in the hands of an API token: no more than a role may, there.
    #[must_use]
    pub fn under(mut self, role: Role, scope: Scope) -> Self {
        self.ceiling = Some((role, scope));
        self
    }

    /// The roles with where they hold.
    pub fn held(&self) -> &[(Role, Scope)] {
        &self.held
    }

    /// The role beyond which an API token does not go, if they are in the hands of one.
    pub fn ceiling(&self) -> Option<Role> {
        self.ceiling.as_ref().map(|(role, _)| *role)
    }

    /// Whether they allow an action on one thing.
    pub fn allows(&self, action: Action, scope: &Scope) -> bool {
        let below = self
            .ceiling
            .as_ref()
            .is_none_or(|(role, ceiling)| action.roles.contains(*role) && ceiling.covers(scope));
        below && self.held.iter().any(|(role, held)| action.roles.contains(*role) && held.covers(scope))
    }

    /// Whether they allow an action on at least one thing.
    pub fn allows_somewhere(&self, action: Action) -> bool {
        let meet = |held: &Scope| match &self.ceiling {
            None => true,
            Some((role, ceiling)) => {
                action.roles.contains(*role) && (ceiling.covers(held) || held.covers(ceiling))
            }
        };
        self.held.iter().any(|(role, held)| action.roles.contains(*role) && meet(held))
    }

    /// Whether somebody with these rights is an administrator of the whole hub.
    pub fn is_admin(&self) -> bool {
        self.held.contains(&(Role::Admin, Scope::Everything))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope() -> impl Strategy<Value = Scope> {
        prop_oneof![
            Just(Scope::Everything),
            (0..3_u8).prop_map(|id| Scope::One { kind: "node", id: id.to_string() }),
            (0..3_u8).prop_map(|id| Scope::One { kind: "project", id: id.to_string() }),
        ]
    }

    fn role() -> impl Strategy<Value = Role> {
        prop::sample::select(Role::ALL.to_vec())
    }

    fn action() -> impl Strategy<Value = Action> {
        prop::sample::select(vec![Roles::ANY, Roles::OPERATORS, Roles::RESEARCHERS, Roles::ADMINS])
            .prop_map(|roles| Action::new("thing.do", roles))
    }

    proptest! {
        #[test]
        fn a_token_never_adds_to_what_its_owner_may(
            held in prop::collection::vec((role(), scope()), 0..4),
            ceiling in (role(), scope()),
            action in action(),
            on in scope(),
        ) {
            let owner = Rights::new(held);
            let token = owner.clone().under(ceiling.0, ceiling.1.clone());
            if token.allows(action, &on) {
                prop_assert!(owner.allows(action, &on));
                prop_assert!(action.roles.contains(ceiling.0) && ceiling.1.covers(&on));
                prop_assert!(token.allows_somewhere(action));
            }
        }

        #[test]
        fn a_role_in_one_scope_reaches_no_other(role in role(), held in scope(), on in scope(), action in action()) {
            let rights = Rights::new(vec![(role, held.clone())]);
            prop_assert_eq!(rights.allows(action, &on), action.roles.contains(role) && held.covers(&on));
        }
    }

    #[test]
    fn roles_are_told_in_words() {
        assert_eq!(Roles::OPERATORS.to_string(), "admin or operator");
        assert_eq!(Roles::ADMINS.to_string(), "admin");
        assert!(!Rights::default().allows_somewhere(Action::new("thing.do", Roles::ANY)));
    }
}
