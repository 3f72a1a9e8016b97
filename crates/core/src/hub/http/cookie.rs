//! The session's cookie, and whether a request comes from the hub's own pages.

use http::request::Parts;
use http::{HeaderMap, header};

use crate::hub::people::secret::Secret;

/// The session's cookie. The prefix binds it to this host and to TLS, whatever else is set (RFC 6265bis, 4.1.3).
pub const NAME: &str = "__Host-nave";

/// The most of a `Cookie` header that is looked at.
const LONGEST: usize = 8 << 10;

/// The ticket of whoever is at a provider of sign-in. It comes back with the browser from another site, which `Lax` allows.
pub const TICKET: &str = "__Host-nave-ticket";

/// The secret in a request's session cookie. One that comes twice is not believed.
pub fn session(headers: &HeaderMap) -> Option<Secret> {
    value(headers, NAME)?.parse().ok()
}

/// The ticket in a request's cookie.
pub fn ticket(headers: &HeaderMap) -> Option<&str> {
    value(headers, TICKET)
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = None;
    for header in headers.get_all(header::COOKIE) {
        let text = header.to_str().ok().filter(|text| text.len() <= LONGEST)?;
        for pair in text.split(';') {
            let Some((_, value)) = pair.trim().split_once('=').filter(|(key, _)| *key == name) else {
                continue;
            };
            if found.replace(value).is_some() {
                return None;
            }
        }
    }
    found
}

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// The header that gives a browser its session; without a secret, that takes it.
pub fn set(secret: Option<&Secret>) -> String {
    match secret {
        Some(secret) => format!("{NAME}={}; {ATTRIBUTES}", secret.reveal().as_str()),
        None => format!("{NAME}=; Max-Age=0; {ATTRIBUTES}"),
    }
}

/// The header that gives a browser its ticket; without one, that takes it.
pub fn set_ticket(ticket: Option<&str>) -> String {
    match ticket {
        Some(ticket) => format!("{TICKET}={ticket}; {ATTRIBUTES}"),
        None => format!("{TICKET}=; Max-Age=0; {ATTRIBUTES}"),
    }
}

/// Whether a request comes from a page of this hub. Browsers say so themselves (Fetch Metadata, or at least the Origin);
/// what says nothing is not believed.
pub fn same_origin(parts: &Parts) -> bool {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = parts.uri.authority().map(http::uri::Authority::as_str).or_else(|| text("host"));
    match (text("origin"), host) {
        (Some(origin), Some(host)) => {
            origin.strip_prefix("https://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use nave_link::random::Random;

    use super::*;

    fn with(cookies: &[&str]) -> Option<Secret> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        session(&headers)
    }

    #[test]
    fn a_cookie_is_found_among_others_and_believed_once() {
        let secret = Secret::generate(&Random::seeded(3));
        let pair = set(Some(&secret)).split(';').next().unwrap().to_owned();
        for good in [pair.clone(), format!("a=b; {pair}"), format!("{pair};x=y"), format!("a;b;; {pair}")] {
            assert_eq!(with(&[&good]).unwrap().hash(), secret.hash(), "{good}");
        }
        let long = format!("{pair}; a={}", "x".repeat(LONGEST));
        for bad in [&format!("{pair}; {pair}"), "__Host-nave=short", "__host-nave=x", "", &long] {
            assert!(with(&[bad]).is_none(), "{bad}");
        }
        assert!(with(&[&pair, &pair]).is_none());
    }

    #[test]
    fn only_the_hubs_own_pages_are_the_hubs_own_pages() {
        let from = |headers: &[(&'static str, &str)]| {
            let mut request = http::Request::builder().uri("/x");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            same_origin(&request.body(()).unwrap().into_parts().0)
        };
        let host = ("host", "hub.example.org:3101");
        assert!(from(&[("sec-fetch-site", "same-origin")]));
        assert!(from(&[host, ("origin", "https://hub.example.org:3101")]));
        for site in ["same-site", "cross-site", "none", ""] {
            assert!(!from(&[("sec-fetch-site", site), host, ("origin", "https://hub.example.org:3101")]));
        }
        assert!(!from(&[host, ("origin", "http://hub.example.org:3101")]));
        assert!(!from(&[host, ("origin", "https://hub.example.org")]));
        assert!(!from(&[host, ("origin", "null")]) && !from(&[host]));
    }
}
