//! Serves the samples on loopback, with the headers that real pages have.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use nave_web::{assets, page};

use super::Sample;

/// A stream of events on which nothing happens.
async fn live() -> Response {
    let silence = futures::stream::pending::<Result<&str, std::convert::Infallible>>();
    ([(http::header::CONTENT_TYPE, "text/event-stream")], axum::body::Body::from_stream(silence))
        .into_response()
}

pub async fn start(samples: &[Sample]) -> anyhow::Result<SocketAddr> {
    let pages: HashMap<String, String> =
        samples.iter().map(|sample| (sample.name.to_owned(), sample.html.clone())).collect();
    let pages = Arc::new(pages);
    let sample = move |Path(name): Path<String>| {
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
