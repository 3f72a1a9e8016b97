//! A person in front of a browser, on a hub's pages.

use anyhow::{Context as _, ensure};
use fantoccini::Locator;
use fantoccini::elements::Element;

use crate::browser::{Browser, Colours};
use crate::hub::TestHub;
use crate::person::TestPerson;

/// A browser whose window is on a hub's pages. What does not come within the browser's patience is an error that says what
/// was waited for.
pub struct Visit {
    /// The browser.
    pub browser: Browser,
    /// The hub's address, without a path.
    pub base: String,
}

impl Visit {
    /// Somebody who has signed in.
    ///
    /// # Errors
    ///
    /// As all of these: when the browser fails, or what is waited for does not come.
    pub async fn of(hub: &TestHub, person: &TestPerson) -> anyhow::Result<Self> {
        let visit = Self::stranger(hub).await?;
        visit.browser.cookie(&visit.base, &person.cookie()).await?;
        Ok(visit)
    }

    /// Somebody whom the hub does not know.
    pub async fn stranger(hub: &TestHub) -> anyhow::Result<Self> {
        let visit = Self { browser: Browser::start().await?, base: hub.url().to_string() };
        visit.browser.screen(1280, 900, Colours::Light).await?;
        Ok(visit)
    }

    /// Goes to a page, by its path.
    pub async fn to(&self, path: &str) -> anyhow::Result<()> {
        Ok(self.browser.client().goto(&format!("{}{path}", self.base)).await?)
    }

    /// Waits for something on the page, by a CSS selector.
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

    /// Fills a field anew, or chooses a file for it.
    pub async fn types(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let field = self.sees(&format!("main [name={name:?}]:not([type=hidden])")).await?;
        if field.attr("type").await?.as_deref() != Some("file") {
            field.clear().await?;
        }
        Ok(field.send_keys(text).await?)
    }

    /// Chooses from a list, by a value.
    pub async fn chooses(&self, name: &str, value: &str) -> anyhow::Result<()> {
        Ok(self.sees(&format!("main select[name={name:?}]")).await?.select_by_value(value).await?)
    }

    /// Presses the first button or link that says so.
    pub async fn presses(&self, words: &str) -> anyhow::Result<()> {
        let path = format!("//main//*[self::button or self::a][normalize-space(.)={words:?}]");
        let found = self.browser.client().wait().for_element(Locator::XPath(&path)).await;
        Ok(found.with_context(|| format!("waited in vain for a button {words:?}"))?.click().await?)
    }

    /// How many of these there are now.
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
