//! Signing in for a hub of not-my-board: the browser goes to the hub's provider of sign-in and comes back to the hub, which
//! passes on what it brought to whoever waits; tokens are then fetched from the provider and kept.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::clock::Clock;
use nave_link::random::Random;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::HubClient;
use super::tokens::provider::{Begun, Provider};
use super::tokens::{ProviderError, TokenError, TokenStore};
use crate::not_my_board::channel::{CallError, Channel, Methods, Outcome};
use crate::not_my_board::message::{Failure, Params};

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// There is nothing to sign in for.
    #[error("the hub at {0} needs no sign-in: it lets everybody in, or tells by the address")]
    NotNeeded(String),
    /// The hub does not pass on what the browser brings.
    #[error("the hub at {hub} does not take part in the sign-in: {words}")]
    Hub {
        /// Its address.
        hub: String,
        /// Its words.
        words: String,
    },
    /// The provider, or the file for tokens.
    #[error(transparent)]
    Tokens(#[from] TokenError),
}

impl From<ProviderError> for LoginError {
    fn from(error: ProviderError) -> Self {
        Self::Tokens(error.into())
    }
}

/// A sign-in under way.
pub struct Login {
    hub: HubClient,
    store: TokenStore,
    provider: Provider,
    begun: Begun,
    show: Option<Vec<String>>,
    answer: JoinHandle<Result<Value, CallError>>,
    _connection: DropGuard,
}

/// Hears that the hub waits for the browser.
struct Waiting(Notify);

impl Methods for Waiting {
    fn call(&self, _: Channel, method: String, _: Params) -> BoxFuture<'static, Result<Outcome, Failure>> {
        let known = method == "oidc_callback_registered";
        if known {
            self.0.notify_one();
        }
        async move { if known { Ok(Value::Null.into()) } else { Err(Failure::no_method()) } }.boxed()
    }
}

impl Login {
    /// Begins a sign-in. The hub waits for the browser from here on.
    ///
    /// # Errors
    ///
    /// When tokens could not be kept, or hub or provider do not take part.
    pub async fn begin(hub: HubClient, store: TokenStore, random: &Random) -> Result<Self, LoginError> {
        store.prepare()?;
        let info = hub.auth_info().await.map_err(TokenError::from)?;
        let said = |name: &str| info.get(name).and_then(Value::as_str);
        let (Some(issuer), Some(client_id)) = (said("issuer"), said("client_id")) else {
            return Err(LoginError::NotNeeded(hub.address().to_owned()));
        };
        let provider = Provider::discover(issuer, client_id, hub.http()).await?;
        let begun = provider.begin(&back(&hub), random)?;
        let waiting = Arc::new(Waiting(Notify::new()));
        let stop = CancellationToken::new();
        let talk = hub.talk(Arc::<Waiting>::clone(&waiting), stop.clone()).await;
        let (channel, _) = talk.map_err(TokenError::from)?;
        let connection = stop.drop_guard();
        let params = json!([begun.state]);
        let mut answer =
            tokio::spawn(async move { channel.call("get_authentication_response", params).await });
        tokio::select! {
            () = waiting.0.notified() => {}
            early = &mut answer => {
                let words = match early {
                    Ok(Err(error)) => error.to_string(),
                    _ => "it answered before anybody signed in".to_owned(),
                };
                return Err(LoginError::Hub { hub: hub.address().to_owned(), words });
            }
        }
        let show = info.get("show_claims").and_then(Value::as_array);
        let show = show.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        Ok(Self { hub, store, provider, begun, show, answer, _connection: connection })
    }

    /// Where the browser must go.
    pub fn url(&self) -> &str {
        &self.begun.url
    }

    /// Waits until somebody has signed in and keeps the tokens; what the ID token says of them, as much of it as the hub
    /// wants to be shown.
    ///
    /// # Errors
    ///
    /// When the sign-in came to nothing.
    pub async fn finish(self, clock: &Clock) -> Result<Map<String, Value>, LoginError> {
        let lost = |words: String| LoginError::Hub { hub: self.hub.address().to_owned(), words };
        let query = match self.answer.await {
            Ok(Ok(query)) => query,
            Ok(Err(error)) => return Err(lost(error.to_string())),
            Err(error) => return Err(lost(error.to_string())),
        };
        let back = back(&self.hub);
        let mut signed_in = self.provider.finish(self.begun, &back, &query, clock).await?;
        let locked = self.store.lock().await?;
        let mut locked = locked.ok_or_else(|| lost("the file for tokens is gone".to_owned()))?;
        locked.save(self.hub.address(), &signed_in.tokens)?;
        if let Some(show) = self.show {
            signed_in.claims.retain(|name, _| show.contains(name));
        }
        Ok(signed_in.claims)
    }
}

/// Where the browser comes back to.
fn back(hub: &HubClient) -> String {
    hub.url("/oidc-callback")
}
