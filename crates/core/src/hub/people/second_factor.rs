//! The second factor: one-time codes of an authenticator app (RFC 6238), and recovery codes for when it is lost.

use aws_lc_rs::digest;
use nave_link::random::Random;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde_json::Value;
use time::OffsetDateTime;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use super::store::{self, PersonRow};
use super::{about, tell_after_commit};
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::mail::Letter;
use crate::hub::op::Op;
use crate::hub::store::Act;
use crate::id::PersonId;

/// Bytes of a seed: what RFC 4226 recommends (section 4, R6).
const SEED: usize = 20;
/// How many recovery codes there are.
const CODES: usize = 10;
/// The letters and digits of recovery codes: none that is taken for another.
const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";

/// What an authenticator app is given.
pub struct Seed {
    /// To type: base32.
    pub text: Zeroizing<String>,
    /// To scan: an `otpauth:` address.
    pub address: Zeroizing<String>,
}

/// The recovery codes of an account, told once.
pub struct RecoveryCodes(pub Vec<Zeroizing<String>>);

/// Gives a person a new seed, which counts once a code of it was shown. One that does not count yet is shown again, so
/// that reloading the page does not outdate what was scanned.
pub async fn seed(hub: &Hub, person: &PersonRow) -> Result<Seed> {
    let totp = match &person.totp_seed {
        Some(sealed) if !person.totp_confirmed => totp(hub, person, &unseal(hub, person.id, sealed).await?)?,
        _ => {
            let seed = SecretSlice::from(hub.random.bytes::<SEED>().to_vec());
            let sealed = hub.sealer.seal(&place(person.id), seed.expose_secret());
            let mut act = hub.store.begin().await?;
            store::set_seed(&mut act, person.id, Some(&sealed)).await?;
            act.commit().await?;
            totp(hub, person, &seed)?
        }
    };
    Ok(Seed {
        text: Zeroizing::new(totp.secret().to_base32()),
        address: Zeroizing::new(totp.to_url().map_err(Error::internal)?),
    })
}

/// Whether a code is right, and was not used before: it is used up by this. A person without a second factor has none
/// that is right.
pub(super) async fn check(hub: &Hub, act: &mut Act, person: &PersonRow, code: &str) -> Result<bool> {
    let Some(sealed) = &person.totp_seed else { return Ok(false) };
    let totp = totp(hub, person, &unseal(hub, person.id, sealed).await?)?;
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let Some(step) = totp.check(&code, seconds(hub.clock.now())) else { return Ok(false) };
    store::use_step(act, person.id, i64::try_from(step).unwrap_or(i64::MAX)).await
}

/// Whether a recovery code is right and unused: it is used up by this.
pub(super) async fn check_recovery(hub: &Hub, act: &mut Act, person: &PersonRow, code: &str) -> Result<bool> {
    let code = normal(code);
    if code.len() > 64 {
        return Ok(false);
    }
    store::use_recovery_code(act, person.id, &hash(&code), hub.clock.now()).await
}

/// Makes the seed count, and gives the person recovery codes.
pub(super) async fn confirm(hub: &Hub, act: &mut Act, person: PersonId) -> Result<RecoveryCodes> {
    store::confirm_seed(act, person).await?;
    new_codes(hub, act, person).await
}

async fn new_codes(hub: &Hub, act: &mut Act, person: PersonId) -> Result<RecoveryCodes> {
    let codes: Vec<Zeroizing<String>> = (0..CODES).map(|_| code(&hub.random)).collect();
    let hashes: Vec<String> = codes.iter().map(|code| hash(&normal(code))).collect();
    store::set_recovery_codes(act, person, &hashes).await?;
    Ok(RecoveryCodes(codes))
}

/// New recovery codes in the place of one's own old ones.
pub async fn renew_codes(op: &Op, hub: &Hub) -> Result<RecoveryCodes> {
    let me = access::require_person(op)?.id;
    let mut act = hub.store.begin().await?;
    let row = super::find(act.connection(), &me.to_string()).await?;
    if !row.totp_confirmed {
        return Err(Error::Conflict("there is no second factor yet: set one up first".to_owned()));
    }
    let codes = new_codes(hub, &mut act, me).await?;
    hub.record(&mut act, op, about("person.recovery_codes_renewed", &row, Value::Null)).await?;
    act.commit().await?;
    Ok(codes)
}

/// How many of one's own recovery codes are left.
pub async fn codes_left(op: &Op, hub: &Hub) -> Result<i64> {
    let me = access::require_person(op)?.id;
    store::recovery_codes_left(&mut *hub.store.read().await?, me).await
}

/// Takes off somebody's second factor, who sets up another at the next sign-in. Every session ends.
pub async fn reset(op: &Op, hub: &Hub, who: &str) -> Result<()> {
    access::require(op, super::RESET)?;
    let mut act = hub.store.begin().await?;
    let row = super::find(act.connection(), who).await?;
    store::set_seed(&mut act, row.id, None).await?;
    store::set_recovery_codes(&mut act, row.id, &[]).await?;
    store::sessions::delete_of(&mut act, row.id, None).await?;
    store::bump(&mut act, row.id, None).await?;
    let letter = Letter::SecondFactorReset { by: &op.actor.name() };
    super::write_to(&mut act, op, hub, &row.email, &letter).await?;
    hub.record(&mut act, op, about("person.second_factor_reset", &row, Value::Null)).await?;
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await
}

fn totp(hub: &Hub, person: &PersonRow, seed: &SecretSlice<u8>) -> Result<Totp> {
    // A colon parts issuer and account in the address, so neither may hold one.
    let host = hub.url.get().map_or("nave", |url| url.host()).replace(':', ".");
    Builder::new()
        .with_secret(seed.expose_secret().to_vec())
        .with_account_name(person.email.replace(':', "."))
        .with_issuer(Some(format!("Nave {host}")))
        .build()
        .map_err(|error| Error::internal(error.to_string()))
}

async fn unseal(hub: &Hub, person: PersonId, sealed: &str) -> Result<SecretSlice<u8>> {
    Ok(hub.sealer.unseal(&place(person), sealed).await?)
}

fn place(person: PersonId) -> String {
    format!("people/totp_seed/{person}")
}

fn seconds(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp()).unwrap_or(0)
}

/// Four groups of four of 32 signs: 80 random bits.
fn code(random: &Random) -> Zeroizing<String> {
    let mut code = Zeroizing::new(String::with_capacity(19));
    for (at, byte) in random.bytes::<16>().into_iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    }
    code
}

/// What people type differently and mean alike.
fn normal(code: &str) -> Zeroizing<String> {
    Zeroizing::new(code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect())
}

fn hash(code: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, code.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_codes_are_long_and_forgive_how_they_are_typed() {
        let random = Random::seeded(7);
        let first = code(&random);
        assert_eq!(first.len(), 19);
        assert_ne!(*first, *code(&random));
        assert_eq!(*normal(&first), *normal(&format!(" {} ", first.to_uppercase().replace('-', " "))));
    }
}
