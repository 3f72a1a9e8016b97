//! What only the services can bring about, seen in a real browser: a log that follows, and what was spent.

use std::sync::Arc;

use anyhow::Context as _;
use fantoccini::Locator;
use nave_testkit::browser::{Browser, Colours};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need::need;
use nave_testkit::person::TestPerson;
use nave_testkit::wait::until;
use serde_json::Value;
use time::macros::datetime;

use crate::api::{
    AgentConfig, CostEntry, CostSource, LogRole, LogType, Nanodollars, NewAgent, NewLogLine, RunKey,
};
use crate::hub::config::AgentsConfig;
use crate::hub::runs::{self, CostBatch};
use crate::hub::{Agents, roster};

/// The numbers of the lines that are shown, as often as they are.
async fn shown(browser: &Browser) -> anyhow::Result<Vec<u64>> {
    let script = "return [...document.querySelectorAll('.log-line')].map((line) => Number(line.id.slice(1)))";
    let numbers = browser.client().execute(script, vec![]).await?;
    Ok(numbers.as_array().context("a list")?.iter().filter_map(Value::as_u64).collect())
}

async fn shows(browser: &Browser, wanted: std::ops::RangeInclusive<u64>) -> anyhow::Result<()> {
    let what = format!("lines {wanted:?} are shown");
    let wanted: Vec<u64> = wanted.collect();
    let is_so = || async { shown(browser).await.is_ok_and(|shown| shown == wanted).then_some(()) };
    if let Err(error) = until(&what, is_so).await {
        anyhow::bail!("{error}: {:?}", shown(browser).await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_follows_without_gaps_and_goes_back_on_demand_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let agents = Agents::new(AgentsConfig::default());
    let setup = TestHubSetup {
        fleets: vec![Arc::new(agents.clone())],
        sections: vec![Arc::new(agents.clone())],
        ..TestHubSetup::default()
    };
    let hub = TestHub::with(setup).await?;
    let op = hub.operator();
    let config = AgentConfig::new("ann", "Researcher", "Look.", 1000, "mock");
    roster::create(&op, hub.hub(), &agents, NewAgent { config, lead: None }).await?;
    let key = runs::open_run(&op, hub.hub(), &agents, 1, None, "mock").await?;
    let line = |key: RunKey, message: String| NewLogLine {
        key,
        role: LogRole::Llm,
        source: None,
        kind: Some(LogType::Comment),
        message,
        created_at: datetime!(2026-11-23 12:00 UTC),
        attachment: None,
    };
    let say = |key, count: u32| {
        let lines = (0..count).map(|at| line(key, format!("<b>line</b> {at}\u{1b}[31m!\u{202e}"))).collect();
        runs::write_logs(&op, hub.hub(), &agents, None, lines)
    };

    let ada = TestPerson::first_admin(&hub).await?;
    let (browser, base) = (Browser::start().await?, hub.url().to_string());
    browser.screen(1280, 900, Colours::Light).await?;
    browser.cookie(&base, &ada.cookie()).await?;
    browser.client().goto(&format!("{base}/agents/named/ann")).await?;
    browser.client().wait().for_element(Locator::Css("nave-live[state=live]")).await?;
    browser.client().wait().for_element(Locator::Css(".log-none")).await?;
    say(key, 2).await?;
    shows(&browser, 1..=2).await?;
    let first = browser.client().find(Locator::Css("#l1 pre")).await?.text().await?;
    assert_eq!(first, "<b>line</b> 0!\u{fffd}");
    say(key, 1).await?;
    shows(&browser, 1..=3).await?;
    // More than one answer holds.
    say(key, 450).await?;
    shows(&browser, 1..=453).await?;
    let next = runs::open_session(&op, hub.hub(), &agents, 1, key.run, None, "mock").await?;
    say(next, 1).await?;
    shows(&browser, 1..=454).await?;
    let begun = browser.client().find_all(Locator::Css(".log-begins")).await?;
    assert_eq!(begun.len(), 2, "each session is marked where it begins");
    // Whoever looks at it sees its end.
    let script = "const log = document.querySelector('nave-log').getBoundingClientRect(); \
        return document.querySelector('#l454').getBoundingClientRect().bottom <= log.bottom + 1";
    assert_eq!(browser.client().execute(script, vec![]).await?, Value::Bool(true));

    browser.client().goto(&format!("{base}/agents/named/ann")).await?;
    for first in [255, 55, 1] {
        shows(&browser, first..=454).await?;
        if first > 1 {
            let older = browser.client().wait().for_element(Locator::Css(".older")).await?;
            let script = "document.querySelector('.older').scrollIntoView({ block: 'center' })";
            browser.client().execute(script, vec![]).await?;
            older.click().await?;
        }
    }
    assert!(browser.client().find_all(Locator::Css(".older")).await?.is_empty());
    browser.client().goto(&format!("{base}/agents/named/ann?run=1&session=2")).await?;
    shows(&browser, 454..=454).await?;

    let cost = |dollars, model: &str| CostEntry {
        key,
        source: CostSource::Console,
        model: model.to_owned(),
        cost: Nanodollars::from_dollars(dollars),
        input: 1000,
        output: 10,
        cache_write: 0,
        cache_read: 0,
    };
    let entries = vec![cost(1.25, "mock"), cost(0.25, "other")];
    let batch = CostBatch { host: None, entries, may_be_again: false, number: None };
    runs::write_costs(&op, hub.hub(), &agents, batch).await?;
    for (path, parts) in
        [("/agents/costs", 1), ("/agents/costs?by=model&days=1", 2), ("/agents/named/ann/costs", 2)]
    {
        browser.client().goto(&format!("{base}{path}")).await?;
        let title = browser.client().find(Locator::Css("#spent-title")).await?.text().await?;
        let rows = browser.client().find_all(Locator::Css("#spent tbody tr")).await?.len();
        let bars = browser.client().find_all(Locator::Css("#spent .chart g rect:not(.whole)")).await?.len();
        assert_eq!((title.as_str(), rows, bars), ("$1.50 spent", parts, parts), "{path}");
    }
    let complaints = browser.complaints().await?;
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    browser.close().await
}
