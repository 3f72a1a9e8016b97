//! What a provider publishes about itself, its endpoints and its keys: asked for when it is first needed, remembered,
//! and asked for again when it is old or does not fit any more.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode,
    CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::url::Url;
use openidconnect::{AdditionalProviderMetadata, DiscoveryError, IssuerUrl, ProviderMetadata};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::config::is_safe;
use super::error::OidcError;
use super::fetch::{Fetch, FetchError};

/// How long what a provider says about itself is believed.
const GOOD_FOR: Duration = Duration::from_hours(1);
/// How long what was known before is made do with when the provider does not answer.
const GRACE: Duration = Duration::from_secs(30);
/// How long nobody asks a provider that did not answer: whoever waited with the first need not wait as long again.
const PAUSE: Duration = Duration::from_secs(5);
/// How often keys are asked for because a token names an unknown one, which anybody's token can.
const KEYS_EVERY: Duration = Duration::from_secs(30);

/// What a provider publishes about itself, with its keys.
pub(super) type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What other standards than the discovery's own add.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct More {
    /// Where to sign out (OpenID Connect RP-Initiated Logout 1.0).
    pub end_session_endpoint: Option<Url>,
    /// Whether its callbacks name it (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

/// Remembers what one provider publishes.
#[derive(Debug)]
pub(super) struct Directory {
    issuer: IssuerUrl,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    known: Option<Arc<Metadata>>,
    /// Until then nobody asks.
    ask_at: OffsetDateTime,
    keys_asked_at: OffsetDateTime,
}

impl Directory {
    pub(super) fn new(issuer: IssuerUrl) -> Self {
        let long_ago = OffsetDateTime::UNIX_EPOCH;
        Self { issuer, memory: Mutex::new(Memory { known: None, ask_at: long_ago, keys_asked_at: long_ago }) }
    }

    /// What the provider publishes. Many who want it at once ask once.
    pub(super) async fn metadata(
        &self,
        fetch: &Fetch,
        now: OffsetDateTime,
    ) -> Result<Arc<Metadata>, OidcError> {
        let mut memory = self.memory.lock().await;
        if now < memory.ask_at {
            let silent = || OidcError::Unreachable("it did not answer a moment ago".into());
            return memory.known.clone().ok_or_else(silent);
        }
        match (self.discover(fetch).await, &memory.known) {
            (Ok(found), _) => {
                let found = Arc::new(found);
                (memory.known, memory.ask_at) = (Some(Arc::clone(&found)), now + GOOD_FOR);
                Ok(found)
            }
            (Err(error), Some(known)) => {
                let known = Arc::clone(known);
                tracing::warn!(issuer = %*self.issuer, error = error.chain(), "a provider of sign-in does not say how it is; going on with what it said before");
                memory.ask_at = now + GRACE;
                Ok(known)
            }
            (Err(error), None) => {
                if matches!(error, OidcError::Unreachable(_)) {
                    memory.ask_at = now + PAUSE;
                }
                Err(error)
            }
        }
    }

    /// As [`Directory::metadata`], with fresh keys because `stale` lacks one; `None` if it is too early to ask again.
    pub(super) async fn with_fresh_keys(
        &self,
        fetch: &Fetch,
        stale: &Arc<Metadata>,
        now: OffsetDateTime,
    ) -> Result<Option<Arc<Metadata>>, OidcError> {
        let mut memory = self.memory.lock().await;
        if let Some(known) = memory.known.as_ref().filter(|known| !Arc::ptr_eq(known, stale)) {
            return Ok(Some(Arc::clone(known)));
        }
        if now - memory.keys_asked_at < KEYS_EVERY {
            return Ok(None);
        }
        memory.keys_asked_at = now;
        let keys = CoreJsonWebKeySet::fetch_async(stale.jwks_uri(), fetch).await?;
        let fresh = Arc::new(Metadata::clone(stale).set_jwks(keys));
        memory.known = Some(Arc::clone(&fresh));
        Ok(Some(fresh))
    }

    /// What the provider publishes led nowhere: the next one asks again.
    pub(super) async fn doubt(&self, now: OffsetDateTime) {
        let mut memory = self.memory.lock().await;
        if memory.known.is_some() {
            memory.ask_at = now;
        }
    }

    async fn discover(&self, fetch: &Fetch) -> Result<Metadata, OidcError> {
        let found = Metadata::discover_async(self.issuer.clone(), fetch).await?;
        // The browser is sent to these two; the others are looked at when they are asked.
        let sign_out = found.additional_metadata().end_session_endpoint.as_ref();
        for url in [Some(found.authorization_endpoint().url()), sign_out].into_iter().flatten() {
            if !is_safe(url) {
                return Err(FetchError::Unsafe(url.to_string()).into());
            }
        }
        Ok(found)
    }
}

impl From<DiscoveryError<FetchError>> for OidcError {
    fn from(error: DiscoveryError<FetchError>) -> Self {
        match error {
            DiscoveryError::Request(error) => error.into(),
            // The answer itself stays out of the log.
            DiscoveryError::Parse(error) => {
                Self::not_understood(format!("its description at `{}`: {}", error.path(), error.inner()))
            }
            other => Self::not_understood(other.to_string()),
        }
    }
}
