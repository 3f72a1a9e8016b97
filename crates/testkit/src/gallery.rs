//! Looking at pages that are filled with sample values: each in light and dark, wide and narrow, with a picture of each.
//! Nothing on them may keep people out or break the pages' policy. What the samples hold is the tests'.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use axum::Router;
use axum::extract;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use nave_web::shell::{CORE_MENU, MenuItem, Shell, SignedIn, Theme};
use nave_web::ui::Tone;
use nave_web::{assets, page};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::browser::{Browser, Colours};
use crate::need;

/// When all of it takes place.
pub const NOW: OffsetDateTime = datetime!(2026-08-04 12:00 UTC);

/// Names that mean harm, or are only long.
pub const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&amp;{{7*7}}\u{202e}evil";

/// One page in one state.
#[derive(Clone, Debug)]
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

/// Looks at each sample, and puts the pictures into a folder. `NAVE_GALLERY` narrows them to those whose names begin so, for whoever changes one.
pub async fn look(samples: Vec<Sample>, pictures: &Path) -> anyhow::Result<()> {
    if !need("chromium") || !need("axe") {
        return Ok(());
    }
    let only = std::env::var("NAVE_GALLERY").unwrap_or_default();
    let samples: Vec<Sample> =
        samples.into_iter().filter(|sample| sample.name.starts_with(only.as_str())).collect();
    let address = serve(&samples).await?;
    let browser = Browser::start().await?;
    // The browser's clock stands where the samples take place.
    let clock = format!("Date.now = () => {}", NOW.unix_timestamp() * 1000);
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": clock })).await?;
    let mut wrong = Vec::new();
    for (screen, width, height, colours, barriers) in SCREENS {
        browser.screen(width, height, colours).await?;
        for Sample { name, .. } in &samples {
            browser.client().goto(&format!("http://{address}/sample/{name}")).await?;
            let to = pictures.join(format!("{name}.{screen}.png"));
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

/// A stream of events on which nothing happens.
async fn live() -> Response {
    let silence = futures::stream::pending::<Result<&str, std::convert::Infallible>>();
    ([(header::CONTENT_TYPE, "text/event-stream")], axum::body::Body::from_stream(silence)).into_response()
}

/// Serves samples on loopback, with the headers that real pages have.
pub async fn serve(samples: &[Sample]) -> anyhow::Result<SocketAddr> {
    let pages: HashMap<String, String> =
        samples.iter().map(|sample| (sample.name.to_owned(), sample.html.clone())).collect();
    let pages = Arc::new(pages);
    let sample = move |extract::Path(name): extract::Path<String>| {
        let pages = Arc::clone(&pages);
        async move {
            match pages.get(&name) {
                Some(html) => page::secured(Html(html.clone()).into_response()),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    let router = Router::new()
        .route("/sample/{name}", get(sample))
        .route("/assets/{file}", get(assets::serve))
        .route("/live", get(live))
        .fallback(async || StatusCode::NO_CONTENT);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    #[expect(clippy::disallowed_methods, reason = "samples on loopback need no time limits and no TLS")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
