//! How soon a page can be used in a real browser, with and without what it keeps.

use anyhow::{Context as _, ensure};
use nave_link::protocol::NodeReport;
use nave_testkit::browser::{Browser, Colours};
use nave_testkit::wait::until;
use serde_json::{Value, json};

use crate::farm::Hub;
use crate::stats::{Row, Table, spread};
use crate::visit::NODES;
use crate::{client, nodes};

/// How often the page is loaded each way.
const LOADS: usize = 15;
/// How many files the page loads besides itself, at least.
const FILES: f64 = 3.0;

/// Notes when the page became live; runs before anything of the page does.
const WATCH: &str = "new MutationObserver((_, watch) => { if (document.querySelector('nave-live[state=live]')) { window.naveLiveAt = performance.now(); watch.disconnect(); } }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['state'] });";

/// What the browser measured, in the order of `MEASURES`, then how many files came over the network; nothing before all of
/// it is known.
const READ: &str = "const page = performance.getEntriesByType('navigation')[0]; const paint = performance.getEntriesByName('first-contentful-paint')[0]; if (!window.naveLiveAt || !page.loadEventEnd || !paint) return null; const sent = performance.getEntriesByType('resource').filter((file) => file.transferSize > 0 && file.name.includes('/assets/')); return [paint.startTime, page.domInteractive, page.domContentLoadedEventEnd, page.loadEventEnd, window.naveLiveAt, sent.length];";

const MEASURES: [&str; 5] = [
    "something is shown",
    "it is read to its end (domInteractive)",
    "its scripts have run (DOMContentLoaded)",
    "it is loaded (load)",
    "it is live",
];

/// Loads the page once; returns the measures, and how many files came over the network.
async fn load(browser: &Browser, url: &str) -> anyhow::Result<(Vec<f64>, f64)> {
    browser.client().goto(url).await?;
    let read = || async {
        let told = browser.client().execute(READ, Vec::new()).await.ok()?;
        told.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>()
    };
    let mut times = until("the page is live", read).await?;
    let files = times.pop().context("a number of files")?;
    Ok((times, files))
}

pub async fn run() -> anyhow::Result<Table> {
    let hub = Hub::start(&[]).await?;
    let _nodes = nodes::join_many(&hub, 0, NODES, &NodeReport::default()).await?;
    let admin = client::administrator(&hub).await?;
    let browser = Browser::trusting(&hub.data().join("cert/hub-cert.pem")).await?;
    let url = hub.url().to_string();
    browser.screen(1280, 800, Colours::Light).await?;
    browser.cookie(&url, admin.cookie.as_deref().context("the administrator is signed in")?).await?;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": WATCH })).await?;
    // Before the first page, the browser itself is not ready.
    load(&browser, &url).await?;
    let mut rows = Vec::new();
    for cold in [true, false] {
        let mut times = vec![Vec::new(); MEASURES.len()];
        for _ in 0..LOADS {
            browser.client().goto("about:blank").await?;
            if cold {
                browser.devtools("Network.clearBrowserCache", &json!({})).await?;
            }
            let (told, files) = load(&browser, &url).await?;
            ensure!((files >= FILES) == cold, "{files} files came over the network");
            for (times, told) in times.iter_mut().zip(told) {
                times.push(told);
            }
        }
        let state = if cold { "nothing kept" } else { "files kept" };
        for (what, times) in MEASURES.iter().zip(times) {
            rows.push(Row::new(format!("{state}: until {what}"), spread(times).show("ms"), ""));
        }
    }
    browser.close().await?;
    Ok(Table {
        title: "Pages in a browser",
        note: format!(
            "The overview of {NODES} nodes in Chromium without a window, {LOADS} loads each way, from the moment that the browser begins to go there. Browser, hub and nodes share the cores."
        ),
        rows,
    })
}
