//! ID tokens that programs bring by themselves: whether one is believed, and what it says. How the program came by it, and
//! what it may do by it, is not known here.

use std::path::Path;
use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::{ClientId, IssuerUrl};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::config::Issuer;
use super::discovery::{Directory, Metadata};
use super::error::OidcError;
use super::fetch::{Fetch, FetchSetupError};
use super::verify::{Expected, IdToken};
use crate::clock::Clock;

/// A provider whose tokens are believed.
#[derive(Debug)]
pub struct Voucher {
    client_id: ClientId,
    fetch: Fetch,
    directory: Directory,
}

/// Why a provider cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("{issuer}: {reason}")]
pub struct VoucherError {
    issuer: String,
    reason: String,
}

impl Voucher {
    /// A provider that calls this hub by `client_id`; with `ca`, only certificates of that authority are believed. Asks
    /// nobody yet.
    pub fn new(issuer: &Issuer, client_id: &str, ca: Option<&Path>) -> Result<Self, VoucherError> {
        let bad = |reason: String| VoucherError { issuer: issuer.as_str().to_owned(), reason };
        let url = IssuerUrl::new(issuer.as_str().to_owned()).map_err(|error| bad(error.to_string()))?;
        let fetch = Fetch::new(url.url(), ca).map_err(|error: FetchSetupError| bad(error.to_string()))?;
        Ok(Self { client_id: ClientId::new(client_id.to_owned()), fetch, directory: Directory::new(url) })
    }

    /// Everything that a token says, if it is believed.
    pub async fn claims(&self, token: &str, clock: &Clock) -> Result<Map<String, Value>, OidcError> {
        let now = clock.now();
        let parsed = IdToken::from_str(token).map_err(OidcError::not_understood)?;
        let metadata = self.directory.metadata(&self.fetch, now).await?;
        let expected = Expected {
            metadata: &metadata,
            client_id: &self.client_id,
            nonce: None,
            access_token: None,
            now,
        };
        let fresh = if expected.lacks_key_of(&parsed) {
            self.directory.with_fresh_keys(&self.fetch, &metadata, now).await?
        } else {
            None
        };
        let metadata = fresh.as_ref().unwrap_or(&metadata);
        Expected { metadata, ..expected }.check(&parsed)?;
        // Word by word, since permissions compare them: the checked form has lost how some were written.
        unverified(token).ok_or_else(|| OidcError::not_understood("its claims are no object"))
    }
}

/// Everything that a token says, if it is believed by what its provider publishes: `about` is what stands at its
/// `openid-configuration`, `keys` its key set.
pub fn checked(
    about: Value,
    keys: Value,
    client_id: &str,
    token: &str,
    now: OffsetDateTime,
) -> Result<Map<String, Value>, OidcError> {
    let parsed = IdToken::from_str(token).map_err(OidcError::not_understood)?;
    let metadata: Metadata = serde_json::from_value(about).map_err(OidcError::not_understood)?;
    let metadata = metadata.set_jwks(serde_json::from_value(keys).map_err(OidcError::not_understood)?);
    let client_id = ClientId::new(client_id.to_owned());
    let expected =
        Expected { metadata: &metadata, client_id: &client_id, nonce: None, access_token: None, now };
    expected.check(&parsed)?;
    unverified(token).ok_or_else(|| OidcError::not_understood("its claims are no object"))
}

/// What a token says of itself, before anybody has checked it: good for finding out whom to ask.
pub fn unverified(token: &str) -> Option<Map<String, Value>> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}
