//! The token endpoint (RFC 6749, sections 4.1.3 and 6; RFC 7636): a program shows a code or a refresh token, and gets an ID
//! token and the next refresh token. Each is good once: whoever shows one again has stolen it or was stolen from, and
//! ends the sign-in by it.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::super::secret::Secret;
use super::super::store::programs::{self as table, Kind, Shown, SignInRow};
use super::who::{self, Basis};
use super::{Program, id_token, program, redirect_uri};
use crate::hub::context::Hub;
use crate::hub::error::Error;
use crate::hub::op::{Actor, Op, Via};
use crate::hub::store::Act;

/// For how long a refresh token is good that is not used.
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// What a program is given.
#[derive(Serialize)]
pub struct Exchanged {
    /// There has to be one; it opens nothing here.
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    id_token: String,
    refresh_token: String,
}

/// Why a program is given nothing.
#[derive(Debug)]
pub enum NotExchanged {
    /// The request is at fault: the code of RFC 6749, section 5.2, and words for people.
    Refused(&'static str, &'static str),
    /// The hub is.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for NotExchanged {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

const fn spent(words: &'static str) -> NotExchanged {
    NotExchanged::Refused("invalid_grant", words)
}

/// Answers a program that shows a code or a refresh token. It has no secret of its own: what it shows is all that
/// authorizes it.
pub async fn exchange(op: &Op, hub: &Hub, form: &[(String, String)]) -> Result<Exchanged, NotExchanged> {
    hub.wrong_keys.check(op.source)?;
    let one = |name: &str| {
        let mut values = form.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value.unwrap_or_default()),
            _ => Err(NotExchanged::Refused("invalid_request", "a parameter stands in it twice")),
        }
    };
    let (program, _) = program(hub, one("client_id")?)
        .ok_or(NotExchanged::Refused("invalid_client", "this hub knows no such program"))?;
    let exchanged = match one("grant_type")? {
        "authorization_code" => {
            if one("redirect_uri")? != redirect_uri(hub, program)? {
                return Err(spent("the redirect_uri is not that of the code"));
            }
            by_code(op, hub, program, one("code")?, one("code_verifier")?).await
        }
        "refresh_token" => by_refresh_token(op, hub, program, one("refresh_token")?).await,
        _ => {
            let words = "only authorization_code and refresh_token are known here";
            return Err(NotExchanged::Refused("unsupported_grant_type", words));
        }
    };
    if matches!(exchanged, Err(NotExchanged::Refused("invalid_grant", _))) {
        hub.wrong_keys.wrong(op.source);
    }
    exchanged
}

async fn by_code(
    op: &Op,
    hub: &Hub,
    program: Program,
    code: &str,
    verifier: &str,
) -> Result<Exchanged, NotExchanged> {
    let (act, shown, hash) = show(op, hub, program, Kind::Code, code).await?;
    if !proves(verifier, &shown.sign_in.challenge) {
        end(op, hub, act, &shown.sign_in, "a code was shown without its proof").await?;
        return Err(spent("the code_verifier does not fit"));
    }
    let nonce = Some(shown.sign_in.nonce.clone()).filter(|nonce| !nonce.is_empty());
    give(op, hub, program, act, shown.sign_in, &hash, nonce).await
}

async fn by_refresh_token(
    op: &Op,
    hub: &Hub,
    program: Program,
    token: &str,
) -> Result<Exchanged, NotExchanged> {
    let (act, shown, hash) = show(op, hub, program, Kind::Refresh, token).await?;
    give(op, hub, program, act, shown.sign_in, &hash, None).await
}

/// Looks up what a program shows; the act in which it is used up.
async fn show(
    op: &Op,
    hub: &Hub,
    program: Program,
    kind: Kind,
    text: &str,
) -> Result<(Act, Shown, String), NotExchanged> {
    let unknown = || match kind {
        Kind::Code => spent("the code is unknown, was used or came too late: sign in again"),
        Kind::Refresh => spent("the sign-in has ended: sign in again"),
    };
    let secret: Secret = text.parse().map_err(|_| unknown())?;
    let hash = secret.hash();
    let mut act = hub.store.begin().await?;
    let shown = table::by_secret(act.connection(), kind, &hash).await?.ok_or_else(unknown)?;
    if shown.sign_in.program != program.id || shown.expires_at <= op.clock.now() {
        return Err(unknown());
    }
    if shown.used {
        end(op, hub, act, &shown.sign_in, "something was shown a second time that is good once").await?;
        return Err(unknown());
    }
    Ok((act, shown, hash))
}

/// Ends a sign-in that is in wrong hands.
async fn end(op: &Op, hub: &Hub, mut act: Act, row: &SignInRow, why: &str) -> Result<(), NotExchanged> {
    tracing::warn!(program = row.program, sign_in = %row.id, why, "a sign-in was ended");
    table::delete(&mut act, row.id).await?;
    let event = super::sign_ins::about("program.misused", row, &row.program, json!({ "why": why }));
    hub.record(&mut act, op, event).await?;
    super::super::tell_after_commit(&mut act, hub, row.person);
    Ok(act.commit().await?)
}

async fn give(
    op: &Op,
    hub: &Hub,
    program: Program,
    mut act: Act,
    row: SignInRow,
    used: &str,
    nonce: Option<String>,
) -> Result<Exchanged, NotExchanged> {
    let person = super::super::active(act.connection(), row.person).await?;
    let person = person.ok_or(spent("the account is not in use: ask an administrator of the hub"))?;
    let now = op.clock.now();
    let next = Secret::generate(&hub.random);
    table::use_secret(&mut act, row.id, used, now).await?;
    table::add_secret(&mut act, row.id, Kind::Refresh, &next.hash(), now + UNUSED).await?;
    // Making the token may take an act of its own, for a key to sign it with.
    act.commit().await?;
    let actor = Actor::Person(who::acting(&person, Via::Program(row.id)));
    let basis = Basis::Program(row.id);
    let (token, _) = id_token::make(hub, program, &actor, basis, nonce.as_deref()).await?;
    Ok(Exchanged {
        access_token: Secret::generate(&hub.random).reveal().to_string(),
        token_type: "Bearer",
        expires_in: hub.people.settings.id_token.as_secs(),
        id_token: token,
        refresh_token: next.reveal().to_string(),
    })
}

/// Whether a program has what it gave the hash of (RFC 7636, section 4.6).
fn proves(verifier: &str, challenge: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(plain) {
        return false;
    }
    let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(hash));
    subtle::ConstantTimeEq::ct_eq(text.as_bytes(), challenge.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::proves;

    #[test]
    fn a_program_proves_that_it_asked() {
        // The example of RFC 7636, appendix B.
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(proves(verifier, challenge));
        let long = "a".repeat(129);
        for bad in ["", "short", &verifier[1..], &verifier.replace('d', "e"), &long, challenge] {
            assert!(!proves(bad, challenge), "{bad}");
        }
        assert!(!proves(verifier, ""));
    }
}
