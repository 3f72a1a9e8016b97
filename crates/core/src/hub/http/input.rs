//! What a request brings: a JSON body ([`Input`]), a query ([`Query`]), parts of the path ([`Path`]). What cannot be
//! read is refused in the one shape that errors have, and says which field is at fault.

use std::sync::Arc;

use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::failure;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};

/// The largest body of an API request, in bytes.
pub(super) const MAX_BODY: usize = 256 << 10;

/// Up to here every whole number is one that a float can be.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// No text that is stored holds it: PostgreSQL cannot keep it.
const NUL: &str = "it holds the character NUL, which no text here may hold";

/// A JSON body. An absent one stands for `{}`.
pub struct Input<T>(pub T);

/// Why a body was not taken.
#[derive(Debug)]
pub enum BadInput {
    /// It is no JSON, or not what is wanted.
    Invalid(Error),
    /// It is longer than a body may be.
    TooLong,
    /// It says itself that it is no JSON.
    NotJson,
}

impl From<Error> for BadInput {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

impl IntoResponse for BadInput {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(error) => error.into_response(),
            Self::TooLong => failure(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                &format!("the body is longer than {MAX_BODY} bytes: send less at once"),
            ),
            Self::NotJson => failure(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the body must be JSON, and sent as application/json",
            ),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Hub>> for Input<T> {
    type Rejection = BadInput;

    async fn from_request(request: Request, _: &Arc<Hub>) -> Result<Self, BadInput> {
        let json = is_json(request.headers());
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                BadInput::TooLong
            } else {
                Error::invalid("body", "it did not arrive whole").into()
            }
        })?;
        let body = body.to_bytes();
        if body.is_empty() {
            return parse(b"{}").map(Self).map_err(Into::into);
        }
        if !json {
            return Err(BadInput::NotJson);
        }
        parse(&body).map(Self).map_err(Into::into)
    }
}

/// Whether a body is JSON by its own account; what says nothing is believed to be.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    // The library would take a list of all the fields in the place of the object.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Error::invalid("body", "must be an object"));
    }
    if holds_nul(body) {
        return Err(Error::invalid("body", NUL));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let input = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // What is not known yet of the path when reading ends is written as a question mark.
        let field = path.trim_end_matches(['.', '?']);
        Error::invalid(if field.is_empty() { "body" } else { field }, error.inner().to_string())
    });
    match input {
        Ok(input) => json.end().map(|()| input).map_err(|error| Error::invalid("body", error.to_string())),
        Err(error) => in_whole_numbers(body).and_then(|value| T::deserialize(value).ok()).ok_or(error),
    }
}

/// The document with 5 where it says 5.0, if it does: to JSON these are one number, and some libraries write no other.
fn in_whole_numbers(body: &[u8]) -> Option<Value> {
    #[expect(clippy::cast_possible_truncation, reason = "such a number has no fraction and is small enough")]
    fn make_whole(value: &mut Value) -> bool {
        match value {
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
                    *value = Value::from(float as i64);
                    true
                }
                _ => false,
            },
            Value::Array(values) => values.iter_mut().fold(false, |any, value| make_whole(value) | any),
            Value::Object(fields) => fields.values_mut().fold(false, |any, value| make_whole(value) | any),
            _ => false,
        }
    }
    let mut value = serde_json::from_slice(body).ok()?;
    make_whole(&mut value).then_some(value)
}

/// Whether a text in a JSON document holds the character NUL, which can only be written as an escape there.
fn holds_nul(body: &[u8]) -> bool {
    fn in_value(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(values) => values.iter().any(in_value),
            Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || in_value(value)),
            _ => false,
        }
    }
    // Most documents hold no such escape at all, and need not be read twice.
    body.windows(6).any(|window| window == br"\u0000")
        && serde_json::from_slice(body).is_ok_and(|value| in_value(&value))
}

/// What a query says. A name that means nothing, or comes twice, is refused where the shape denies unknown fields.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Hub>> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Hub>) -> Result<Self> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Error::invalid("query", NUL));
        }
        let read = extract::Query::try_from_uri(&parts.uri);
        read.map(|extract::Query(query)| Self(query)).map_err(|rejection| {
            let problem = innermost(&rejection);
            match problem.split_once(": ") {
                Some((field, problem)) if is_field(field) => Error::invalid(field, problem),
                _ => Error::invalid("query", problem),
            }
        })
    }
}

fn is_field(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// What stands in the path where its declaration has braces.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Hub>> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self> {
        if parts.uri.path().contains("%00") {
            return Err(Error::invalid("path", NUL));
        }
        match extract::Path::from_request_parts(parts, hub).await {
            Ok(extract::Path(path)) => Ok(Self(path)),
            Err(rejection) => Err(Error::invalid("path", innermost(&rejection))),
        }
    }
}

/// What the library that read it says, without what was wrapped around it.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[serde(default)]
        names: Vec<String>,
    }

    fn problem(body: &str) -> (String, String) {
        match parse::<Shape>(body.as_bytes()) {
            Err(Error::Invalid { field, problem }) => (field, problem),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn a_body_that_cannot_be_read_names_the_field() {
        assert_eq!(problem(r#"{"names": ["a", 5]}"#).0, "names[1]");
        let (field, words) = problem(r#"{"nmaes": []}"#);
        assert!(field == "nmaes" && words.contains("unknown field"), "{field}: {words}");
        for bad in ["", "{", "nothing", "{} {}", "\u{0}", "[1]"] {
            assert_eq!(problem(bad).0, "body", "{bad}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction() {
        #[derive(Debug, Deserialize)]
        struct Number {
            n: u64,
        }
        let n = |body: &str| parse::<Number>(body.as_bytes()).map(|number| number.n).ok();
        assert_eq!(
            [n(r#"{"n": 5.0}"#), n(r#"{"n": 5e3}"#), n(r#"{"n": 5}"#)],
            [Some(5), Some(5000), Some(5)]
        );
        assert_eq!(n(r#"{"n": 5.0, "and": "more"}"#), Some(5));
        for bad in [r#"{"n": 5.5}"#, r#"{"n": -5.0}"#, r#"{"n": 1e300}"#, r#"{"n": "5.0"}"#, r#"{"n": 5.0"#] {
            assert_eq!(n(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_text_never_holds_nul() {
        assert_eq!(problem(r#"{"names": ["a\u0000"]}"#), ("body".to_owned(), NUL.to_owned()));
        assert_eq!(parse::<Shape>(br#"{"names": ["\\u0000"]}"#).unwrap().names, [r"\u0000"]);
    }

    #[test]
    fn a_body_is_json_unless_it_says_otherwise() {
        let with =
            |value: &str| is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]));
        assert!(is_json(&HeaderMap::new()));
        assert!(with("application/json") && with("Application/JSON; charset=utf-8"));
        assert!(!with("application/x-www-form-urlencoded") && !with("text/plain") && !with(""));
    }
}
