//! The library's client in the shape that the hub uses, and what its errors mean.

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AuthType, Client as AnyClient, ClientId, ClientSecret, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, RequestTokenError, StandardErrorResponse,
    StandardTokenResponse, SubjectIdentifier, UserInfoClaims, UserInfoError,
};

use super::claims::Claims;
use super::discovery::Metadata;
use super::error::OidcError;
use super::fetch::{Fetch, FetchError};
use super::verify::OtherClaims;

/// What a provider's token endpoint answers.
pub(super) type TokenAnswer = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type TokenRefusal = StandardErrorResponse<CoreErrorResponseType>;

/// Asks a provider's endpoints.
pub(super) type Client = AnyClient<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    TokenRefusal,
    TokenAnswer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A client for what a provider publishes.
pub(super) fn client(metadata: &Metadata, id: ClientId, secret: Option<ClientSecret>) -> Client {
    let client = Client::from_provider_metadata(metadata.clone(), id, secret);
    // A provider that names no methods knows the first one.
    match metadata.token_endpoint_auth_methods_supported() {
        Some(methods) if !methods.contains(&CoreClientAuthMethod::ClientSecretBasic) => {
            client.set_auth_type(AuthType::RequestBody)
        }
        _ => client,
    }
}

/// What a provider says of somebody beside the ID token.
pub(super) async fn user_info(
    client: &Client,
    fetch: &Fetch,
    token: &AccessToken,
    subject: &str,
) -> Result<Claims, OidcError> {
    // The library puts it into a header and trusts that it can.
    if http::HeaderValue::from_str(token.secret()).is_err() {
        return Err(OidcError::not_understood("its access token cannot stand in a header"));
    }
    let subject = SubjectIdentifier::new(subject.to_owned());
    let request = client.user_info(token.clone(), Some(subject)).map_err(OidcError::not_understood)?;
    let told: UserInfoClaims<OtherClaims, CoreGenderClaim> = request.request_async(fetch).await?;
    Claims::of(&told).map_err(OidcError::not_understood)
}

impl From<RequestTokenError<FetchError, TokenRefusal>> for OidcError {
    fn from(error: RequestTokenError<FetchError, TokenRefusal>) -> Self {
        use CoreErrorResponseType as Refusal;
        match error {
            RequestTokenError::Request(error) => error.into(),
            // What stands in the answer is secret, so only the place is told.
            RequestTokenError::Parse(error, _) => Self::not_understood(format!(
                "its token endpoint's answer cannot be read at `{}`",
                error.path()
            )),
            RequestTokenError::ServerResponse(refusal) => {
                let cause = refusal.to_string().into();
                match refusal.error() {
                    Refusal::InvalidGrant => Self::CodeSpent(cause),
                    Refusal::InvalidClient | Refusal::UnauthorizedClient => Self::HubRefused(cause),
                    _ => Self::NotUnderstood(cause),
                }
            }
            RequestTokenError::Other(what) => Self::not_understood(what),
        }
    }
}

impl From<UserInfoError<FetchError>> for OidcError {
    fn from(error: UserInfoError<FetchError>) -> Self {
        match error {
            UserInfoError::Request(error) => error.into(),
            UserInfoError::ClaimsVerification(error) => error.into(),
            UserInfoError::Response(status, _, what) => {
                Self::not_understood(format!("its userinfo endpoint answers with {status}: {what}"))
            }
            UserInfoError::Parse(error) => Self::not_understood(format!(
                "its userinfo endpoint's answer cannot be read at `{}`",
                error.path()
            )),
            UserInfoError::Other(what) => Self::not_understood(what),
            other => Self::not_understood(other.to_string()),
        }
    }
}
