//! ID tokens: making one for whoever acts, and recognising who brings one.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::super::oidc::{self, OidcError};
use super::who::{self, Basis};
use super::{Program, description, issuer, program, published_keys};
use crate::api::{IdToken, IdTokenRequest};
use crate::clock::from_millis;
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::{Actor, Op};

/// Who brought an ID token.
#[derive(Clone, Debug)]
pub struct Recognized {
    /// Who, with the rights of now.
    pub actor: Actor,
    /// When the token ends.
    pub expires_at: OffsetDateTime,
}

/// Makes an ID token for whoever asks, to show to a program that would else have to sign in.
pub async fn issue(op: &Op, hub: &Hub, request: &IdTokenRequest) -> Result<IdToken> {
    access::require_somebody(op)?;
    let (program, _) = program(hub, &request.program).ok_or_else(|| {
        Error::Conflict(format!(
            "nobody can sign in to {:?} with an account of this hub: for not-my-board, set people = true in [boards.not_my_board]",
            request.program
        ))
    })?;
    let basis = Basis::of(&op.actor).ok_or_else(|| {
        Error::Forbidden(format!(
            "ID tokens are for command lines of people and for nodes, and {} is none: on the hub's own machine, `nave login` and then name the hub with --hub",
            op.actor.name()
        ))
    })?;
    let (token, expires_at) = make(hub, program, &op.actor, basis, None).await?;
    Ok(IdToken { token, expires_at })
}

/// Signs what a program may know of whoever acts.
pub(super) async fn make(
    hub: &Hub,
    program: Program,
    actor: &Actor,
    basis: Basis,
    nonce: Option<&str>,
) -> Result<(String, OffsetDateTime)> {
    let key = hub.people.signing.current(hub).await?;
    let mut claims = who::claims(&mut *hub.store.read().await?, actor).await?;
    let now = hub.clock.now().unix_timestamp();
    let life = i64::try_from(hub.people.settings.id_token.as_secs()).unwrap_or(i64::MAX);
    let ends = now.saturating_add(life);
    claims.insert("iss".to_owned(), json!(issuer(hub)?));
    // One text and no list: not-my-board asks for its next token with what stands here.
    claims.insert("aud".to_owned(), json!(program.id));
    claims.insert("iat".to_owned(), json!(now));
    claims.insert("exp".to_owned(), json!(ends));
    claims.insert("sid".to_owned(), json!(basis.text()));
    if let Some(nonce) = nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    Ok((key.sign(&Value::Object(claims))?, from_millis(ends.saturating_mul(1000))))
}

/// Who brings an ID token of this hub, made for this program.
///
/// # Errors
///
/// [`Error::Unauthenticated`] with the reason, for whoever brought it.
pub async fn recognize(hub: &Hub, program: Program, token: &str) -> Result<Recognized> {
    let (about, keys) = (description(hub)?, published_keys(hub).await?);
    let claims = oidc::checked(about, keys, program.id, token, hub.clock.now()).map_err(|error| {
        tracing::info!(error = error.chain(), "an ID token of this hub is not believed");
        match error {
            OidcError::TokenExpired(_) => Error::Unauthenticated("Signature has expired".to_owned()),
            other => Error::Unauthenticated(format!("the ID token is none of this hub's: {other}")),
        }
    })?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let ends = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    let found = match Basis::read(text("sid")) {
        Some(basis) => basis.actor(&mut *hub.store.read().await?, program.id, hub.clock.now()).await?,
        None => None,
    };
    // What stands behind a node can pass to somebody else only by a defect; a token never does.
    let actor = found.filter(|actor| actor.id() == text("sub")).ok_or_else(|| {
        Error::Unauthenticated(
            "what the ID token came about by has ended, or the account is not in use: sign in again"
                .to_owned(),
        )
    })?;
    Ok(Recognized { actor, expires_at: from_millis(ends.saturating_mul(1000)) })
}
