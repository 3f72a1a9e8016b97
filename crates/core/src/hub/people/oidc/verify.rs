//! Whether an ID token is believed: signature, issuer, audience, nonce, time (OpenID Connect Core 1.0, section 3.1.3.7).

use std::time::{Duration, SystemTime};

use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, ClientId, IdToken as AnyIdToken, IdTokenClaims,
    IdTokenVerifier, Nonce, NonceVerifier as _, SignatureVerificationError,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::claims::Claims;
use super::discovery::Metadata;
use super::error::OidcError;

/// How far two clocks may be apart.
const LEEWAY: Duration = Duration::from_mins(1);
/// What providers may sign with: public keys only, so that no secret of the hub makes a token.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 7] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The claims that the standard does not name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct OtherClaims(serde_json::Map<String, serde_json::Value>);

impl AdditionalClaims for OtherClaims {}

pub(super) type IdToken =
    AnyIdToken<OtherClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// What tokens are checked against.
pub(super) struct Expected<'a> {
    /// The provider.
    pub metadata: &'a Metadata,
    /// This hub, as the provider calls it.
    pub client_id: &'a ClientId,
    /// What the hub sent along; after a refresh nothing is expected.
    pub nonce: Option<&'a Nonce>,
    /// What came with the token, if anything did.
    pub access_token: Option<&'a AccessToken>,
    /// The time.
    pub now: OffsetDateTime,
}

impl Expected<'_> {
    fn verifier(&self) -> CoreIdTokenVerifier<'static> {
        let (issuer, keys) = (self.metadata.issuer().clone(), self.metadata.jwks().clone());
        let earliest_end = SystemTime::from(self.now - LEEWAY);
        IdTokenVerifier::new_public_client(self.client_id.clone(), issuer, keys)
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || earliest_end.into())
            // Others may read the token too if the provider says that it was made for this hub: see `audience`.
            .set_other_audience_verifier_fn(|_| true)
    }

    /// Whether the token is signed with a key that the provider has not published, or had not when it was asked.
    pub(super) fn lacks_key_of(&self, token: &IdToken) -> bool {
        matches!(token.signing_key(&self.verifier()), Err(SignatureVerificationError::NoMatchingKey))
    }

    /// The claims of a token that is believed.
    pub(super) fn check(&self, token: &IdToken) -> Result<Claims, OidcError> {
        let verifier = self.verifier();
        let claims = token.claims(&verifier, |said: Option<&Nonce>| match self.nonce {
            Some(nonce) => nonce.verify(said),
            None => Ok(()),
        })?;
        self.check_party(claims)?;
        if let (Some(said), Some(access_token)) = (claims.access_token_hash(), self.access_token) {
            let key: &CoreJsonWebKey = token.signing_key(&verifier)?;
            let hash = AccessTokenHash::from_token(access_token, token.signing_alg()?, key);
            if hash.map_err(|error| OidcError::BadSignature(error.into()))? != *said {
                return Err(OidcError::BadSignature("at_hash is not that of the access token".into()));
            }
        }
        Claims::of(claims).map_err(OidcError::not_understood)
    }

    /// A token for several names the one it was made for.
    fn check_party(&self, claims: &IdTokenClaims<OtherClaims, CoreGenderClaim>) -> Result<(), OidcError> {
        match claims.authorized_party() {
            Some(party) if party == self.client_id => Ok(()),
            None if claims.audiences().len() == 1 => Ok(()),
            party => {
                let party = party.map_or("nobody", |party| party.as_str());
                Err(OidcError::WrongAudience(format!("the token was made for {party} (azp)").into()))
            }
        }
    }
}
