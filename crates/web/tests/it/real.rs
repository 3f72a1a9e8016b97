//! Every page of a real hub, as it is served: none keeps people out, none is wider than the screen, and none does what
//! its policy refuses. And what the browser adds to pages: keys, dialogs, colours, and staying live.

use anyhow::{Context as _, ensure};
use fantoccini::Locator;
use fantoccini::key::Key;
use nave_core::api::{NodeChange, Role};
use nave_core::hub::http::Access;
use nave_core::hub::{nodes, people};
use nave_testkit::browser::{Browser, Colours};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need;
use nave_testkit::node::TestNode;
use nave_testkit::person::TestPerson;

/// A browser in which somebody is signed in.
async fn signed_in(hub: &TestHub, person: &TestPerson) -> anyhow::Result<Browser> {
    let browser = Browser::start().await?;
    browser.screen(1280, 800, Colours::Light).await?;
    browser.cookie(&hub.url().to_string(), &person.cookie()).await?;
    Ok(browser)
}

/// The addresses of all pages, by the rows of the authorization table.
fn pages(hub: &TestHub, person: &TestPerson) -> Vec<String> {
    let own = [
        "/live",
        "/audit/{file}",
        "/nodes/invited/{invite}",
        "/oidc/begin/{provider}",
        "/{*path}",
        "/assets/{file}",
        "/favicon.ico",
    ];
    let is_page = |access| matches!(access, Access::Page(_) | Access::OwnPage | Access::Open);
    let rows =
        hub.running().routes.iter().filter(|row| row.method == http::Method::GET && is_page(row.access));
    let shown =
        rows.map(|row| row.path.as_str()).filter(|path| !own.contains(path) && !path.starts_with("/nave/"));
    let programs = ["/healthz", "/readyz", "/oidc/.well-known/openid-configuration", "/oidc/jwks"];
    let shown = shown.filter(|path| !programs.contains(path) && *path != "/oidc/callback/{provider}");
    let filled = shown
        .map(|path| path.replace("{node}", "lab").replace("{person}", &person.id).replace("{token}", "x"));
    filled
        .chain(["/nowhere".to_owned(), "/nodes?q=nothing".to_owned(), "/audit?actor=nobody".to_owned()])
        .collect()
}

async fn look(browser: &Browser, hub: &TestHub, paths: &[String]) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (width, height, colours) in [(1280, 800, Colours::Light), (360, 740, Colours::Dark)] {
        browser.screen(width, height, colours).await?;
        for path in paths {
            browser.client().goto(&format!("{}{path}", hub.url())).await?;
            let status = browser
                .client()
                .execute("return performance.getEntriesByType('navigation')[0].responseStatus", vec![])
                .await?;
            let mut found = browser.barriers().await?;
            // A page that says that something is missing is not found, and the browser notes it.
            let refused = status.as_u64().is_some_and(|status| status >= 400);
            found.extend(
                browser
                    .complaints()
                    .await?
                    .into_iter()
                    .filter(|line| !(refused && line.contains("Failed to load"))),
            );
            let overflow = browser.overflow().await?;
            if overflow > 0 {
                found.push(format!("it is {overflow} pixels wider than the screen"));
            }
            if status.as_u64().is_none_or(|status| status >= 500) {
                found.push(format!("it is answered with {status}"));
            }
            wrong.extend(found.into_iter().map(|what| format!("{path} at {width}: {what}")));
        }
    }
    Ok(wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_a_hub_is_in_order_chromium() -> anyhow::Result<()> {
    if !need("chromium") || !need("axe") {
        return Ok(());
    }
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let _lab = TestNode::join(&hub, "lab", &[], &["127.0.0.1:8080".to_owned()]).await?.connect().await?;
    let browser = signed_in(&hub, &ada).await?;
    let paths = pages(&hub, &ada);
    ensure!(paths.len() > 25, "{paths:?}");
    let wrong = look(&browser, &hub, &paths).await?;
    browser.close().await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_only_looks_on_sees_no_more_than_that_chromium() -> anyhow::Result<()> {
    if !need("chromium") || !need("axe") {
        return Ok(());
    }
    let hub = TestHub::start().await?;
    let _ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Viewer, "*")]).await?;
    let _lab = TestNode::join(&hub, "lab", &[], &[]).await?.connect().await?;
    let browser = signed_in(&hub, &grace).await?;
    let paths = ["/", "/nodes", "/nodes/lab", "/streams", "/people", "/account"].map(ToOwned::to_owned);
    let wrong = look(&browser, &hub, &paths).await?;
    browser.client().goto(&format!("{}/nodes/lab", hub.url())).await?;
    for offered in ["form[action*=revoke]", "a[href*=edit]", "form[action*=grants]", "a[href='/people']"] {
        let found = browser.client().find_all(Locator::Css(offered)).await?;
        ensure!(found.is_empty(), "a viewer is offered {offered}");
    }
    browser.close().await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_dialogs_and_colours_work_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let _lab = TestNode::join(&hub, "lab", &[], &[]).await?;
    let browser = signed_in(&hub, &ada).await?;
    let client = browser.client();
    let script = async |text: &str| client.execute(text, vec![]).await;

    // The first key leads past the menu, and "/" to the search.
    client.goto(&format!("{}/nodes", hub.url())).await?;
    client.wait().for_element(Locator::Css("nave-live[state=live]")).await?;
    let body = client.find(Locator::Css("body")).await?;
    body.send_keys(&char::from(Key::Tab).to_string()).await?;
    ensure!(script("return document.activeElement.className").await? == "skip");
    body.send_keys("/").await?;
    ensure!(script("return document.activeElement.name").await? == "q");
    client.active_element().await?.send_keys("nothing").await?;
    client.wait().for_element(Locator::XPath("//h2[.='No node is like that']")).await?;
    ensure!(client.current_url().await?.query().is_some_and(|query| query.contains("q=nothing")));

    // What cannot be taken back is asked about; focus is in the dialog and comes back.
    client.goto(&format!("{}/nodes/lab", hub.url())).await?;
    client.find(Locator::Css("button[popovertarget=revoke]")).await?.click().await?;
    client.wait().for_element(Locator::Css("dialog#revoke[open]")).await?;
    ensure!(script("return document.activeElement.closest('dialog')?.id").await? == "revoke");
    client.active_element().await?.send_keys(&char::from(Key::Escape).to_string()).await?;
    ensure!(script("return document.querySelector('dialog[open]') === null").await? == true);
    ensure!(script("return document.activeElement.getAttribute('popovertarget')").await? == "revoke");

    // Colours are kept over pages.
    client.find(Locator::Css("nave-theme button[data-theme=dark]")).await?.click().await?;
    client.goto(&format!("{}/streams", hub.url())).await?;
    ensure!(script("return document.documentElement.dataset.theme").await? == "dark");
    ensure!(script("return getComputedStyle(document.documentElement).colorScheme").await? == "dark");

    // The dialog's button does what it says.
    client.goto(&format!("{}/nodes/lab", hub.url())).await?;
    client.find(Locator::Css("button[popovertarget=revoke]")).await?.click().await?;
    client.wait().for_element(Locator::Css("dialog#revoke[open]")).await?;
    client.find(Locator::Css("dialog#revoke button.solid")).await?.click().await?;
    client.wait().for_element(Locator::Css("nave-toast")).await?;
    let complaints = browser.complaints().await?;
    browser.close().await?;
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_stays_live_over_a_restart_of_the_hub_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let _lab = TestNode::join(&hub, "lab", &[], &[]).await?;
    let browser = signed_in(&hub, &ada).await?;
    let client = browser.client();
    client.goto(&format!("{}/nodes", hub.url())).await?;
    client.wait().for_element(Locator::Css("nave-live[state=live]")).await?;

    let (folder, address) = (hub.folder(), hub.address());
    hub.stop().await;
    client.wait().for_element(Locator::Css("nave-live[state=waiting]")).await?;
    let mut setup = TestHubSetup::default();
    setup.config.listen = vec![address];
    let hub = TestHub::on(folder, setup).await?;
    // This happens before the page is back, or just after: it must show it either way.
    let change = NodeChange { name: Some("bench".to_owned()), ..NodeChange::default() };
    nodes::change(&hub.operator(), hub.hub(), "lab", &change).await?;
    client.wait().for_element(Locator::Css("nave-live[state=live]")).await?;
    client.wait().for_element(Locator::XPath("//a[.='bench']")).await?;

    // Whoever may not look any more is sent away.
    people::disable(&hub.operator(), hub.hub(), &ada.id)
        .await
        .err()
        .context("the last administrator stays")?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Viewer, "*")]).await?;
    browser.cookie(&hub.url().to_string(), &grace.cookie()).await?;
    client.goto(&format!("{}/nodes", hub.url())).await?;
    client.wait().for_element(Locator::Css("nave-live[state=live]")).await?;
    people::disable(&hub.operator(), hub.hub(), &grace.id).await?;
    client.wait().for_element(Locator::Css("form[action='/sign-in']")).await?;
    browser.close().await?;
    Ok(())
}
