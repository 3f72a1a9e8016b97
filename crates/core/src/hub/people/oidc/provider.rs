//! One provider of sign-in: sending somebody there, making sense of what comes back, asking again later, and signing
//! out there.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nave_link::random::Random;
use nave_link::secret_file::{SecretFileError, read_private};
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow};
use openidconnect::url::Url;
use openidconnect::{
    AccessToken, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, Scope,
    TokenResponse as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::callback::{Answer, Callback};
use super::claims::{Claims, Who};
use super::client::{Client, TokenAnswer, client, user_info};
use super::config::OidcTable;
use super::discovery::{Directory, Metadata};
use super::error::OidcError;
use super::fetch::{Fetch, FetchSetupError};
use super::tokens::Tokens;
use super::verify::{Expected, IdToken};
use crate::clock::Clock;

/// After how long a provider is asked again, if not earlier: that long somebody may stay who has no account there any
/// more.
const LONGEST_LIFE: Duration = Duration::from_hours(1);

/// One provider of sign-in.
pub struct Provider {
    name: String,
    table: OidcTable,
    client_id: ClientId,
    fetch: Fetch,
    directory: Directory,
}

/// Why a provider cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("people.oidc.{provider}: {reason}")]
pub struct SetupError {
    provider: String,
    #[source]
    reason: SetupReason,
}

#[derive(Debug, thiserror::Error)]
enum SetupReason {
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error(transparent)]
    Fetch(#[from] FetchSetupError),
    #[error(transparent)]
    Issuer(#[from] openidconnect::url::ParseError),
}

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where to send the browser.
    pub url: Url,
    /// What is needed when it comes back; sealed until then.
    pub pending: Pending,
}

/// What is needed when a browser comes back from a provider.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    state: CsrfToken,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    redirect_uri: RedirectUrl,
}

/// A sign-in that is complete.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who signed in.
    pub who: Who,
    /// What to keep as long as the session.
    pub tokens: Tokens,
}

/// What a provider says when it is asked again.
#[derive(Debug)]
pub enum Refreshed {
    /// The person still is somebody there.
    Stands {
        /// Who; a provider may have nothing to say about that.
        who: Option<Who>,
        /// What to keep in the place of what was kept before.
        tokens: Tokens,
    },
    /// The session is over.
    Ended(OidcError),
}

impl Pending {
    /// Which sign-in the provider's answer must name.
    pub fn state(&self) -> &str {
        self.state.secret()
    }
}

impl Provider {
    /// As a table describes it. Asks nobody: a provider may be down while the hub starts.
    pub fn new(name: &str, table: OidcTable) -> Result<Self, SetupError> {
        let prepare = || -> Result<_, SetupReason> {
            let issuer = IssuerUrl::new(table.issuer.as_str().to_owned())?;
            if let Some(file) = &table.client_secret_file {
                read_private(file, None)?;
            }
            Ok((Fetch::new(issuer.url(), table.ca.as_deref())?, Directory::new(issuer)))
        };
        let (fetch, directory) =
            prepare().map_err(|reason| SetupError { provider: name.to_owned(), reason })?;
        let client_id = ClientId::new(table.client_id.clone());
        Ok(Self { name: name.to_owned(), table, client_id, fetch, directory })
    }

    /// The name of its table, which stands in addresses.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn issuer(&self) -> &str {
        self.table.issuer.as_str()
    }

    /// What people call it.
    pub fn label(&self) -> &str {
        self.table.label.as_deref().unwrap_or(&self.name)
    }

    /// Whether somebody who has no account here gets one.
    pub fn allows_new(&self) -> bool {
        self.table.allow_new
    }

    /// Sends somebody there; `redirect_uri` is where they come back to.
    pub async fn begin(
        &self,
        redirect_uri: &Url,
        random: &Random,
        clock: &Clock,
    ) -> Result<Begun, OidcError> {
        let metadata = self.directory.metadata(&self.fetch, clock.now()).await?;
        let client = self.client(&metadata)?;
        let secret = || URL_SAFE_NO_PAD.encode(random.bytes::<32>());
        let (state, nonce) = (CsrfToken::new(secret()), Nonce::new(secret()));
        let verifier = PkceCodeVerifier::new(secret());
        let redirect_uri = RedirectUrl::from_url(redirect_uri.clone());
        let mut request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce)
            .set_redirect_uri(Cow::Borrowed(&redirect_uri))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in self.table.scopes.iter().filter(|scope| *scope != "openid") {
            // OpenID Connect Core 1.0, section 11: it is not given without.
            if scope == "offline_access" {
                request = request.add_prompt(CoreAuthPrompt::Consent);
            }
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        Ok(Begun { url, pending: Pending { state, nonce, verifier, redirect_uri } })
    }

    /// Makes sense of what a provider sent back. That `pending` belongs to the callback's state, and to this browser, is
    /// the caller's to know.
    pub async fn finish(
        &self,
        pending: Pending,
        callback: &Callback,
        clock: &Clock,
    ) -> Result<SignedIn, OidcError> {
        let now = clock.now();
        let metadata = self.directory.metadata(&self.fetch, now).await?;
        check_issuer(&metadata, callback)?;
        let code = match &callback.answer {
            Answer::Code(code) => AuthorizationCode::new(code.expose_secret().to_owned()),
            Answer::Refusal { error, description } => return Err(refusal(error, description)),
        };
        let client = self.client(&metadata)?.set_redirect_uri(pending.redirect_uri);
        let request = client.exchange_code(code).map_err(OidcError::not_understood)?;
        let request = request.set_pkce_verifier(pending.verifier);
        let answer = self.sure(request.request_async(&self.fetch).await.map_err(Into::into), now).await?;
        let missing =
            || OidcError::not_understood("there is no id_token in its answer: is `openid` among the scopes?");
        let token = answer.id_token().ok_or_else(missing)?;
        let mut claims =
            self.checked(&metadata, token, Some(&pending.nonce), answer.access_token(), now).await?;
        self.complete(&client, &mut claims, answer.access_token()).await?;
        Ok(SignedIn { who: self.table.who(&claims)?, tokens: tokens(&answer, None, now) })
    }

    /// Asks again about somebody who signed in as `subject`.
    pub async fn refresh(&self, kept: &Tokens, subject: &str, clock: &Clock) -> Result<Refreshed, OidcError> {
        let Some(refresh) = &kept.refresh else {
            return Ok(Refreshed::Stands { who: None, tokens: kept.clone() });
        };
        let now = clock.now();
        let metadata = self.directory.metadata(&self.fetch, now).await?;
        let client = self.client(&metadata)?;
        let refresh = RefreshToken::new(refresh.expose_secret().to_owned());
        let request = client.exchange_refresh_token(&refresh).map_err(OidcError::not_understood)?;
        let answer = match self.sure(request.request_async(&self.fetch).await.map_err(Into::into), now).await
        {
            Err(spent @ OidcError::CodeSpent(_)) => return Ok(Refreshed::Ended(spent)),
            answer => answer?,
        };
        let mut claims = match answer.id_token() {
            Some(token) => self.checked(&metadata, token, None, answer.access_token(), now).await?,
            None => Claims::subject(subject),
        };
        if claims.about() != subject {
            return Err(OidcError::not_understood("the refreshed token is about somebody else"));
        }
        let told =
            self.complete(&client, &mut claims, answer.access_token()).await? || answer.id_token().is_some();
        let who = match told.then(|| self.table.who(&claims)).transpose() {
            Err(ended @ (OidcError::NoRole | OidcError::NoEmail)) => return Ok(Refreshed::Ended(ended)),
            who => who?,
        };
        Ok(Refreshed::Stands { who, tokens: tokens(&answer, Some(kept), now) })
    }

    /// Where to send the browser so that it is signed out at the provider too; `None` where the provider has no such
    /// place, or does not say so at the moment.
    pub async fn sign_out_url(&self, kept: &Tokens, return_to: &Url, clock: &Clock) -> Option<Url> {
        let metadata = self.directory.metadata(&self.fetch, clock.now()).await.ok()?;
        let mut url = metadata.additional_metadata().end_session_endpoint.clone()?;
        url.query_pairs_mut()
            .append_pair("id_token_hint", kept.id_token.expose_secret())
            .append_pair("client_id", &self.client_id)
            .append_pair("post_logout_redirect_uri", return_to.as_str());
        Some(url)
    }

    fn client(&self, metadata: &Metadata) -> Result<Client, OidcError> {
        let secret = match &self.table.client_secret_file {
            // Read each time, so that a new secret needs no new start of the hub.
            Some(file) => {
                let text = read_private(file, None).map_err(|error| OidcError::HubRefused(error.into()))?;
                Some(ClientSecret::new(text.trim().to_owned()))
            }
            None => None,
        };
        Ok(client(metadata, self.client_id.clone(), secret))
    }

    /// Looks anew at what the provider publishes where its endpoints led nowhere.
    async fn sure<T>(&self, answer: Result<T, OidcError>, now: OffsetDateTime) -> Result<T, OidcError> {
        if let Err(OidcError::Unreachable(_) | OidcError::NotUnderstood(_)) = &answer {
            self.directory.doubt(now).await;
        }
        answer
    }

    /// The claims of a token that is believed, perhaps by keys that are newer than what was known.
    async fn checked(
        &self,
        metadata: &Arc<Metadata>,
        token: &IdToken,
        nonce: Option<&Nonce>,
        access_token: &AccessToken,
        now: OffsetDateTime,
    ) -> Result<Claims, OidcError> {
        let access_token = Some(access_token);
        let expected = Expected { metadata, client_id: &self.client_id, nonce, access_token, now };
        if expected.lacks_key_of(token)
            && let Some(fresh) = self.directory.with_fresh_keys(&self.fetch, metadata, now).await?
        {
            return Expected { metadata: &fresh, ..expected }.check(token);
        }
        expected.check(token)
    }

    /// Asks the provider for the claims that are missing, if there is where to ask. Whether it did.
    async fn complete(
        &self,
        client: &Client,
        claims: &mut Claims,
        token: &AccessToken,
    ) -> Result<bool, OidcError> {
        if client.user_info_url().is_none() || !self.table.wants_more_than(claims) {
            return Ok(false);
        }
        let more = user_info(client, &self.fetch, token, claims.about()).await?;
        claims.complete(more);
        Ok(true)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("issuer", &self.table.issuer)
            .finish_non_exhaustive()
    }
}

/// RFC 9207: so that no other provider's answer is taken for this one's.
fn check_issuer(metadata: &Metadata, callback: &Callback) -> Result<(), OidcError> {
    match &callback.issuer {
        Some(issuer) if issuer == metadata.issuer().as_str() => Ok(()),
        None if !metadata.additional_metadata().authorization_response_iss_parameter_supported => Ok(()),
        other => Err(OidcError::WrongIssuer(format!("iss is {other:?} in the callback").into())),
    }
}

/// A refusal that comes through the browser (RFC 6749, section 4.1.2.1).
fn refusal(error: &str, description: &str) -> OidcError {
    let cause = format!("it says {error:?} {description:?}").into();
    match error {
        "server_error" | "temporarily_unavailable" => OidcError::Unreachable(cause),
        "unauthorized_client" | "invalid_request" | "invalid_scope" | "unsupported_response_type" => {
            OidcError::HubRefused(cause)
        }
        _ => OidcError::Denied(cause),
    }
}

fn tokens(answer: &TokenAnswer, kept: Option<&Tokens>, now: OffsetDateTime) -> Tokens {
    let own = |text: &str| SecretString::from(text);
    let life = answer.expires_in().unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE);
    let id_token = answer.id_token().map(|token| own(&token.to_string()));
    Tokens {
        refresh: answer
            .refresh_token()
            .map(|token| own(token.secret()))
            .or_else(|| kept.and_then(|kept| kept.refresh.clone())),
        id_token: id_token.or_else(|| kept.map(|kept| kept.id_token.clone())).unwrap_or_default(),
        expires_at: now + life,
    }
}
