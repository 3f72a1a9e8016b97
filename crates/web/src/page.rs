//! How a page is sent: its headers, which let it load nothing but what this hub serves and run nothing that stands in
//! the page itself.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// What a page may load, run and be put into.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     report-uri /csp-report; report-to csp";

const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (HeaderName::from_static("reporting-endpoints"), "csp=\"/csp-report\""),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::VARY, "cookie"),
];

/// A page, or its part, as an answer.
pub fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => secured((status, Html(text)).into_response()),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            secured((StatusCode::INTERNAL_SERVER_ERROR, "this page could not be written\n").into_response())
        }
    }
}

/// An answer with the headers of pages.
pub fn secured(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
