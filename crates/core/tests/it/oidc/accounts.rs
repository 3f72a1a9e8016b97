//! What a sign-in at a provider becomes on a hub: whose account, which roles, and for how long.

use std::sync::Arc;
use std::time::Duration;

use nave_core::api::{NewPerson, Person, PersonStatus, Role, RoleHeld};
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_core::hub::error::Error;
use nave_core::hub::people::providers::{self, Arrived};
use nave_core::hub::people::sessions::{self, Browser as From};
use nave_core::hub::people::{self, links};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need;
use nave_testkit::oidc::{OidcProvider, ada, client};
use nave_testkit::person::{TestPerson, find, nobody};
use serde_json::json;

use super::RULES;

const REFRESH: &str = "scopes = [\"openid\", \"email\", \"profile\", \"offline_access\"]\n";

/// A hub that knows one provider as `lab`.
async fn hub(more: &str) -> anyhow::Result<(TestHub, OidcProvider)> {
    let mut provider = OidcProvider::start("https://unknown.example.org/").await?;
    let mut config = HubConfig::default();
    config.people.oidc.insert("lab".to_owned(), provider.table(more)?);
    let clock = Some(Clock::manual(Clock::system().now()));
    let hub = TestHub::with(TestHubSetup { config, clock, ..TestHubSetup::default() }).await?;
    let redirect = format!("{}/oidc/callback/lab", hub.url());
    provider.change(json!({ "clients": [client(&redirect)] })).await?;
    Ok((hub, provider))
}

async fn sign_in(
    hub: &TestHub,
    provider: &OidcProvider,
    login: &str,
) -> anyhow::Result<Result<Arrived, Error>> {
    let leaving = providers::begin(&nobody(hub), hub.hub(), "lab", "/nodes").await?;
    let back = provider.browser()?.sign_in(&leaving.url.parse()?, login).await?;
    let (ticket, query) = (Some(leaving.ticket.as_str()), back.query().unwrap_or_default());
    Ok(providers::finish(&nobody(hub), hub.hub(), "lab", ticket, query, &From::default()).await)
}

async fn person(hub: &TestHub, who: &str) -> anyhow::Result<Person> {
    Ok(people::show(&hub.operator(), hub.hub(), who).await?)
}

fn held(role: Role) -> Vec<RoleHeld> {
    vec![RoleHeld { role, scope: "*".to_owned() }]
}

#[tokio::test]
async fn somebody_new_gets_an_account_and_keeps_it() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, mut provider) = hub(RULES).await?;
    let arrived = sign_in(&hub, &provider, "ada").await??;
    assert_eq!(arrived.next, "/nodes");
    let found = find(&hub, &arrived.secret).await?;
    assert_eq!(found.session.provider.as_deref(), Some("lab"));
    let first = person(&hub, "ada@example.org").await?;
    assert_eq!(
        (first.name.as_str(), first.status, first.password),
        ("Ada Lovelace", PersonStatus::Active, false)
    );
    // The rule for a node that is not there gives nothing, and is in nobody's way.
    assert_eq!(first.roles, held(Role::Admin));

    // Another address and another name at the provider are still the same person.
    let mut changed = ada();
    changed["email"] = json!("countess@example.org");
    provider.change(json!({ "accounts": { "ada": changed } })).await?;
    let again = sign_in(&hub, &provider, "ada").await??;
    assert_eq!(find(&hub, &again.secret).await?.person.id.to_string(), first.id);
    Ok(())
}

#[tokio::test]
async fn an_account_that_is_there_is_taken_over_only_by_whose_it_is() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, mut provider) = hub("").await?;
    let error = sign_in(&hub, &provider, "ada").await?.unwrap_err();
    assert!(error.to_string().contains("has no role on this hub"), "no rules, no account: {error}");
    let new = NewPerson { email: "Ada@Example.org".into(), name: "Ada".into(), roles: held(Role::Operator) };
    let link = links::invite(&hub.operator(), hub.hub(), &new).await?.link.expect("there is no mail");
    sign_in(&hub, &provider, "ada").await??;
    let invited = person(&hub, "ada@example.org").await?;
    assert_eq!((invited.status, invited.roles), (PersonStatus::Active, held(Role::Operator)));
    let token = link.rsplit('/').next().unwrap_or_default();
    assert!(links::open(&nobody(&hub), hub.hub(), token).await.is_err(), "the invitation is used up");

    // Somebody else who got the address at the provider later.
    provider.change(json!({ "accounts": { "grace": ada() } })).await?;
    let error = sign_in(&hub, &provider, "grace").await?.unwrap_err();
    assert!(error.to_string().contains("does not belong to you"), "{error}");

    provider.change(json!({ "accounts": { "ada": ada() } })).await?;
    people::disable(&hub.operator(), hub.hub(), "ada@example.org").await?;
    let error = sign_in(&hub, &provider, "ada").await?.unwrap_err();
    assert!(error.to_string().contains("is disabled"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_address_that_the_provider_denies_takes_over_nothing() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, mut provider) = hub("require_verified_email = false\ndefault_role = \"viewer\"").await?;
    let _ada = TestPerson::first_admin(&hub).await?;
    let mut liar = ada();
    liar["email_verified"] = json!(false);
    provider.change(json!({ "accounts": { "mallory": liar } })).await?;
    let error = sign_in(&hub, &provider, "mallory").await?.unwrap_err();
    assert!(error.to_string().contains("does not belong to you"), "{error}");
    Ok(())
}

#[tokio::test]
async fn strangers_can_be_kept_out() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, provider) = hub("allow_new = false\ndefault_role = \"viewer\"").await?;
    let error = sign_in(&hub, &provider, "ada").await?.unwrap_err();
    assert!(error.to_string().contains("ask an administrator of this hub for an invitation"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_ticket_is_for_one_browser_one_provider_one_answer_and_ten_minutes() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, provider) = hub(RULES).await?;
    let begin = async || providers::begin(&nobody(&hub), hub.hub(), "lab", "/").await;
    let (first, second) = (begin().await?, begin().await?);
    let back = provider.browser()?.sign_in(&first.url.parse()?, "ada").await?;
    let query = back.query().unwrap_or_default();
    let finish = async |name: &str, ticket: Option<&str>| {
        providers::finish(&nobody(&hub), hub.hub(), name, ticket, query, &From::default()).await
    };
    let damaged = format!("{}x", first.ticket);
    for (what, ticket) in [
        ("none", None),
        ("another sign-in's", Some(second.ticket.as_str())),
        ("damaged", Some(damaged.as_str())),
    ] {
        let error = finish("lab", ticket).await.unwrap_err();
        assert!(error.to_string().contains("in another browser or window"), "{what}: {error}");
    }
    assert!(matches!(finish("other", Some(&first.ticket)).await.unwrap_err(), Error::NotFound { .. }));
    hub.hub().clock.advance(Duration::from_mins(10));
    assert!(finish("lab", Some(&first.ticket)).await.unwrap_err().to_string().contains("too long ago"));
    Ok(())
}

#[tokio::test]
async fn the_provider_is_asked_again_and_believed() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, mut provider) = hub(&format!("{REFRESH}{RULES}")).await?;
    let _boss = TestPerson::invite(&hub, "Boss", &[(Role::Admin, "*")]).await?;
    let arrived = sign_in(&hub, &provider, "ada").await??;
    let op = hub.operator();
    let ask = async || providers::refresh_all(&op, hub.hub()).await;
    assert_eq!(ask().await?, "0 asked for, 0 ended, 0 without an answer", "it is not time yet");

    hub.hub().clock.advance(Duration::from_mins(56));
    let mut changed = ada();
    changed["groups"] = json!([]);
    provider.change(json!({ "accounts": { "ada": changed } })).await?;
    // Roles are the provider's to give, and this one now gives a role for a node that is not there.
    assert_eq!(ask().await?, "1 asked for, 0 ended, 0 without an answer");
    assert_eq!(person(&hub, "ada@example.org").await?.roles, []);
    assert_eq!(ask().await?, "0 asked for, 0 ended, 0 without an answer");

    hub.hub().clock.advance(Duration::from_mins(56));
    provider.change(json!({ "listen": false })).await?;
    assert_eq!(ask().await?, "1 asked for, 0 ended, 1 without an answer");
    assert!(find(&hub, &arrived.secret).await.is_ok(), "silence ends no session");
    provider.change(json!({ "listen": true, "accounts": {} })).await?;
    hub.hub().clock.advance(Duration::from_mins(1));
    assert_eq!(ask().await?, "1 asked for, 1 ended, 0 without an answer");
    assert!(find(&hub, &arrived.secret).await.is_err(), "the account is gone at the provider");
    Ok(())
}

#[tokio::test]
async fn the_last_administrator_is_not_locked_out_by_a_rule() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, mut provider) = hub(&format!("{REFRESH}default_role = \"viewer\"\n{RULES}")).await?;
    sign_in(&hub, &provider, "ada").await??;
    let mut changed = ada();
    changed["groups"] = json!([]);
    changed["realm"] = json!({});
    provider.change(json!({ "accounts": { "ada": changed } })).await?;
    sign_in(&hub, &provider, "ada").await??;
    assert_eq!(person(&hub, "ada@example.org").await?.roles, held(Role::Admin));
    Ok(())
}

#[tokio::test]
async fn sessions_end_with_their_provider_and_sign_out_there() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, provider) = hub(&format!("{REFRESH}{RULES}")).await?;
    let arrived = sign_in(&hub, &provider, "ada").await??;
    let found = find(&hub, &arrived.secret).await?;
    let url =
        providers::sign_out_url(&nobody(&hub), hub.hub(), &found.session).await?.expect("it has such a page");
    assert!(url.starts_with(&format!("{}/session/end?id_token_hint=", provider.issuer())), "{url}");
    let token = url.split("id_token_hint=").nth(1).unwrap_or_default();
    // As much of it as no chance puts into what is sealed.
    let token = token.get(..40).expect("it names the ID token");
    assert!(!found.session.tokens.unwrap_or_default().contains(token), "no token lies open in the database");

    // The same hub, started again without the provider.
    let folder = hub.folder();
    let clock = hub.hub().clock.clone();
    hub.stop().await;
    let hub = TestHub::on(folder, TestHubSetup { clock: Some(clock), ..TestHubSetup::default() }).await?;
    assert!(find(&hub, &arrived.secret).await.is_ok());
    let outcome = providers::refresh_all(&hub.operator(), &Arc::clone(hub.hub())).await?;
    assert_eq!(outcome, "0 asked for, 1 ended, 0 without an answer");
    assert!(sessions::find(hub.hub(), &arrived.secret, None).await?.is_none());
    Ok(())
}
