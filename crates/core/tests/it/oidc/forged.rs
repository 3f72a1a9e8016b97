//! Tokens that must not be believed, and keys that changed.

use std::time::Duration;

use nave_core::hub::people::oidc::OidcError;
use nave_testkit::need;
use serde_json::{Value, json};

use super::{HubSide, RULES, provider};

#[tokio::test]
async fn a_token_for_something_else_is_not_believed() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let mut provider = provider().await?;
    let hub = HubSide::new(provider.table(RULES)?)?;
    let mut browser = provider.browser()?;
    let mut outcome = async |forge: Value| {
        provider.change(json!({ "forge": forge })).await?;
        anyhow::Ok(hub.sign_in(&mut browser, "ada").await?.map(drop))
    };
    let error = outcome(json!({ "claims": { "aud": "another-service" } })).await?.unwrap_err();
    assert!(matches!(error, OidcError::WrongAudience(_)), "{}", error.chain());
    let error = outcome(json!({ "claims": { "azp": "another-service" } })).await?.unwrap_err();
    assert!(matches!(error, OidcError::WrongAudience(_)), "{}", error.chain());
    let error = outcome(json!({ "claims": { "aud": ["nave", "another-service"] } })).await?.unwrap_err();
    assert!(matches!(error, OidcError::WrongAudience(_)), "{}", error.chain());
    outcome(json!({ "claims": { "aud": ["nave", "another-service"], "azp": "nave" } })).await??;

    let error = outcome(json!({ "claims": { "iss": "https://id.example.org" } })).await?.unwrap_err();
    assert!(matches!(error, OidcError::WrongIssuer(_)), "{}", error.chain());
    let error = outcome(json!({ "claims": { "nonce": "of another sign-in" } })).await?.unwrap_err();
    assert!(matches!(error, OidcError::WrongNonce(_)), "{}", error.chain());
    let error = outcome(json!({ "claims": { "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" } })).await?.unwrap_err();
    assert!(matches!(error, OidcError::BadSignature(_)), "{}", error.chain());
    let error = outcome(json!({ "claims": { "sub": "grace" } })).await?.unwrap_err();
    assert!(matches!(error, OidcError::NotUnderstood(_)), "userinfo is about ada: {}", error.chain());
    let error = outcome(json!({ "claims": { "exp": "soon" } })).await?.unwrap_err();
    assert!(matches!(error, OidcError::NotUnderstood(_)), "{}", error.chain());
    assert!(!error.chain().contains("soon"), "what stands in an answer is secret: {}", error.chain());

    let error = outcome(json!({ "otherKey": true })).await?.unwrap_err();
    assert!(matches!(error, OidcError::BadSignature(_)), "{}", error.chain());
    for alg in ["none", "HS256"] {
        let error = outcome(json!({ "alg": alg })).await?.unwrap_err();
        assert!(matches!(error, OidcError::BadSignature(_)), "{alg}: {}", error.chain());
    }
    outcome(Value::Null).await??;
    Ok(())
}

#[tokio::test]
async fn an_expired_token_is_not_believed() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let provider = provider().await?;
    let hub = HubSide::new(provider.table("")?)?;
    let mut browser = provider.browser()?;
    // Tokens are good for an hour; a minute more is forgiven, for clocks differ.
    hub.clock.advance(Duration::from_secs(3600 + 30));
    hub.sign_in(&mut browser, "ada").await??;
    hub.clock.advance(Duration::from_secs(90));
    let error = hub.sign_in(&mut browser, "ada").await?.unwrap_err();
    assert!(matches!(error, OidcError::TokenExpired(_)), "{}", error.chain());
    Ok(())
}

#[tokio::test]
async fn new_keys_are_fetched_when_they_are_needed_but_not_at_will() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let mut provider = provider().await?;
    let hub = HubSide::new(provider.table("")?)?;
    let mut browser = provider.browser()?;
    hub.sign_in(&mut browser, "ada").await??;
    provider.change(json!({ "rotations": 1 })).await?;
    hub.sign_in(&mut browser, "ada").await??;
    hub.sign_in(&mut browser, "ada").await??;
    provider.change(json!({ "rotations": 2 })).await?;
    let error = hub.sign_in(&mut browser, "ada").await?.unwrap_err();
    assert!(matches!(error, OidcError::BadSignature(_)), "too early to ask again: {}", error.chain());
    hub.clock.advance(Duration::from_secs(30));
    hub.sign_in(&mut browser, "ada").await??;
    Ok(())
}
