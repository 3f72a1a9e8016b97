//! Every page with sample values, in every state that people meet: empty, a few rows, thousands of rows with names that
//! are long or mean harm. A browser looks at each in light and dark, wide and narrow; pictures go to
//! `target/screenshots/gallery`, and nothing may keep people out or break the pages' policy.

mod door;
mod hub;
mod network;
mod people;
mod things;

use std::path::PathBuf;

use anyhow::ensure;
use fantoccini::Locator;
use nave_core::hub::error::Error;
use nave_testkit::browser::{Browser, Colours};
use nave_testkit::gallery::{HOSTILE, NOW, Sample, look, serve, shell};
use nave_testkit::need;
use nave_web::form::Fields;
use nave_web::shell::Shell;
use nave_web::ui::Filled;

/// A form that came back.
pub fn refused(body: &[u8], error: &Error) -> Filled {
    Filled::refused(&Fields::parse(body).expect("a sample has few fields"), error)
}

/// What stands around a page of nobody in particular.
pub fn outside(title: &str) -> Shell {
    Shell { menu: Vec::new(), person: None, ..shell(title, "") }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_before_sign_in_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    look(door::samples(), &pictures()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_network_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    look(network::samples(), &pictures()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_people_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    look(people::samples(), &pictures()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_hub_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    look(hub::samples(), &pictures()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_on_a_page_is_in_order_chromium() -> anyhow::Result<()> {
    if !need("chromium") || !need("axe") {
        return Ok(());
    }
    let address = serve(&network::samples()).await?;
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

fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots/gallery")
}
