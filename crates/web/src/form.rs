//! What a page's form sends. A form counts only if it comes from a page of this hub and carries the token that was made
//! for this session.

mod upload;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt as _, Limited};
use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::http::cookie;

pub use self::upload::{File, Upload};
use crate::error::PageError;
use crate::visitor::is_own_form;

/// The largest form, in bytes.
const MAX_FORM: usize = 64 << 10;
/// The most fields of a form.
const MOST_FIELDS: usize = 500;
/// The field that carries the token; htmx sends it as a header instead.
const TOKEN: &str = "form_token";

/// The fields of a form, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a form as browsers send it. Never fails: what is no field is left out.
    ///
    /// # Errors
    ///
    /// When there are more fields than any page of ours has.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let fields: Vec<(String, String)> =
            form_urlencoded::parse(body).into_owned().take(MOST_FIELDS + 1).collect();
        if fields.len() > MOST_FIELDS {
            return Err(Error::invalid("form", format!("must have at most {MOST_FIELDS} fields")));
        }
        Ok(Self(fields))
    }

    /// The value of a field that comes once; empty if it is not there.
    ///
    /// # Errors
    ///
    /// When it comes more than once: nobody knows which was meant.
    pub fn one(&self, name: &'static str) -> Result<&str, Error> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Error::invalid(name, "must come once")),
            (Some(value), None) => Ok(value),
            (None, _) => Ok(""),
        }
    }

    /// The value of a field, if it was filled in.
    pub fn filled(&self, name: &'static str) -> Result<Option<&str>, Error> {
        Ok(Some(self.one(name)?.trim()).filter(|value| !value.is_empty()))
    }

    /// All values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A form of a signed-in person, or of somebody whose sign-in is under way.
#[derive(Debug)]
pub struct Form(pub Fields);

/// A form of somebody who has no session yet; it must come from a page of this hub all the same.
#[derive(Debug)]
pub struct OpenForm(pub Fields);

impl FromRequest<Arc<Hub>> for Form {
    type Rejection = PageError;

    async fn from_request(request: Request, _: &Arc<Hub>) -> Result<Self, PageError> {
        let (parts, fields) = read(request).await?;
        let header = parts.headers.get("x-form-token").and_then(|value| value.to_str().ok());
        let field = fields.one(TOKEN).map_err(|error| PageError::of(error, &parts))?;
        if !is_own_form(&parts, header.unwrap_or(field)) {
            return Err(PageError::stale(&parts));
        }
        Ok(Self(fields))
    }
}

impl FromRequest<Arc<Hub>> for OpenForm {
    type Rejection = PageError;

    async fn from_request(request: Request, _: &Arc<Hub>) -> Result<Self, PageError> {
        read(request).await.map(|(_, fields)| Self(fields))
    }
}

async fn read(request: Request) -> Result<(http::request::Parts, Fields), PageError> {
    let (parts, body) = request.into_parts();
    if !cookie::same_origin(&parts) {
        return Err(PageError::foreign(&parts));
    }
    let body: Body = body;
    let body = Limited::new(body, MAX_FORM).collect().await.map_err(|_| {
        PageError::of(
            Error::invalid("form", format!("is longer than {MAX_FORM} bytes, or did not arrive whole")),
            &parts,
        )
    })?;
    let fields = Fields::parse(&body.to_bytes()).map_err(|error| PageError::of(error, &parts))?;
    Ok((parts, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let fields = Fields::parse(b"name=Ada+Lovelace&role=admin&role=viewer&empty=&%zz=%ff&x").unwrap();
        assert_eq!(fields.one("name").unwrap(), "Ada Lovelace");
        assert_eq!(fields.all("role").collect::<Vec<_>>(), ["admin", "viewer"]);
        assert!(fields.one("role").is_err());
        assert_eq!((fields.one("missing").unwrap(), fields.filled("empty").unwrap()), ("", None));
        assert!(Fields::parse("a=1&".repeat(MOST_FIELDS + 1).as_bytes()).is_err());
    }
}
