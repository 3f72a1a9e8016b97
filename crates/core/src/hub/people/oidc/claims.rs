//! What a provider says of somebody, and what the hub makes of it: an address, a name, roles. Whether the provider
//! really said it is decided in `verify`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::OidcTable;
use super::error::OidcError;
use crate::api::RoleHeld;
use crate::hub::people::{check_email, check_name};

/// The longest path to a claim, in bytes.
const LONGEST_PATH: usize = 200;
/// The longest subject (OpenID Connect Core 1.0, section 2), in bytes.
const LONGEST_SUBJECT: usize = 255;
/// How much of a name is kept, in characters: what a person's name may have here.
const LONGEST_NAME: usize = 100;

/// Where a claim stands: its name, or names with dots between them where objects stand in one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimPath(Cow<'static, str>);

/// A text that names no claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this names no claim: write its name, or names with dots between them, as in \"realm_access.roles\"")]
pub struct NotAClaim;

impl ClaimPath {
    /// A claim that the standard names.
    pub(super) const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl FromStr for ClaimPath {
    type Err = NotAClaim;

    fn from_str(text: &str) -> Result<Self, NotAClaim> {
        let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '{' | '}');
        if text.is_empty() || text.len() > LONGEST_PATH || text.contains(strange) {
            return Err(NotAClaim);
        }
        Ok(Self(Cow::Owned(text.to_owned())))
    }
}

impl TryFrom<String> for ClaimPath {
    type Error = NotAClaim;

    fn try_from(text: String) -> Result<Self, NotAClaim> {
        text.parse()
    }
}

impl From<ClaimPath> for String {
    fn from(path: ClaimPath) -> Self {
        path.0.into_owned()
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that a provider says of somebody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// From JSON: an object.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(Self)
    }

    /// What something stands for that was read from an answer already.
    pub(super) fn of(read: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_value(read).and_then(serde_json::from_value).map(Self)
    }

    /// Nothing but whom it is about.
    pub(super) fn subject(subject: &str) -> Self {
        Self(Map::from_iter([("sub".to_owned(), subject.into())]))
    }

    /// Whom it is about.
    pub(super) fn about(&self) -> &str {
        self.0.get("sub").and_then(Value::as_str).unwrap_or_default()
    }

    /// Adds what is missing here.
    pub(super) fn complete(&mut self, other: Self) {
        for (name, value) in other.0 {
            self.0.entry(name).or_insert(value);
        }
    }

    /// What stands there. A name may have dots itself, as those that are web addresses have.
    fn find(&self, path: &ClaimPath) -> Option<&Value> {
        find(&self.0, &path.0)
    }

    /// A claim as text, if it is one that can be.
    pub(super) fn text(&self, path: &ClaimPath) -> Option<String> {
        self.find(path).and_then(text).filter(|text| !text.is_empty())
    }

    /// Whether a claim is that value, or a list with it.
    fn holds(&self, path: &ClaimPath, wanted: &str) -> bool {
        match self.find(path) {
            Some(Value::Array(list)) => list.iter().any(|value| text(value).as_deref() == Some(wanted)),
            Some(value) => text(value).as_deref() == Some(wanted),
            None => false,
        }
    }
}

fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        path.match_indices('.').find_map(|(dot, _)| {
            let inner = claims.get(&path[..dot])?.as_object()?;
            find(inner, &path[dot + 1..])
        })
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Who signed in, by the word of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Which provider, by its issuer address.
    pub issuer: String,
    /// Who, at that provider: never given to anybody else.
    pub subject: String,
    /// The mail address.
    pub email: String,
    /// Whether an account with this address is this person's: the provider says that it checked the address, or the
    /// operator said that it need not say so.
    pub verified: bool,
    /// The name for people.
    pub name: String,
    /// The roles.
    pub roles: MappedRoles,
}

/// What a provider's word means for roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappedRoles {
    /// These and no others: the rules decide, at every sign-in.
    Exactly(Vec<RoleHeld>),
    /// There are no rules: roles are given on the hub, and somebody new begins with this one.
    FirstOne(Option<RoleHeld>),
}

impl OidcTable {
    /// Whether claims are missing that are wanted here.
    pub(super) fn wants_more_than(&self, claims: &Claims) -> bool {
        let verified = self.require_verified_email.then_some(&EMAIL_VERIFIED);
        let rules = self.roles.iter().map(|rule| &rule.claim);
        let mut wanted = rules.chain(self.name.claims()).chain([&self.email_claim]).chain(verified);
        wanted.any(|path| claims.find(path).is_none())
    }

    /// Who somebody is by the provider's claims.
    pub fn who(&self, claims: &Claims) -> Result<Who, OidcError> {
        let subject = claims.about();
        if subject.is_empty() || subject.len() > LONGEST_SUBJECT {
            return Err(OidcError::not_understood("the claim `sub` must be a text of 1 to 255 bytes"));
        }
        let said = claims.text(&EMAIL_VERIFIED);
        let verified = match said.as_deref() {
            Some("true") => true,
            None => !self.require_verified_email,
            Some(_) => false,
        };
        if self.require_verified_email && !verified {
            return Err(OidcError::NoEmail);
        }
        let email = claims.text(&self.email_claim).ok_or(OidcError::NoEmail)?;
        let email = check_email(&email).map_err(|_| OidcError::NoEmail)?;
        Ok(Who {
            issuer: self.issuer.as_str().to_owned(),
            subject: subject.to_owned(),
            email: email.to_owned(),
            verified,
            name: self.display_name(claims, email),
            roles: self.mapped_roles(claims)?,
        })
    }

    /// By the template; where that comes to nothing, by what the person is called there, and last by the address.
    fn display_name(&self, claims: &Claims, email: &str) -> String {
        let filled = Some(self.name.fill(claims));
        let user_name = claims.text(&ClaimPath::known("preferred_username"));
        [filled, user_name]
            .into_iter()
            .flatten()
            .map(|name| name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect::<String>())
            .find_map(|name| check_name(&name).map(ToOwned::to_owned).ok())
            .unwrap_or_else(|| email.chars().take(LONGEST_NAME).collect())
    }

    fn mapped_roles(&self, claims: &Claims) -> Result<MappedRoles, OidcError> {
        let default = self.default_role.map(|role| RoleHeld { role, scope: "*".to_owned() });
        if self.roles.is_empty() {
            return Ok(MappedRoles::FirstOne(default));
        }
        let mut roles: Vec<RoleHeld> = Vec::new();
        for rule in self.roles.iter().filter(|rule| claims.holds(&rule.claim, &rule.value)) {
            let held = RoleHeld { role: rule.role, scope: rule.scope.clone() };
            if !roles.contains(&held) {
                roles.push(held);
            }
        }
        if roles.is_empty() {
            roles.extend(default);
        }
        if roles.is_empty() { Err(OidcError::NoRole) } else { Ok(MappedRoles::Exactly(roles)) }
    }
}

static EMAIL_VERIFIED: ClaimPath = ClaimPath::known("email_verified");

#[cfg(test)]
mod tests;
