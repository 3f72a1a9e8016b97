//! This hub as a provider of sign-in (OpenID Connect Core 1.0): people sign in with their account here into the one
//! program that the configuration names, and programs get ID tokens that say for whom they act. As much of the protocol
//! as that takes: the code flow with PKCE, refresh tokens that are good once, one kind of client, which has no secret.
//!
//! What a token says is looked up again whenever it is shown here: a right that is taken away is gone, however long
//! the token would still be good.

mod asked;
mod exchange;
mod id_token;
mod keys;
mod sign_ins;
mod who;

use serde_json::{Value, json};

pub use self::asked::{Asked, Refusal, agree, decline, fault, look};
pub use self::exchange::{Exchanged, NotExchanged, exchange};
pub use self::id_token::{Recognized, issue, recognize};
pub use self::keys::SigningKeys;
pub use self::sign_ins::{end, list};
pub use self::who::renewed;
use super::super::access;
use super::super::context::Hub;
use super::super::error::{Error, Result};
use super::super::fleet::Fleet;
use super::super::op::Op;
use super::store;

/// A program into which people can sign in with their account here: a public client of OAuth 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its `client_id`.
    pub id: &'static str,
    /// As people call it.
    pub name: &'static str,
    /// What it does in the name of whoever signs in, as in "could then …".
    pub does: &'static str,
    /// The path of this hub to which a browser comes back.
    pub callback: &'static str,
}

/// The program of that `client_id`, if the configuration lets people sign in to it, with the fleet that it belongs to.
fn program<'a>(hub: &'a Hub, id: &str) -> Option<(Program, &'a dyn Fleet)> {
    let programs = hub.fleets.iter().filter_map(|fleet| Some((fleet.program()?, fleet.as_ref())));
    programs.into_iter().find(|(program, _)| program.id == id)
}

/// Whether there is anything to sign in to.
pub fn is_on(hub: &Hub) -> bool {
    hub.fleets.iter().any(|fleet| fleet.program().is_some())
}

/// How this hub is called in what it vouches for.
pub fn issuer(hub: &Hub) -> Result<String> {
    let url = hub.url.get().ok_or_else(|| Error::Conflict("the hub does not listen yet".to_owned()))?;
    Ok(format!("{url}/oidc"))
}

/// Where a browser comes back to.
fn redirect_uri(hub: &Hub, program: Program) -> Result<String> {
    let url = hub.url.get().ok_or_else(|| Error::Conflict("the hub does not listen yet".to_owned()))?;
    Ok(format!("{url}{}", program.callback))
}

/// What this hub says about itself as a provider (OpenID Connect Discovery 1.0, section 3).
pub fn description(hub: &Hub) -> Result<Value> {
    let issuer = issuer(hub)?;
    Ok(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported":
            ["iss", "sub", "aud", "exp", "iat", "nonce", "sid", "name", "preferred_username", "email", "roles"],
        "request_uri_parameter_supported": false,
    }))
}

/// The keys by which what this hub signed can be checked.
pub async fn published_keys(hub: &Hub) -> Result<Value> {
    hub.people.signing.published(hub).await
}

/// Forgets what has ended: codes, refresh tokens, sign-ins without any, keys that nothing good is signed with.
pub async fn forget_ended(op: &Op, hub: &Hub) -> Result<u64> {
    access::require(op, super::RESET)?;
    let now = hub.clock.now();
    let mut act = hub.store.begin().await?;
    // A day's grace: who comes late with what was used before is still noticed.
    let mut gone = store::programs::delete_ended(&mut act, now - std::time::Duration::from_hours(24)).await?;
    gone += store::signing_keys::delete_old(&mut act, keys::oldest(now)).await?;
    act.commit().await?;
    Ok(gone)
}
