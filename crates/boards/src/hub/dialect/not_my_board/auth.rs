//! Who a client is by the token that it brings, and what it may do by it: somebody of this hub, with the rights here; or
//! somebody for whom another provider vouches, with what `[boards.not_my_board.auth]` lets them do, which has the form of
//! not-my-board's own `[auth]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nave_core::clock::from_millis;
use nave_core::hub::access::Action;
use nave_core::hub::config::ConfigError;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::op::{Actor, Client};
use nave_core::hub::people::idp::{self, Program};
use nave_core::hub::people::oidc::{Issuer, OidcError, Voucher, unverified};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::hub::config::NotMyBoardConfig;
use crate::hub::{READ, REGISTER, RESERVE};

/// What people of this hub sign in to.
pub(in crate::hub) const PROGRAM: Program = Program {
    id: "not-my-board",
    name: "not-my-board",
    does: "reserve places, and put places of its own into the farm",
    callback: "/oidc-callback",
};

/// `[boards.not_my_board.auth]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthTable {
    /// The provider at which people sign in; this hub, where its own people are let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Issuer>,
    /// What the providers call the farm; `not-my-board`, where this hub's own people are let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// An authority to trust about the providers, instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// What who may do.
    pub permissions: Vec<Permission>,
    /// More about the providers, by their address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub issuers: BTreeMap<Issuer, IssuerTable>,
}

/// `[[boards.not_my_board.auth.permissions]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// What the token must say; a list must be contained in the token's. Without `iss`, the main provider must say it.
    pub claims: Map<String, Value>,
    /// What whoever brings such a token is.
    pub roles: BTreeSet<Role>,
}

/// A role of not-my-board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Offers places.
    Exporter,
    /// Reserves them.
    Importer,
}

/// `[boards.not_my_board.auth.issuers."URL"]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerTable {
    /// The claims that whoever signs in is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_claims: Option<Vec<String>>,
    /// How somebody is called: the first of which every `${claim}` is there.
    pub user_name_formats: Vec<String>,
}

impl Role {
    fn actions(self) -> &'static [Action] {
        match self {
            Self::Exporter => &[REGISTER],
            Self::Importer => &[READ, RESERVE],
        }
    }
}

impl AuthTable {
    /// What cannot be said by the types. `people` is whether this hub's own people sign in.
    pub(in crate::hub) fn check(&self, people: bool) -> Result<(), ConfigError> {
        let bad = |problem: &str| Err(ConfigError::new(format!("boards.not_my_board.auth{problem}")));
        if !people && self.issuer.is_none() {
            return bad(
                " names no issuer: say at which provider people sign in, or let those of this hub sign in with people = true in [boards.not_my_board]",
            );
        }
        if !people && self.client_id.is_none() {
            return bad(" names no client_id: it is what the provider calls the farm");
        }
        if self.issuer.is_none()
            && self.permissions.iter().any(|permission| !permission.claims.contains_key("iss"))
        {
            return bad(
                ".permissions: without an issuer, each must say in claims.iss whose tokens it is about; people of this hub may do here what their roles let them do",
            );
        }
        Ok(())
    }
}

/// Somebody whose token was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) actor: Actor,
    pub(super) expires_at: OffsetDateTime,
}

/// Believes tokens.
#[derive(Debug)]
pub(in crate::hub) struct Auth {
    /// Whether people and machines of this hub sign in.
    people: bool,
    table: Option<AuthTable>,
    /// The other providers whose tokens are believed, by their address.
    vouchers: BTreeMap<String, Voucher>,
}

impl Auth {
    /// `None` where nobody can sign in.
    pub(in crate::hub) fn new(config: &NotMyBoardConfig) -> Result<Option<Self>, ConfigError> {
        let (people, mut table) = (config.people, config.auth.clone());
        if !people && table.is_none() {
            return Ok(None);
        }
        let vouchers = table.as_mut().map(vouchers).transpose()?.unwrap_or_default();
        Ok(Some(Self { people, table, vouchers }))
    }

    /// Whether people and machines of this hub sign in.
    pub(in crate::hub) fn lets_people_in(&self) -> bool {
        self.people
    }

    /// What clients are told of it.
    pub(super) fn info(&self, hub: &Hub) -> Result<Value, Error> {
        let Some((table, issuer)) = self.elsewhere() else {
            return Ok(json!({ "issuer": idp::issuer(hub)?, "client_id": PROGRAM.id }));
        };
        let client_id = table.client_id.as_deref().unwrap_or(PROGRAM.id);
        let mut info = json!({ "issuer": issuer.as_str(), "client_id": client_id });
        let main = table.issuers.get(issuer);
        if let Some(claims) = main.and_then(|issuer| issuer.show_claims.as_ref()) {
            info["show_claims"] = json!(claims);
        }
        Ok(info)
    }

    /// The provider at which people sign in, if that is not this hub.
    fn elsewhere(&self) -> Option<(&AuthTable, &Issuer)> {
        let table = self.table.as_ref()?;
        Some((table, table.issuer.as_ref()?))
    }

    /// Where people sign in, in words.
    pub(in crate::hub) fn told(&self) -> String {
        match (self.people, self.elsewhere()) {
            (false, Some((_, issuer))) => format!("clients sign in at {}", issuer.as_str()),
            (true, Some((_, issuer))) => {
                format!("clients sign in at {}, or as people and machines of this hub", issuer.as_str())
            }
            (_, None) => "clients sign in as people and machines of this hub".to_owned(),
        }
    }

    /// Who brings a token; the error is for whoever brought it.
    pub(super) async fn identify(&self, hub: &Hub, token: &str) -> Result<Identity, String> {
        let claims = unverified(token).ok_or("this is no ID token")?;
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        if self.people && idp::issuer(hub).is_ok_and(|own| own == issuer) {
            let recognized = idp::recognize(hub, PROGRAM, token).await.map_err(|error| {
                if let Error::Internal(source) | Error::Unavailable { source, .. } = &error {
                    tracing::error!(%source, "it cannot be found out who a client is");
                }
                error.message()
            })?;
            return Ok(Identity { actor: recognized.actor, expires_at: recognized.expires_at });
        }
        let voucher = self.vouchers.get(issuer).ok_or_else(|| format!("Unknown issuer: {issuer}"))?;
        let claims = voucher.claims(token, &hub.clock).await.map_err(|error| {
            tracing::info!(issuer, error = error.chain(), "a client's token is not believed");
            match error {
                // The words of the hub that this one stands in for: it is what people search for.
                OidcError::TokenExpired(_) => "Signature has expired".to_owned(),
                other => other.to_string(),
            }
        })?;
        let subject = claims.get("sub").and_then(Value::as_str).ok_or("the token names nobody (sub)")?;
        let expires = claims.get("exp").and_then(Value::as_f64).ok_or("the token never expires (exp)")?;
        let id = format!("{subject}@{issuer}");
        #[expect(clippy::cast_possible_truncation, reason = "a time that does not fit is far away")]
        let expires_at = from_millis((expires * 1000.0) as i64);
        let permissions = self.table.as_ref().map(|table| table.permissions.as_slice()).unwrap_or_default();
        let may = roles(permissions, &claims).into_iter().flat_map(Role::actions).copied().collect();
        let name = self.name(issuer, &claims).unwrap_or_else(|| id.clone());
        let client = Client { dialect: "not-my-board", id, name, may };
        Ok(Identity { actor: Actor::Client(client), expires_at })
    }

    fn name(&self, issuer: &str, claims: &Map<String, Value>) -> Option<String> {
        let table = self.table.as_ref()?.issuers.iter().find(|(known, _)| known.as_str() == issuer)?.1;
        table.user_name_formats.iter().find_map(|format| fill(format, claims))
    }
}

/// The providers that a table names; what it says without naming one is about the main one.
fn vouchers(table: &mut AuthTable) -> Result<BTreeMap<String, Voucher>, ConfigError> {
    let main = table.issuer.as_ref().map(|issuer| issuer.as_str().to_owned());
    let mut trusted: BTreeSet<String> = main.iter().cloned().collect();
    for permission in &mut table.permissions {
        if let Some(main) = &main {
            permission.claims.entry("iss").or_insert_with(|| json!(main));
        }
        trusted.extend(permission.claims.get("iss").and_then(Value::as_str).map(str::to_owned));
    }
    let client_id = table.client_id.as_deref().unwrap_or(PROGRAM.id);
    let vouchers = trusted.into_iter().map(|issuer| {
        let bad = |problem: String| ConfigError::new(format!("boards.not_my_board.auth: {problem}"));
        let parsed = Issuer::try_from(issuer.clone()).map_err(|error| bad(error.to_string()))?;
        let voucher = Voucher::new(&parsed, client_id, table.ca.as_deref());
        Ok((issuer, voucher.map_err(|error| bad(error.to_string()))?))
    });
    vouchers.collect()
}

/// The roles that permissions give by these claims.
fn roles(permissions: &[Permission], claims: &Map<String, Value>) -> BTreeSet<Role> {
    let given = permissions.iter().filter(|permission| {
        permission
            .claims
            .iter()
            .all(|(name, required)| claims.get(name).is_some_and(|said| says(said, required)))
    });
    given.flat_map(|permission| permission.roles.iter().copied()).collect()
}

/// Whether a claim says what is required: of a list, all of it.
fn says(said: &Value, required: &Value) -> bool {
    match (said, required) {
        (Value::Array(said), Value::Array(required)) => required.iter().all(|wanted| said.contains(wanted)),
        (_, Value::Array(_)) => false,
        _ => said == required,
    }
}

/// Puts claims into a text with `${claim}` in it; `None` when one of them is missing.
fn fill(format: &str, claims: &Map<String, Value>) -> Option<String> {
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (name, after) = after.strip_prefix('{')?.split_once('}')?;
        match claims.get(name)? {
            Value::String(text) => out.push_str(text),
            other => out.push_str(&other.to_string()),
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn permission(claims: Value, role: Role) -> Permission {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        Permission { claims, roles: BTreeSet::from([role]) }
    }

    fn given(claims: &Value, permissions: &[Permission]) -> Vec<Role> {
        roles(permissions, claims.as_object().unwrap()).into_iter().collect()
    }

    #[test]
    fn a_list_must_be_contained() {
        let permissions = [permission(json!({ "groups": ["ci", "trusted"] }), Role::Importer)];
        // The first is what 0.13.0 itself gets wrong.
        for (groups, expected) in [
            (json!(["guests"]), false),
            (json!(["ci"]), false),
            (json!(["trusted", "more", "ci"]), true),
            (json!("ci"), false),
            (json!([]), false),
        ] {
            assert_eq!(!given(&json!({ "groups": groups }), &permissions).is_empty(), expected, "{groups}");
        }
    }

    proptest! {
        #[test]
        fn nobody_gets_a_role_without_every_claim(
            required in prop::collection::btree_set(0..5_u8, 0..4),
            said in prop::collection::btree_set(0..5_u8, 0..6),
        ) {
            let permissions = [permission(json!({ "iss": "i", "groups": required }), Role::Exporter)];
            let given = given(&json!({ "iss": "i", "groups": said }), &permissions);
            prop_assert_eq!(!given.is_empty(), required.is_subset(&said));
        }
    }

    #[test]
    fn names_are_filled_in() {
        let claims = json!({ "name": "ann", "n": 5 });
        let claims = claims.as_object().unwrap();
        assert_eq!(fill("${name} ($$${n})", claims).as_deref(), Some("ann ($5)"));
        assert_eq!(fill("${nobody}", claims), None);
        assert_eq!(fill("$name", claims), None);
    }
}
