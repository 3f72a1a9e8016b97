//! What a request to Engine.IO's path asks for, by its query; and the answers to what is wrong, as the original words them.

use axum::body::Body;
use axum::response::Response;
use http::{Method, StatusCode, header};
use serde_json::json;

/// How a client's packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By requests, of which one waits for what comes.
    Polling,
    /// By one WebSocket.
    WebSocket,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) transport: Transport,
    /// The connection that it belongs to; a new one is wanted otherwise.
    pub(super) sid: Option<String>,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    UnknownTransport,
    UnknownSession,
    BadHandshakeMethod,
    BadRequest,
    UnsupportedVersion,
    /// A message, or a body of several, is larger than may be.
    TooLarge,
    /// Too many wait to be let in.
    Crowded,
}

impl Asked {
    /// Reads it. Whether there is such a connection, the caller knows.
    pub(super) fn read(method: &Method, query: &str) -> Result<Self, Fault> {
        let (mut transport, mut sid, mut version) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "transport" => transport = Some(value),
                "sid" => sid = Some(value.into_owned()),
                "EIO" => version = Some(value),
                _ => {}
            }
        }
        let transport = match transport.as_deref() {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(Fault::UnknownTransport),
        };
        if sid.is_none() {
            if method != Method::GET {
                return Err(Fault::BadHandshakeMethod);
            }
            if version.as_deref() != Some("4") {
                return Err(Fault::UnsupportedVersion);
            }
        }
        Ok(Self { transport, sid })
    }
}

impl Fault {
    /// The answer.
    pub(super) fn answer(self) -> Response {
        let (status, code, message) = match self {
            Self::UnknownTransport => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Self::UnknownSession => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Self::BadHandshakeMethod => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Self::UnsupportedVersion => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3, "Payload too large"),
            Self::Crowded => (StatusCode::SERVICE_UNAVAILABLE, 4, "Too many connections wait to be let in"),
        };
        answer(status, "application/json", json!({ "code": code, "message": message }).to_string())
    }
}

/// An answer that nobody keeps.
pub(super) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_what_is_wrong_with_it() {
        let read = |method: Method, query| Asked::read(&method, query);
        let polling =
            |sid: Option<&str>| Asked { transport: Transport::Polling, sid: sid.map(str::to_owned) };
        assert_eq!(read(Method::GET, "EIO=4&transport=polling&t=abc"), Ok(polling(None)));
        assert_eq!(read(Method::POST, "EIO=4&transport=polling&sid=a%2Fb"), Ok(polling(Some("a/b"))));
        assert_eq!(
            read(Method::GET, "transport=websocket&sid="),
            Ok(Asked { transport: Transport::WebSocket, sid: Some(String::new()) })
        );
        assert_eq!(read(Method::GET, "EIO=4"), Err(Fault::UnknownTransport));
        assert_eq!(read(Method::GET, "EIO=4&transport=webtransport"), Err(Fault::UnknownTransport));
        assert_eq!(read(Method::POST, "EIO=4&transport=polling"), Err(Fault::BadHandshakeMethod));
        assert_eq!(read(Method::GET, "EIO=3&transport=polling"), Err(Fault::UnsupportedVersion));
        assert_eq!(read(Method::GET, "transport=polling"), Err(Fault::UnsupportedVersion));
    }
}
