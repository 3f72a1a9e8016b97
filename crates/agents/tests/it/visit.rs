//! A person in front of a browser, on a hub with agents.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use fantoccini::Locator;
use fantoccini::elements::Element;
use nave_agents::hub::Agents;
use nave_agents::hub::config::AgentsConfig;
use nave_testkit::browser::{Browser, Colours};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::person::TestPerson;

/// A hub with an agent fleet.
pub async fn farm() -> anyhow::Result<(TestHub, Agents)> {
    let agents = Agents::new(AgentsConfig::default());
    let setup = TestHubSetup {
        fleets: vec![Arc::new(agents.clone())],
        sections: vec![Arc::new(agents.clone())],
        ..TestHubSetup::default()
    };
    Ok((TestHub::with(setup).await?, agents))
}

pub struct Visit {
    pub browser: Browser,
    base: String,
}

impl Visit {
    pub async fn of(hub: &TestHub, person: &TestPerson) -> anyhow::Result<Self> {
        let visit = Self { browser: Browser::start().await?, base: hub.url().to_string() };
        visit.browser.screen(1280, 900, Colours::Light).await?;
        visit.browser.cookie(&visit.base, &person.cookie()).await?;
        Ok(visit)
    }

    pub async fn to(&self, path: &str) -> anyhow::Result<()> {
        Ok(self.browser.client().goto(&format!("{}{path}", self.base)).await?)
    }

    pub async fn sees(&self, selector: &str) -> anyhow::Result<Element> {
        let found = self.browser.client().wait().for_element(Locator::Css(selector)).await;
        found.with_context(|| format!("waited in vain for {selector}"))
    }

    /// Waits until some words stand on the page.
    pub async fn reads(&self, words: &str) -> anyhow::Result<()> {
        let path = format!("//body//*[contains(normalize-space(.), {words:?})]");
        if self.browser.client().wait().for_element(Locator::XPath(&path)).await.is_ok() {
            return Ok(());
        }
        let text = self.sees("body").await?.text().await?;
        anyhow::bail!("waited in vain for {words:?}: {text}")
    }

    pub async fn types(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let field = self.sees(&format!("main [name={name:?}]:not([type=hidden])")).await?;
        if field.attr("type").await?.as_deref() != Some("file") {
            field.clear().await?;
        }
        Ok(field.send_keys(text).await?)
    }

    pub async fn chooses(&self, name: &str, value: &str) -> anyhow::Result<()> {
        Ok(self.sees(&format!("main select[name={name:?}]")).await?.select_by_value(value).await?)
    }

    /// Presses the first button or link that says so.
    pub async fn presses(&self, words: &str) -> anyhow::Result<()> {
        let path = format!("//main//*[self::button or self::a][normalize-space(.)={words:?}]");
        let found = self.browser.client().wait().for_element(Locator::XPath(&path)).await;
        Ok(found.with_context(|| format!("waited in vain for a button {words:?}"))?.click().await?)
    }

    pub async fn count(&self, selector: &str) -> anyhow::Result<usize> {
        Ok(self.browser.client().find_all(Locator::Css(selector)).await?.len())
    }

    /// Ends the visit, on which nothing may have been refused or thrown but forms that came back.
    pub async fn end(self) -> anyhow::Result<()> {
        let complaints = self.browser.complaints().await?;
        let complaints: Vec<String> =
            complaints.into_iter().filter(|line| !line.contains("Failed to load resource")).collect();
        self.browser.close().await?;
        ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
        Ok(())
    }
}
