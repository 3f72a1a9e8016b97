//! What follows a sign-in: asking again, the end of an account, signing out.

use std::time::Duration;

use nave_core::hub::people::oidc::{MappedRoles, OidcError, Refreshed, Tokens};
use nave_testkit::need;
use nave_testkit::oidc::ada;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{HubSide, RULES, provider};

fn with_refresh() -> String {
    format!("scopes = [\"openid\", \"email\", \"profile\", \"offline_access\"]\n{RULES}")
}

#[tokio::test]
async fn a_session_is_refreshed_until_the_account_ends() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let mut provider = provider().await?;
    let hub = HubSide::new(provider.table(&with_refresh())?)?;
    let signed_in = hub.sign_in(&mut provider.browser()?, "ada").await??;
    assert_eq!(signed_in.tokens.expires_at - hub.clock.now(), Duration::from_hours(1));
    let refresh = async |tokens: &Tokens| hub.provider.refresh(tokens, "ada", &hub.clock).await;

    let Refreshed::Stands { who: Some(who), tokens } = refresh(&signed_in.tokens).await? else {
        panic!("ada still has an account");
    };
    assert_eq!(who, signed_in.who);

    let mut changed = ada();
    changed["groups"] = json!([]);
    provider.change(json!({ "accounts": { "ada": changed } })).await?;
    let Refreshed::Stands { who: Some(who), tokens } = refresh(&tokens).await? else {
        panic!("ada still has an account");
    };
    assert!(matches!(who.roles, MappedRoles::Exactly(roles) if roles.len() == 1), "no admin any more");

    provider.change(json!({ "listen": false })).await?;
    let error = refresh(&tokens).await.unwrap_err();
    assert!(matches!(error, OidcError::Unreachable(_)), "nothing is known of ada: {}", error.chain());
    provider.change(json!({ "listen": true })).await?;

    changed["realm"] = json!({});
    provider.change(json!({ "accounts": { "ada": changed } })).await?;
    let ended = refresh(&tokens).await?;
    assert!(matches!(ended, Refreshed::Ended(OidcError::NoRole)), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn a_disabled_account_ends_the_session() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let mut provider = provider().await?;
    let hub = HubSide::new(provider.table(&with_refresh())?)?;
    let signed_in = hub.sign_in(&mut provider.browser()?, "ada").await??;
    provider.change(json!({ "accounts": {} })).await?;
    let ended = hub.provider.refresh(&signed_in.tokens, "ada", &hub.clock).await?;
    assert!(matches!(ended, Refreshed::Ended(OidcError::CodeSpent(_))), "{ended:?}");

    // Where a provider gave nothing to ask again with, it is not asked.
    let tokens = Tokens { refresh: None, ..signed_in.tokens };
    let stands = hub.provider.refresh(&tokens, "ada", &hub.clock).await?;
    assert!(matches!(stands, Refreshed::Stands { who: None, .. }), "{stands:?}");
    Ok(())
}

#[tokio::test]
async fn signing_out_signs_out_at_the_provider() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let provider = provider().await?;
    let hub = HubSide::new(provider.table("")?)?;
    let mut browser = provider.browser()?;
    let signed_in = hub.sign_in(&mut browser, "ada").await??;
    assert!(signed_in.tokens.refresh.is_none(), "nobody asked for one");
    let (url, _) = hub.begin().await?;
    assert!(!browser.is_asked_who(&url).await?, "the provider knows this browser");

    let tokens = Tokens::parse(&signed_in.tokens.reveal())?;
    let home = "https://hub.example.org/".parse()?;
    let url = hub.provider.sign_out_url(&tokens, &home, &hub.clock).await.expect("it has such a page");
    assert!(url.as_str().contains(tokens.id_token.expose_secret()));
    assert_eq!(browser.sign_out(&url).await?.as_str(), "https://hub.example.org/");
    let (url, _) = hub.begin().await?;
    assert!(browser.is_asked_who(&url).await?, "the provider does not know this browser any more");
    Ok(())
}
