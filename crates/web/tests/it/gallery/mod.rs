//! Every page with sample values, in every state that people meet: empty, a few rows, thousands of rows with names that
//! are long or mean harm. A browser looks at each in light and dark, wide and narrow; pictures go to
//! `target/screenshots/gallery`, and nothing may keep people out or break the pages' policy.

mod door;
mod network;
mod rest;
mod serve;
mod things;

use std::path::PathBuf;

use anyhow::ensure;
use nave_testkit::browser::{Browser, Colours};
use nave_testkit::need;
use nave_web::shell::{CORE_MENU, MenuItem, Shell, SignedIn, Theme};
use nave_web::ui::Tone;
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
        Self { name, html: page.render().unwrap() }
    }
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

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    samples.extend(door::samples());
    samples.extend(network::samples());
    samples.extend(rest::samples());
    samples
}

/// The screens on which pages are looked at.
const SCREENS: [(&str, u32, u32, Colours); 4] = [
    ("wide-light", 1280, 800, Colours::Light),
    ("wide-dark", 1280, 800, Colours::Dark),
    ("narrow-light", 360, 740, Colours::Light),
    ("narrow-dark", 360, 740, Colours::Dark),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    if !need("chromium") || !need("axe") {
        return Ok(());
    }
    let only = std::env::var("NAVE_GALLERY").unwrap_or_default();
    let samples: Vec<Sample> =
        samples().into_iter().filter(|sample| sample.name.contains(only.as_str())).collect();
    let names: Vec<&str> = samples.iter().map(|sample| sample.name).collect();
    let address = serve::start(&samples).await?;
    let browser = Browser::start().await?;
    let mut wrong = Vec::new();
    for (screen, width, height, colours) in SCREENS {
        browser.screen(width, height, colours).await?;
        for name in &names {
            browser.client().goto(&format!("http://{address}/sample/{name}")).await?;
            let to = pictures().join(format!("{name}.{screen}.png"));
            browser.picture(&to, false).await?;
            let found = browser.barriers().await?.into_iter().chain(browser.complaints().await?);
            wrong.extend(found.map(|what| format!("{name} on {screen}: {what}")));
        }
    }
    browser.close().await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots/gallery")
}
