//! Why a sign-in at a provider failed, for two readers: the text is for the person in front of the browser, the source
//! chain for the log.

use openidconnect::{ClaimsVerificationError, SignatureVerificationError};

use super::fetch::FetchError;
use crate::hub::error::Error;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a sign-in at a provider failed.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// It does not answer, or is out of order.
    #[error(
        "the provider of sign-in cannot be reached at the moment: try again in a minute, or sign in another way"
    )]
    Unreachable(#[source] Cause),
    /// It answers, but not as it should.
    #[error(
        "the provider of sign-in answered in a way that the hub does not understand: tell the hub's operator"
    )]
    NotUnderstood(#[source] Cause),
    /// It knows the hub under another name or secret, or not at all.
    #[error("the provider of sign-in does not accept this hub: tell the hub's operator")]
    HubRefused(#[source] Cause),
    /// The person, or a rule of the provider, said no.
    #[error("the sign-in was refused at the provider: start again if that was not meant")]
    Denied(#[source] Cause),
    /// The code was used before, or came too late.
    #[error("this sign-in took too long, or its answer was used already: start again")]
    CodeSpent(#[source] Cause),
    /// The token was too old when it arrived.
    #[error(
        "the provider's answer had expired already: start again; if that does not help, a clock is wrong: tell the hub's operator"
    )]
    TokenExpired(#[source] Cause),
    /// The token is for somebody else.
    #[error("the provider's answer is meant for another service: tell the hub's operator")]
    WrongAudience(#[source] Cause),
    /// The answer is another provider's.
    #[error(
        "the answer came from another provider than was asked: start again, and tell the hub's operator if that happens twice"
    )]
    WrongIssuer(#[source] Cause),
    /// The token belongs to another sign-in.
    #[error("the provider's answer belongs to another sign-in: start again")]
    WrongNonce(#[source] Cause),
    /// The token is not signed by the provider.
    #[error("the signature of the provider's answer is not right: tell the hub's operator")]
    BadSignature(#[source] Cause),
    /// The provider does not vouch for an address.
    #[error(
        "the provider of sign-in vouches for no mail address of yours: confirm your address there, then start again"
    )]
    NoEmail,
    /// No rule matches.
    #[error(
        "your account at the provider of sign-in has no role on this hub: ask an administrator of this hub to let you in"
    )]
    NoRole,
    /// Not the provider, but the hub.
    #[error("the hub failed; its log has the details")]
    Here(#[source] Cause),
}

impl OidcError {
    pub(super) fn not_understood(what: impl Into<Cause>) -> Self {
        Self::NotUnderstood(what.into())
    }

    /// What the log should say: this error and everything below it.
    pub fn chain(&self) -> String {
        let mut words = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            words.push_str(": ");
            words.push_str(&cause.to_string());
            source = cause.source();
        }
        words
    }
}

impl From<FetchError> for OidcError {
    fn from(error: FetchError) -> Self {
        if error.is_garbage() { Self::NotUnderstood(error.into()) } else { Self::Unreachable(error.into()) }
    }
}

impl From<ClaimsVerificationError> for OidcError {
    fn from(error: ClaimsVerificationError) -> Self {
        use ClaimsVerificationError as E;
        match error {
            E::Expired(_) => Self::TokenExpired(error.into()),
            E::InvalidAudience(_) => Self::WrongAudience(error.into()),
            E::InvalidIssuer(_) => Self::WrongIssuer(error.into()),
            E::InvalidNonce(_) => Self::WrongNonce(error.into()),
            E::SignatureVerification(cause) => cause.into(),
            _ => Self::NotUnderstood(error.into()),
        }
    }
}

impl From<SignatureVerificationError> for OidcError {
    fn from(error: SignatureVerificationError) -> Self {
        Self::BadSignature(error.into())
    }
}

impl From<OidcError> for Error {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::Unreachable(source) => Self::Unavailable { what: "the provider of sign-in", source },
            OidcError::Here(source) => Self::Internal(source),
            other => Self::Forbidden(other.to_string()),
        }
    }
}
