//! What pages load besides themselves: styles, scripts and pictures, part of the program. Each has an address that holds
//! the hash of its content, so that browsers and whatever stands between may keep it for good.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;

/// How much of the hash stands in an address, in hex digits.
const SHOWN: usize = 16;
/// Where assets are.
pub const FOLDER: &str = "/assets/";

#[derive(RustEmbed)]
#[folder = "assets"]
struct Files;

/// A file that is served, and those that it is put together from, in order.
type Served = (&'static str, &'static [&'static str]);

/// What every page loads.
const ON_EVERY_PAGE: [Served; 5] = [
    (
        "console.css",
        &[
            "css/1-tokens.css",
            "css/2-base.css",
            "css/3-shell.css",
            "css/4-parts.css",
            "css/5-pages.css",
            "css/6-charts.css",
            "css/7-agents.css",
        ],
    ),
    ("console.js", &["console.js"]),
    ("htmx.js", &["vendor/htmx.min.js"]),
    ("icons.svg", &["icons.svg"]),
    ("favicon.svg", &["favicon.svg"]),
];

/// What only pages with a terminal load.
const WITH_A_TERMINAL: [Served; 4] = [
    ("terminal.css", &["vendor/xterm.css", "terminal.css"]),
    ("terminal.js", &["terminal.js"]),
    ("xterm.js", &["vendor/xterm.mjs"]),
    ("xterm-fit.js", &["vendor/xterm-addon-fit.mjs"]),
];

fn served() -> impl Iterator<Item = Served> {
    ON_EVERY_PAGE.into_iter().chain(WITH_A_TERMINAL)
}

/// One asset, ready to be sent.
struct Asset {
    kind: &'static str,
    tag: HeaderValue,
    plain: Bytes,
    /// Compressed once, if that makes it smaller.
    gzip: Option<Bytes>,
}

#[derive(Default)]
struct Assets {
    /// The addresses by name.
    addresses: HashMap<&'static str, String>,
    /// The assets by the last part of their addresses.
    served: HashMap<String, Asset>,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let mut assets = Assets::default();
    for (name, parts) in served() {
        let content: Vec<u8> = parts
            .iter()
            .flat_map(|part| Files::get(part).map(|file| file.data.into_owned()).unwrap_or_default())
            .collect();
        let hash = hex::encode(digest::digest(&digest::SHA256, &content));
        let file = addressed(name, &hash[..SHOWN]);
        let tag = HeaderValue::try_from(format!("\"{hash}\"")).expect("hex digits fit into a header");
        let gzip = compressed(&content).filter(|gzip| gzip.len() < content.len());
        assets.addresses.insert(name, format!("{FOLDER}{file}"));
        assets.served.insert(file, Asset { kind: kind(name), tag, plain: content.into(), gzip });
    }
    assets
});

/// The address of an asset by its name, such as `console.css`; empty if there is none.
pub fn address(name: &str) -> &'static str {
    ASSETS.addresses.get(name).map_or("", String::as_str)
}

/// Answers for an asset.
pub async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    match ASSETS.served.get(&file) {
        Some(asset) => answer(asset, &headers, "public, max-age=31536000, immutable"),
        None => {
            (StatusCode::NOT_FOUND, "there is no such file; reload the page that names it\n").into_response()
        }
    }
}

/// Answers for the icon that browsers ask for by themselves, where a page names none. The address tells nothing of the
/// content, so it is asked for again after a day.
pub async fn favicon(headers: HeaderMap) -> Response {
    let file = address("favicon.svg").trim_start_matches(FOLDER);
    match ASSETS.served.get(file) {
        Some(asset) => answer(asset, &headers, "public, max-age=86400"),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(asset: &Asset, headers: &HeaderMap, cached: &'static str) -> Response {
    let has = |name, word: &str| {
        headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| accepts(value, word)))
    };
    let kept = headers.get(header::IF_NONE_MATCH).is_some_and(|value| *value == asset.tag);
    let mut response = match &asset.gzip {
        _ if kept => StatusCode::NOT_MODIFIED.into_response(),
        Some(gzip) if has(header::ACCEPT_ENCODING, "gzip") => {
            ([(header::CONTENT_ENCODING, "gzip")], gzip.clone()).into_response()
        }
        _ => asset.plain.clone().into_response(),
    };
    let send = response.headers_mut();
    send.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    send.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    send.insert(header::ETAG, asset.tag.clone());
    send.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    send.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a header like `gzip, br;q=0.5` takes a coding.
fn accepts(header: &str, coding: &str) -> bool {
    header.split(',').any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case(coding) && !refused
    })
}

fn addressed(name: &str, hash: &str) -> String {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "bin"));
    format!("{stem}.{hash}.{ending}")
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn compressed(content: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_has_content_and_an_address_of_its_own() {
        for (name, _) in served() {
            let file = address(name).strip_prefix(FOLDER).unwrap();
            assert!(!ASSETS.served[file].plain.is_empty(), "{name}");
        }
        assert_eq!((ASSETS.served.len(), address("nothing.css")), (served().count(), ""));
    }

    #[test]
    fn a_first_visit_loads_little() {
        let sent: usize = ON_EVERY_PAGE
            .iter()
            .filter_map(|(name, _)| ASSETS.served.get(address(name).strip_prefix(FOLDER)?))
            .map(|asset| asset.gzip.as_ref().unwrap_or(&asset.plain).len())
            .sum();
        assert!(sent > 10_000, "what is loaded is not found: {sent} bytes");
        assert!(sent < 60_000, "{sent} bytes");
    }

    #[test]
    fn what_is_vendored_is_what_was_published() {
        let told = include_str!("../assets/vendor/README.md");
        let is_told = |name: &str| {
            let file = Files::get(name).unwrap();
            let hash = hex::encode(digest::digest(&digest::SHA256, &file.data));
            told.lines().any(|line| line.contains(name.trim_start_matches("vendor/")) && line.contains(&hash))
        };
        let vendored: Vec<_> = Files::iter().filter(|name| name.starts_with("vendor/")).collect();
        let code = vendored.iter().filter(|name| !name.ends_with(".LICENSE") && !name.ends_with(".md"));
        for name in code {
            assert!(is_told(name), "{name} is not as vendor/README.md says");
        }
        assert!(vendored.len() > 4);
    }

    #[test]
    fn a_coding_is_taken_unless_its_weight_is_nothing() {
        assert!(accepts("gzip, deflate, br", "gzip") && accepts("br;q=1, GZIP;q=0.2", "gzip"));
        for refused in ["", "br", "gzip;q=0", "gzip; q=0.0", "xgzip", ";;;,"] {
            assert!(!accepts(refused, "gzip"), "{refused}");
        }
    }

    #[tokio::test]
    async fn the_icon_has_an_address_that_browsers_know() {
        let response = favicon(HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "image/svg+xml");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=86400");
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, response.headers()[header::ETAG].clone());
        assert_eq!(favicon(headers).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn answers_say_that_they_hold_for_good() {
        let file = address("console.css").strip_prefix(FOLDER).unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let response = serve(Path(file.clone()), headers.clone()).await;
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        headers.insert(header::IF_NONE_MATCH, response.headers()[header::ETAG].clone());
        assert_eq!(serve(Path(file), headers.clone()).await.status(), StatusCode::NOT_MODIFIED);
        for wrong in ["console.css", "console.0000000000000000.css", "../hub.key", ""] {
            let response = serve(Path(wrong.to_owned()), headers.clone()).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{wrong}");
        }
    }
}
