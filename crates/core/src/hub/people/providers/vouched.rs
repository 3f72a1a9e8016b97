//! Sessions that a provider vouches for: its tokens are kept with them, sealed; it is asked again now and then; and
//! signing out there ends them there too.

use std::sync::Arc;

use openidconnect::url::Url;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{account, is_due, on_its_word};
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::op::Op;
use crate::hub::people::oidc::{MappedRoles, OidcError, Provider, Refreshed, Tokens, Who};
use crate::hub::people::store;
use crate::hub::people::store::sessions::{self as table, SessionRow};
use crate::hub::people::{self, about, tell_after_commit};
use crate::hub::store::Act;
use crate::id::SessionId;

fn place(session: SessionId) -> String {
    format!("sessions/tokens/{session}")
}

/// Keeps what a provider gave with a session.
pub(super) async fn keep(act: &mut Act, hub: &Hub, session: SessionId, tokens: &Tokens) -> Result<()> {
    let sealed = hub.sealer.seal(&place(session), tokens.reveal().as_bytes());
    table::set_tokens(act, session, &sealed).await
}

/// What a provider gave with a session.
async fn kept(hub: &Hub, session: &SessionRow) -> Result<Option<Tokens>> {
    let Some(sealed) = &session.tokens else { return Ok(None) };
    let opened = hub.sealer.unseal(&place(session.id), sealed).await?;
    let text = std::str::from_utf8(opened.expose_secret()).map_err(Error::internal)?;
    Tokens::parse(text).map(Some).map_err(Error::internal)
}

/// Where a browser goes to be signed out at the provider too, if there is such a place. To be asked before the session
/// ends, for its tokens end with it.
pub async fn sign_out_url(op: &Op, hub: &Hub, session: &SessionRow) -> Result<Option<String>> {
    let provider = session.provider.as_deref().and_then(|name| hub.people.providers.get(name).ok());
    let (Some(provider), Some(tokens), Some(base)) = (provider, kept(hub, session).await?, hub.url.get())
    else {
        return Ok(None);
    };
    let home: Url = format!("{base}/").parse().map_err(Error::internal)?;
    Ok(provider.sign_out_url(&tokens, &home, &op.clock).await.map(Into::into))
}

/// How a round of asking went.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    asked: usize,
    ended: usize,
    failed: usize,
}

/// Asks the providers again about the sessions whose time has come. Returns what came of it, in words.
pub async fn refresh_all(op: &Op, hub: &Arc<Hub>) -> Result<String> {
    access::require(op, people::RESET)?;
    let sessions = table::vouched_for(&mut *hub.store.read().await?).await?;
    let mut silent: Vec<&str> = Vec::new();
    let mut round = Round::default();
    for session in &sessions {
        let name = session.provider.as_deref().unwrap_or_default();
        let Ok(provider) = hub.people.providers.get(name) else {
            end(op, hub, session, "its provider is not in the configuration any more").await?;
            round.ended += 1;
            continue;
        };
        let tokens = match kept(hub, session).await {
            Ok(Some(tokens)) => tokens,
            Ok(None) => continue,
            Err(error) => {
                // One that cannot be read must not keep the others from being asked for.
                tracing::warn!(session = %session.id, %error, "a session's tokens cannot be read");
                round.failed += 1;
                continue;
            }
        };
        if tokens.refresh.is_none() || !is_due(tokens.expires_at, op.clock.now()) || silent.contains(&name) {
            continue;
        }
        round.asked += 1;
        match refresh(op, hub, provider, session, &tokens).await {
            Ok(true) => {}
            Ok(false) => round.ended += 1,
            Err(error) => {
                let words = error.chain();
                tracing::warn!(provider = name, session = %session.id, error = words, "a provider was asked again in vain");
                round.failed += 1;
                if matches!(error, OidcError::Unreachable(_)) {
                    silent.push(provider.name());
                }
            }
        }
    }
    let Round { asked, ended, failed } = round;
    Ok(format!("{asked} asked for, {ended} ended, {failed} without an answer"))
}

/// Whether the session still stands.
async fn refresh(
    op: &Op,
    hub: &Hub,
    provider: &Provider,
    session: &SessionRow,
    tokens: &Tokens,
) -> Result<bool, OidcError> {
    let own = |error: Error| OidcError::Here(error.into());
    let person = session.person;
    let mut reader = hub.store.read().await.map_err(own)?;
    let subject = store::subject_at(&mut reader, provider.issuer(), person).await.map_err(own)?;
    drop(reader);
    let Some(subject) = subject else {
        end(op, hub, session, "the account does not belong to the provider any more").await.map_err(own)?;
        return Ok(false);
    };
    match provider.refresh(tokens, &subject, &op.clock).await? {
        Refreshed::Stands { who, tokens } => {
            renew(op, hub, session, who.as_ref(), &tokens).await.map_err(own)?;
            Ok(true)
        }
        Refreshed::Ended(reason) => {
            end(op, hub, session, &reason.chain()).await.map_err(own)?;
            Ok(false)
        }
    }
}

/// New tokens, and the roles that the provider's word gives today.
async fn renew(op: &Op, hub: &Hub, session: &SessionRow, who: Option<&Who>, tokens: &Tokens) -> Result<()> {
    let mut act = hub.store.begin().await?;
    keep(&mut act, hub, session.id, tokens).await?;
    let mut changed = false;
    if let Some(MappedRoles::Exactly(roles)) = who.map(|who| &who.roles) {
        let row = people::find(act.connection(), &session.person.to_string()).await?;
        changed = account::set_roles(&mut act, &on_its_word(op), hub, &row, roles).await?;
    }
    if changed {
        tell_after_commit(&mut act, hub, session.person);
    }
    act.commit().await?;
    if changed { people::recheck_devices(hub, session.person).await } else { Ok(()) }
}

async fn end(op: &Op, hub: &Hub, session: &SessionRow, reason: &str) -> Result<()> {
    let mut act = hub.store.begin().await?;
    let row = people::find(act.connection(), &session.person.to_string()).await?;
    table::delete(&mut act, session.id).await?;
    let detail = json!({ "session": session.id.to_string(), "provider": session.provider, "reason": reason });
    hub.record(&mut act, &on_its_word(op), about("person.session_ended", &row, detail)).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await
}
