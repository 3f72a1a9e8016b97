//! Sign-ins that succeed, and those that the person, the provider or the rules refuse.

use nave_core::api::{Role, RoleHeld};
use nave_core::hub::people::oidc::{Answer, MappedRoles, OidcError};
use nave_testkit::need;
use nave_testkit::oidc::ada;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{HubSide, RULES, callback, provider, stored};

fn held(role: Role, scope: &str) -> RoleHeld {
    RoleHeld { role, scope: scope.to_owned() }
}

#[tokio::test]
async fn claims_become_a_person() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let mut provider = provider().await?;
    let hub = HubSide::new(provider.table(RULES)?)?;
    let who = hub.sign_in(&mut provider.browser()?, "ada").await??.who;
    assert_eq!((who.issuer, who.subject.as_str()), (provider.issuer(), "ada"));
    assert_eq!(
        (who.email.as_str(), who.verified, who.name.as_str()),
        ("ada@example.org", true, "Ada Lovelace")
    );
    let both = vec![held(Role::Admin, "*"), held(Role::Viewer, "node:lab")];
    assert_eq!(who.roles, MappedRoles::Exactly(both.clone()));

    // The same from the ID token alone, under every kind of signature.
    for alg in ["RS256", "PS256", "ES256", "EdDSA"] {
        provider.change(json!({ "claimsInIdToken": true, "alg": alg })).await?;
        let hub = HubSide::new(provider.table(RULES)?)?;
        let who = hub.sign_in(&mut provider.browser()?, "ada").await??.who;
        assert_eq!(
            (who.name.as_str(), &who.roles),
            ("Ada Lovelace", &MappedRoles::Exactly(both.clone())),
            "{alg}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_client_with_a_secret() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let mut provider = provider().await?;
    let secret_file = provider.folder().join("secret");
    nave_link::secret_file::create(&secret_file, b"a secret of our own, with %: +\n", 0o600)?;
    for method in ["client_secret_basic", "client_secret_post"] {
        let client = json!({
            "client_id": "nave", "client_secret": "a secret of our own, with %: +",
            "token_endpoint_auth_method": method, "redirect_uris": [super::REDIRECT],
        });
        provider.change(json!({ "clients": [client], "clientAuthMethods": [method] })).await?;
        let hub = HubSide::new(provider.table(&format!("client_secret_file = {secret_file:?}"))?)?;
        hub.sign_in(&mut provider.browser()?, "ada").await??;
    }
    // Another secret in the file counts at once, and the provider does not know it.
    nave_link::secret_file::replace(&secret_file, b"another", 0o600)?;
    let hub = HubSide::new(provider.table(&format!("client_secret_file = {secret_file:?}"))?)?;
    let error = hub.sign_in(&mut provider.browser()?, "ada").await?.unwrap_err();
    assert!(matches!(error, OidcError::HubRefused(_)), "{}", error.chain());
    Ok(())
}

#[tokio::test]
async fn one_answer_serves_once_and_nobody_else() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let provider = provider().await?;
    let hub = HubSide::new(provider.table("")?)?;
    let mut browser = provider.browser()?;
    let (url, pending) = hub.begin().await?;
    let back = browser.sign_in(&url, "ada").await?;
    assert_eq!(callback(&back).state.expose_secret(), pending.state());
    let stored = stored(&pending)?;
    hub.finish(serde_json::from_str(&stored)?, &back).await?;
    let error = hub.finish(serde_json::from_str(&stored)?, &back).await.unwrap_err();
    assert!(matches!(error, OidcError::CodeSpent(_)), "used twice: {}", error.chain());

    let (url, _) = hub.begin().await?;
    let (_, other) = hub.begin().await?;
    let back = browser.sign_in(&url, "ada").await?;
    let error = hub.finish(other, &back).await.unwrap_err();
    assert!(matches!(error, OidcError::CodeSpent(_)), "another's PKCE verifier: {}", error.chain());
    Ok(())
}

#[tokio::test]
async fn each_of_several_providers_answers_for_itself() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (one, mut two) = (provider().await?, provider().await?);
    two.change(json!({ "accounts": { "ada": { "email": "grace@example.org", "email_verified": true } } }))
        .await?;
    let (hub_one, hub_two) = (HubSide::new(one.table("")?)?, HubSide::new(two.table("")?)?);
    let first = hub_one.sign_in(&mut one.browser()?, "ada").await??.who;
    let second = hub_two.sign_in(&mut two.browser()?, "ada").await??.who;
    assert_eq!((first.subject, first.email.as_str()), (second.subject, "ada@example.org"));
    assert_eq!((second.email.as_str(), second.name.as_str()), ("grace@example.org", "grace@example.org"));
    assert_ne!(first.issuer, second.issuer);

    // An answer of one is worth nothing where the other is waited for (RFC 9207).
    let (url, _) = hub_one.begin().await?;
    let (_, pending) = hub_two.begin().await?;
    let back = one.browser()?.sign_in(&url, "ada").await?;
    let error = hub_two.finish(pending, &back).await.unwrap_err();
    assert!(matches!(error, OidcError::WrongIssuer(_)), "{}", error.chain());
    let (url, pending) = hub_one.begin().await?;
    let back = one.browser()?.sign_in(&url, "ada").await?;
    let mut nameless = callback(&back);
    nameless.issuer = None;
    let error = hub_one.provider.finish(pending, &nameless, &hub_one.clock).await.unwrap_err();
    assert!(matches!(error, OidcError::WrongIssuer(_)), "this one says that it always tells");
    Ok(())
}

#[tokio::test]
async fn refusals_say_what_to_do() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let mut provider = provider().await?;
    let hub = HubSide::new(provider.table(RULES)?)?;
    let (url, pending) = hub.begin().await?;
    let back = provider.browser()?.refuse(&url).await?;
    assert!(matches!(&callback(&back).answer, Answer::Refusal { error, .. } if error == "access_denied"));
    let error = hub.finish(pending, &back).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the sign-in was refused at the provider: start again if that was not meant"
    );

    let mut changed = ada();
    changed["groups"] = json!(["lab"]);
    changed["realm"] = json!({ "roles": "guest" });
    provider.change(json!({ "accounts": { "ada": changed } })).await?;
    let error = hub.sign_in(&mut provider.browser()?, "ada").await?.unwrap_err();
    assert!(matches!(error, OidcError::NoRole), "{}", error.chain());
    let lenient = HubSide::new(provider.table(&format!("default_role = \"viewer\"\n{RULES}"))?)?;
    let who = lenient.sign_in(&mut provider.browser()?, "ada").await??.who;
    assert_eq!(who.roles, MappedRoles::Exactly(vec![held(Role::Viewer, "*")]));

    changed["email_verified"] = json!(false);
    provider.change(json!({ "accounts": { "ada": changed } })).await?;
    let error = lenient.sign_in(&mut provider.browser()?, "ada").await?.unwrap_err();
    assert!(matches!(error, OidcError::NoEmail), "{}", error.chain());
    let trusting = HubSide::new(provider.table("require_verified_email = false")?)?;
    let who = trusting.sign_in(&mut provider.browser()?, "ada").await??.who;
    assert_eq!(
        (who.verified, who.roles),
        (false, MappedRoles::FirstOne(None)),
        "the provider says that it did not"
    );
    Ok(())
}
