//! Signing in at a real provider, as a browser does it.

use nave_core::hub::config::HubConfig;
use nave_core::hub::http::cookie;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need;
use nave_testkit::oidc::{Browser, OidcProvider, client};
use serde_json::{Value, json};

async fn hub_with_provider() -> anyhow::Result<(TestHub, OidcProvider)> {
    let mut provider = OidcProvider::start("https://unknown.example.org/").await?;
    let rules = "[[roles]]\nclaim = \"groups\"\nvalue = \"hub-admins\"\nrole = \"admin\"";
    let mut config = HubConfig::default();
    config.people.oidc.insert("lab".to_owned(), provider.table(rules)?);
    let hub = TestHub::with(TestHubSetup { config, ..TestHubSetup::default() }).await?;
    let redirect = format!("{}/oidc/callback/lab", hub.url());
    provider.change(json!({ "clients": [client(&redirect)] })).await?;
    Ok((hub, provider))
}

fn browser(hub: &TestHub, provider: &OidcProvider) -> anyhow::Result<Browser> {
    let mut trusted = std::fs::read(provider.ca())?;
    trusted.extend(std::fs::read(hub.path().join("cert/hub-cert.pem"))?);
    Browser::trusting(&trusted)
}

#[tokio::test]
async fn a_browser_goes_to_the_provider_and_comes_back_signed_in() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, provider) = hub_with_provider().await?;
    let mut browser = browser(&hub, &provider)?;
    let at = |path: &str| format!("{}{path}", hub.url()).parse();

    let begun = browser.get(&at("/oidc/begin/lab?next=%2Fnodes%3Fq%3Dlab")?).await?;
    let away = begun.next.ok_or_else(|| anyhow::anyhow!("it sends nobody away: {}", begun.text))?;
    assert!(away.as_str().starts_with(&provider.issuer()), "{away}");
    let back = browser.sign_in(&away, "ada").await?;
    let arrived = browser.get(&back).await?;
    assert_eq!((arrived.status, arrived.next), (303, Some(at("/nodes?q=lab")?)), "{}", arrived.text);
    assert!(browser.cookie(cookie::NAME).is_some() && browser.cookie(cookie::TICKET).is_none());
    let me: Value = serde_json::from_str(&browser.get(&at("/nave/v1/me")?).await?.text)?;
    assert_eq!((&me["kind"], &me["person"]["email"]), (&json!("person"), &json!("ada@example.org")));

    // The same answer once more, or in somebody else's browser, signs in nobody.
    let mut other = self::browser(&hub, &provider)?;
    let refused = other.get(&back).await?;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("This sign-in was begun in another browser"), "{}", refused.text);
    assert!(refused.text.contains("href=\"/sign-in\"") && other.cookie(cookie::NAME).is_none());
    Ok(())
}

#[tokio::test]
async fn signing_out_here_leads_to_signing_out_there() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, provider) = hub_with_provider().await?;
    let mut browser = browser(&hub, &provider)?;
    let at = |path: &str| format!("{}{path}", hub.url()).parse();
    let away = async |browser: &mut Browser| {
        let begun = browser.get(&at("/oidc/begin/lab")?).await?;
        begun.next.ok_or_else(|| anyhow::anyhow!("it sends nobody away: {}", begun.text))
    };
    let url = away(&mut browser).await?;
    let back = browser.sign_in(&url, "ada").await?;
    browser.get(&back).await?;
    let home = browser.get(&at("/")?).await?;
    let token = home.hidden("form_token").ok_or_else(|| anyhow::anyhow!("no form: {}", home.text))?;
    let left = browser.post(&at("/sign-out")?, &[("form_token", &token)]).await?;
    assert!(browser.cookie(cookie::NAME).is_none());
    let url = away(&mut browser).await?;
    assert!(!browser.is_asked_who(&url).await?, "the provider still knows this browser");
    let link = left.link(&provider.issuer()).ok_or_else(|| anyhow::anyhow!("no link: {}", left.text))?;
    assert_eq!(browser.sign_out(&link).await?, at("/")?);
    let url = away(&mut browser).await?;
    assert!(browser.is_asked_who(&url).await?, "the provider knows this browser no more");
    Ok(())
}

#[tokio::test]
async fn nobody_is_sent_astray() -> anyhow::Result<()> {
    if !need("oidc") {
        return Ok(());
    }
    let (hub, provider) = hub_with_provider().await?;
    let mut browser = browser(&hub, &provider)?;
    for (path, status) in [
        ("/oidc/begin/unknown", 404),
        ("/oidc/begin/lab?next=/&next=//evil.example.org", 400),
        ("/oidc/callback/lab", 400),
        ("/oidc/callback/lab?code=a&code=b&state=c", 400),
        ("/oidc/callback/lab?code=a&state=%00%ff", 403),
        ("/oidc/callback/lab?error=access_denied&state=c&error_description=%3Cscript%3E", 403),
    ] {
        let page = browser.get(&format!("{}{path}", hub.url()).parse()?).await?;
        assert_eq!((page.status, page.next), (status, None), "{path}");
        assert!(
            page.text.contains("You are not signed in") && !page.text.contains("<script>"),
            "{}",
            page.text
        );
    }
    let begun =
        browser.get(&format!("{}/oidc/begin/lab?next=//evil.example.org", hub.url()).parse()?).await?;
    let back = browser.sign_in(&begun.next.expect("to the provider"), "ada").await?;
    let arrived = browser.get(&back).await?;
    assert_eq!(arrived.next, Some(format!("{}/", hub.url()).parse()?));
    Ok(())
}
