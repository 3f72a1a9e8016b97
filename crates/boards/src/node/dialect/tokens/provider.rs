//! What is asked of a provider of sign-in (OpenID Connect): where its doors are, tokens for the code that a browser
//! brought, new tokens for old ones. Tokens are believed only if the provider signed them.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::Full;
use nave_core::clock::Clock;
use nave_link::random::Random;
use openidconnect::core::{
    CoreClient, CoreErrorResponseType, CoreProviderMetadata, CoreResponseType, CoreTokenResponse,
};
use openidconnect::{
    AsyncHttpClient, AuthenticationFlow, AuthorizationCode, ClientId, CsrfToken, DiscoveryError,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, StandardErrorResponse, TokenResponse as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::store::Tokens;
use crate::node::dialect::connection::{ConnectionError, HttpClient};

/// How long before its end a token does not count as good any more.
const MARGIN: Duration = Duration::from_secs(5);
/// How far the provider's clock may be ahead or behind.
const LEEWAY: Duration = Duration::from_secs(30);

/// Why a provider gives no tokens.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// It says no.
    #[error("Authentication error: {}", spoken(.error, .description.as_deref()))]
    Refused {
        /// The reason, as the standards call it.
        error: String,
        /// Its words.
        description: Option<String>,
    },
    /// What it says makes no sense, or is not to be believed.
    #[error("the provider of sign-in {provider} cannot be used: {problem}")]
    Nonsense {
        /// Its address.
        provider: String,
        /// What is wrong.
        problem: String,
    },
}

fn spoken(error: &str, description: Option<&str>) -> String {
    description.map_or_else(|| error.to_owned(), |description| format!("{description} ({error})"))
}

impl ProviderError {
    /// Whether only signing in anew helps.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { error, .. } if error == "invalid_grant")
    }
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider, and what it calls whoever asks.
pub(crate) struct Provider {
    address: String,
    client: Client,
    http: HttpClient,
}

/// A sign-in that was begun: where the browser is sent, and what must be known when it comes back.
pub(crate) struct Begun {
    pub(crate) url: String,
    pub(crate) state: String,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

/// Somebody signed in.
pub(crate) struct SignedIn {
    pub(crate) tokens: Tokens,
    /// What the ID token says.
    pub(crate) claims: Map<String, Value>,
}

/// Asks over the network in openidconnect's name.
struct Asking<'a>(&'a HttpClient);

impl<'c> AsyncHttpClient<'c> for Asking<'_> {
    type Error = ConnectionError;
    type Future = BoxFuture<'c, Result<HttpResponse, ConnectionError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        Box::pin(async move { Ok(self.0.send(request).await?.map(Vec::from)) })
    }
}

impl Provider {
    /// Asks a provider where its doors are.
    pub(crate) async fn discover(
        address: &str,
        client_id: &str,
        http: &HttpClient,
    ) -> Result<Self, ProviderError> {
        let nonsense = |problem: String| ProviderError::Nonsense { provider: address.to_owned(), problem };
        let issuer = IssuerUrl::new(address.to_owned()).map_err(|error| nonsense(error.to_string()))?;
        let found = CoreProviderMetadata::discover_async(issuer, &Asking(http)).await;
        let metadata = found.map_err(|error| match error {
            DiscoveryError::Request(error) => error.into(),
            other => nonsense(other.to_string()),
        })?;
        let client = CoreClient::from_provider_metadata(metadata, ClientId::new(client_id.to_owned()), None);
        Ok(Self { address: address.to_owned(), client, http: http.clone() })
    }

    /// Begins a sign-in after which the browser comes back to `back`.
    pub(crate) fn begin(&self, back: &str, random: &Random) -> Result<Begun, ProviderError> {
        let secret = || URL_SAFE_NO_PAD.encode(random.bytes::<32>());
        let verifier = PkceCodeVerifier::new(secret());
        let (state, nonce) = (CsrfToken::new(secret()), Nonce::new(secret()));
        let (url, state, nonce) = self
            .client
            .authorize_url(AuthenticationFlow::<CoreResponseType>::AuthorizationCode, || state, || nonce)
            .add_scopes(["profile", "email", "offline_access"].map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .set_redirect_uri(std::borrow::Cow::Owned(self.redirect(back)?))
            .url();
        Ok(Begun { url: url.to_string(), state: state.into_secret(), nonce, verifier })
    }

    fn redirect(&self, back: &str) -> Result<RedirectUrl, ProviderError> {
        RedirectUrl::new(back.to_owned()).map_err(|error| self.nonsense(error.to_string()))
    }

    /// Fetches tokens for what the browser brought: the query of the address that it came back to.
    pub(crate) async fn finish(
        &self,
        begun: Begun,
        back: &str,
        query: &Value,
        clock: &Clock,
    ) -> Result<SignedIn, ProviderError> {
        let said = |name: &str| query.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(error) = said("error") {
            return Err(ProviderError::Refused { error, description: said("error_description") });
        }
        let code = said("code").ok_or_else(|| self.nonsense("the browser brought no code".to_owned()))?;
        let request = self
            .client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| self.nonsense(error.to_string()))?
            .set_pkce_verifier(begun.verifier)
            .set_redirect_uri(std::borrow::Cow::Owned(self.redirect(back)?));
        let answer = request.request_async(&Asking(&self.http)).await.map_err(|error| self.failed(error))?;
        let token = answer.id_token().ok_or_else(|| self.nonsense("it gave no ID token".to_owned()))?;
        let now = SystemTime::from(clock.now() - LEEWAY);
        let verifier = self
            .client
            .id_token_verifier()
            .set_other_audience_verifier_fn(|_| true)
            .set_time_fn(move || now.into());
        token.claims(&verifier, &begun.nonce).map_err(|error| self.nonsense(error.to_string()))?;
        let tokens = tokens(&answer, None).ok_or_else(|| self.nonsense("it gave no ID token".to_owned()))?;
        let claims = claims(&tokens.id).unwrap_or_default();
        Ok(SignedIn { tokens, claims })
    }

    /// New tokens for old ones.
    async fn refresh(&self, old: &Tokens) -> Result<Tokens, ProviderError> {
        let refresh = RefreshToken::new(old.refresh.expose_secret().to_owned());
        let request =
            self.client.exchange_refresh_token(&refresh).map_err(|error| self.nonsense(error.to_string()))?;
        let answer = request.request_async(&Asking(&self.http)).await.map_err(|error| self.failed(error))?;
        tokens(&answer, Some(old)).ok_or_else(|| self.nonsense("it gave no new ID token".to_owned()))
    }

    fn nonsense(&self, problem: String) -> ProviderError {
        ProviderError::Nonsense { provider: self.address.clone(), problem }
    }

    fn failed(
        &self,
        error: RequestTokenError<ConnectionError, StandardErrorResponse<CoreErrorResponseType>>,
    ) -> ProviderError {
        match error {
            RequestTokenError::Request(error) => error.into(),
            RequestTokenError::ServerResponse(said) => ProviderError::Refused {
                error: said.error().to_string(),
                description: said.error_description().cloned(),
            },
            // The answer itself stays out of the log.
            RequestTokenError::Parse(error, _) => {
                self.nonsense(format!("`{}`: {}", error.path(), error.inner()))
            }
            RequestTokenError::Other(problem) => self.nonsense(problem),
        }
    }
}

/// The tokens of an answer. A provider that gives no new refresh token lets the old one be used again.
fn tokens(answer: &CoreTokenResponse, old: Option<&Tokens>) -> Option<Tokens> {
    let refresh = answer.refresh_token().map(|token| SecretString::from(token.secret().clone()));
    let refresh = refresh.or_else(|| old.map(|old| old.refresh.clone())).unwrap_or_default();
    Some(Tokens { id: answer.id_token()?.to_string().into(), refresh })
}

/// What a token says, whoever signed it.
fn claims(token: &SecretString) -> Option<Map<String, Value>> {
    let payload = token.expose_secret().split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// Whether a token is good for a moment yet.
pub(super) fn is_fresh(token: &SecretString, clock: &Clock) -> bool {
    let ends = claims(token).and_then(|claims| claims.get("exp")?.as_f64());
    #[expect(clippy::cast_precision_loss, reason = "a second of a far day does not matter")]
    ends.is_some_and(|ends| ends > (clock.now() + MARGIN).unix_timestamp() as f64)
}

/// New tokens for old ones, from whoever made those.
pub(super) async fn refresh(old: &Tokens, http: &HttpClient) -> Result<Tokens, ProviderError> {
    let nonsense = |problem: &str| ProviderError::Refused {
        error: "invalid_grant".to_owned(),
        description: Some(problem.to_owned()),
    };
    let claims = claims(&old.id).ok_or_else(|| nonsense("the stored token cannot be read"))?;
    let issuer = claims.get("iss").and_then(Value::as_str);
    let client = match claims.get("aud") {
        Some(Value::Array(list)) => claims.get("azp").or_else(|| list.first()).and_then(Value::as_str),
        said => said.and_then(Value::as_str),
    };
    let (Some(issuer), Some(client)) = (issuer, client) else {
        return Err(nonsense("the stored token does not say who made it"));
    };
    if old.refresh.expose_secret().is_empty() {
        return Err(nonsense("the sign-in has ended"));
    }
    Provider::discover(issuer, client, http).await?.refresh(old).await
}
