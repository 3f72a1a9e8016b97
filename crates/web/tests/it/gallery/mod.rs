//! Every page with sample values, in every state that people meet: empty, a few rows, thousands of rows with names that
//! are long or mean harm. A browser looks at each in light and dark, wide and narrow; pictures go to
//! `target/screenshots/gallery`, and nothing may keep people out or break the pages' policy.

mod door;
mod hub;
mod network;
mod people;
mod serve;
mod things;

use std::path::PathBuf;

use anyhow::ensure;
use fantoccini::Locator;
use nave_core::hub::error::Error;
use nave_testkit::browser::{Browser, Colours};
use nave_testkit::need;
use nave_web::form::Fields;
use nave_web::shell::{CORE_MENU, MenuItem, Shell, SignedIn, Theme};
use nave_web::ui::{Filled, Tone};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::datetime;

/// When all of it takes place.
pub const NOW: OffsetDateTime = datetime!(2026-08-04 12:00 UTC);

/// Names that mean harm, or are only long.
pub const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&amp;{{7*7}}\u{202e}evil";

/// One page in one state.
pub struct Sample {
    /// The picture's name.
    pub name: &'static str,
    /// The page.
    pub html: String,
}

impl Sample {
    /// A page in a state.
    pub fn of(name: &'static str, page: &impl askama::Template) -> Self {
        Self { name, html: page.render().expect("a page of plain values can be written") }
    }
}

/// A form that came back.
pub fn refused(body: &[u8], error: &Error) -> Filled {
    Filled::refused(&Fields::parse(body).expect("a sample has few fields"), error)
}

/// What stands around a page of somebody who is signed in.
pub fn shell(title: &str, here: &'static str) -> Shell {
    let counted = |item: MenuItem| match item.path {
        "/nodes" => MenuItem { count: 2, tone: Tone::Warn, ..item },
        "/status" => MenuItem { count: 1, tone: Tone::Bad, ..item },
        _ => item,
    };
    Shell {
        title: title.to_owned(),
        here,
        menu: CORE_MENU.into_iter().map(counted).collect(),
        person: Some(SignedIn { name: "Ada".to_owned(), email: "ada@example.org".to_owned() }),
        hub: "hub.example.org".to_owned(),
        theme: Theme::System,
        form_token: "token".to_owned(),
        notice: None,
        now: NOW,
    }
}

/// What stands around a page of nobody in particular.
pub fn outside(title: &str) -> Shell {
    Shell { menu: Vec::new(), person: None, ..shell(title, "") }
}

/// The highest picture, in pixels.
const LONGEST: u32 = 4000;

/// The screens on which pages are looked at, and whether barriers are looked for: between them, the two that are have
/// both widths and both colours.
const SCREENS: [(&str, u32, u32, Colours, bool); 4] = [
    ("wide-light", 1280, 800, Colours::Light, true),
    ("wide-dark", 1280, 800, Colours::Dark, false),
    ("narrow-light", 360, 740, Colours::Light, false),
    ("narrow-dark", 360, 740, Colours::Dark, true),
];

#[tokio::test(flavor = "multi_thread")]
async fn pages_before_sign_in_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    look(door::samples()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_network_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    look(network::samples()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_people_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    look(people::samples()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_hub_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    look(hub::samples()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_on_a_page_is_in_order_chromium() -> anyhow::Result<()> {
    if !need("chromium") || !need("axe") {
        return Ok(());
    }
    let address = serve::start(&network::samples()).await?;
    let browser = Browser::start().await?;
    let mut wrong = Vec::new();
    for (name, width, height, colours, opener) in [
        ("dialog", 1280, 800, Colours::Light, "button[popovertarget=revoke]"),
        ("dialog", 360, 740, Colours::Dark, "button[popovertarget=revoke]"),
        ("menu", 360, 740, Colours::Light, ".bar button[popovertarget=menu]"),
        ("menu", 360, 740, Colours::Dark, ".bar button[popovertarget=menu]"),
    ] {
        browser.screen(width, height, colours).await?;
        browser.client().goto(&format!("http://{address}/sample/node-detail")).await?;
        browser.client().find(Locator::Css(opener)).await?.click().await?;
        browser.client().wait().for_element(Locator::Css("dialog[open], nav:popover-open")).await?;
        let to = pictures().join(format!("open-{name}.{width}-{colours:?}.png").to_lowercase());
        browser.picture(&to).await?;
        wrong.extend(browser.barriers().await?);
    }
    browser.close().await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Looks at each sample. `NAVE_GALLERY` narrows them to those whose names begin so, for whoever changes one.
async fn look(samples: Vec<Sample>) -> anyhow::Result<()> {
    if !need("chromium") || !need("axe") {
        return Ok(());
    }
    let only = std::env::var("NAVE_GALLERY").unwrap_or_default();
    let samples: Vec<Sample> =
        samples.into_iter().filter(|sample| sample.name.starts_with(only.as_str())).collect();
    let address = serve::start(&samples).await?;
    let browser = Browser::start().await?;
    // The browser's clock stands where the samples take place.
    let clock = format!("Date.now = () => {}", NOW.unix_timestamp() * 1000);
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": clock })).await?;
    let mut wrong = Vec::new();
    for (screen, width, height, colours, barriers) in SCREENS {
        browser.screen(width, height, colours).await?;
        for Sample { name, .. } in &samples {
            browser.client().goto(&format!("http://{address}/sample/{name}")).await?;
            let to = pictures().join(format!("{name}.{screen}.png"));
            let whole = browser.height().await?.clamp(height, LONGEST);
            browser.screen(width, whole, colours).await?;
            browser.picture(&to).await?;
            browser.screen(width, height, colours).await?;
            let mut found = browser.complaints().await?;
            let overflow = browser.overflow().await?;
            if overflow > 0 {
                found.push(format!("the page is {overflow} pixels wider than the screen"));
            }
            if barriers {
                found.extend(browser.barriers().await?);
            }
            wrong.extend(found.into_iter().map(|what| format!("{name} on {screen}: {what}")));
        }
    }
    browser.close().await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots/gallery")
}
