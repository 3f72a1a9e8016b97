//! Without scripts: signing in, inviting, what cannot be taken back, and the menu of narrow screens.

use anyhow::{Context as _, ensure};
use fantoccini::Locator;
use nave_testkit::browser::{Browser, Colours};
use nave_testkit::hub::TestHub;
use nave_testkit::need;
use nave_testkit::node::TestNode;
use nave_testkit::person::{PASSWORD, TestPerson};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_without_scripts_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = TestHub::start().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let _lab = TestNode::join(&hub, "lab", &[], &[]).await?;
    let browser = Browser::start().await?;
    browser.screen(1280, 800, Colours::Light).await?;
    browser.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true })).await?;
    let client = browser.client();
    let at = |path: &str| format!("{}{path}", hub.url());
    let sees = async |selector: &str| {
        let found = client.wait().for_element(Locator::Css(selector)).await;
        found.with_context(|| format!("waited in vain for {selector}"))
    };

    // Signing in, and back to where it began.
    client.goto(&at("/nodes/lab")).await?;
    sees("[name=email]").await?.send_keys(&ada.email).await?;
    sees("[name=password]").await?.send_keys(PASSWORD).await?;
    sees("main form button").await?.click().await?;
    sees("[name=code]").await?.send_keys(&ada.code_in(&hub, 30)).await?;
    sees("main form button").await?.click().await?;
    sees("button[popovertarget=revoke]").await?;
    ensure!(client.current_url().await?.path() == "/nodes/lab");
    ensure!(
        client.find_all(Locator::Css("nave-live[state], nave-theme button")).await?.is_empty(),
        "scripts ran"
    );

    // A search is a form.
    client.goto(&at("/nodes")).await?;
    sees("[name=q]").await?.send_keys("nothing\n").await?;
    client.wait().for_element(Locator::XPath("//h2[.='No node is like that']")).await?;

    // An invitation, refused once.
    client.goto(&at("/nodes/invite")).await?;
    sees("[name=name]").await?.send_keys("not a name").await?;
    sees("main form .primary").await?.click().await?;
    let field = sees("[name=name][aria-invalid=true]").await?;
    ensure!(field.prop("value").await?.as_deref() == Some("not a name"));
    field.clear().await?;
    field.send_keys("bench").await?;
    sees("main form .primary").await?.click().await?;
    ensure!(sees("pre[data-copy]").await?.text().await?.starts_with("nave join "));

    // The menu of narrow screens, and a question before what cannot be taken back.
    browser.screen(360, 740, Colours::Dark).await?;
    sees(".bar button").await?.click().await?;
    sees("nav:popover-open a[href='/nodes']").await?.click().await?;
    client.wait().for_element(Locator::XPath("//a[.='lab']")).await?.click().await?;
    sees("button[popovertarget=revoke]").await?.click().await?;
    sees("dialog#revoke:popover-open button.solid").await?.click().await?;
    client.wait().for_element(Locator::XPath("//nave-toast[contains(., 'lab')]")).await?;

    browser.close().await?;
    Ok(())
}
