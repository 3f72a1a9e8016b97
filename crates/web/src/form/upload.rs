//! Forms that carry files, or long texts: `multipart/form-data` as browsers write it (RFC 7578), read whole into memory.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, Limited};
use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::http::cookie;

use super::{Fields, MOST_FIELDS, TOKEN};
use crate::error::PageError;
use crate::visitor::is_own_form;

/// The largest form with its files, in bytes.
const MAX_UPLOAD: usize = 32 << 20;

/// A file of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The field that it was chosen in.
    pub field: String,
    /// Its name, as the browser says.
    pub name: String,
    /// Its content.
    pub content: Bytes,
}

/// A form of a signed-in person that may carry files.
#[derive(Debug)]
pub struct Upload {
    /// What was typed.
    pub fields: Fields,
    /// What was chosen; a field in which nothing was chosen is left out.
    pub files: Vec<File>,
}

impl FromRequest<Arc<Hub>> for Upload {
    type Rejection = PageError;

    async fn from_request(request: Request, _: &Arc<Hub>) -> Result<Self, PageError> {
        let (parts, body) = request.into_parts();
        if !cookie::same_origin(&parts) {
            return Err(PageError::foreign(&parts));
        }
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let Some(boundary) = kind.and_then(boundary).map(str::to_owned) else {
            return Err(PageError::of(Error::invalid("form", "must be multipart/form-data"), &parts));
        };
        let body: Body = body;
        let body = Limited::new(body, MAX_UPLOAD).collect().await.map_err(|_| {
            let words =
                format!("is longer than {} MiB with its files, or did not arrive whole", MAX_UPLOAD >> 20);
            PageError::of(Error::invalid("form", words), &parts)
        })?;
        let upload =
            Self::parse(&boundary, &body.to_bytes()).map_err(|error| PageError::of(error, &parts))?;
        let token = upload.fields.one(TOKEN).map_err(|error| PageError::of(error, &parts))?;
        if !is_own_form(&parts, token) {
            return Err(PageError::stale(&parts));
        }
        Ok(upload)
    }
}

fn boundary(kind: &str) -> Option<&str> {
    let mut parts = kind.split(';').map(str::trim);
    parts.next().filter(|kind| kind.eq_ignore_ascii_case("multipart/form-data"))?;
    let value = parts.find_map(|part| part.strip_prefix("boundary="))?.trim_matches('"');
    Some(value).filter(|value| (1..=70).contains(&value.len()))
}

impl Upload {
    /// Reads a form.
    ///
    /// # Errors
    ///
    /// When it is not whole, or has more parts than any page of ours.
    fn parse(boundary: &str, body: &Bytes) -> Result<Self, Error> {
        let broken = || Error::invalid("form", "did not arrive whole");
        let mark = format!("\r\n--{boundary}");
        let mut upload = Self { fields: Fields::default(), files: Vec::new() };
        if !body.starts_with(&mark.as_bytes()[2..]) {
            return Err(broken());
        }
        let mut at = mark.len() - 2;
        while !body[at..].starts_with(b"--") {
            let head = at + find(&body[at..], b"\r\n").ok_or_else(broken)?;
            let text = head + find(&body[head..], b"\r\n\r\n").ok_or_else(broken)?;
            let end = text + 4 + find(&body[text + 4..], mark.as_bytes()).ok_or_else(broken)?;
            let head = String::from_utf8_lossy(&body[head..text]);
            upload.take(&head, body.slice(text + 4..end)).ok_or_else(broken)?;
            if upload.fields.0.len() + upload.files.len() > MOST_FIELDS {
                return Err(Error::invalid("form", format!("must have at most {MOST_FIELDS} fields")));
            }
            at = end + mark.len();
        }
        Ok(upload)
    }

    /// Takes up one part; nothing if its head does not say what it is.
    fn take(&mut self, head: &str, content: Bytes) -> Option<()> {
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        let field = parameter(disposition, "name")?;
        match parameter(disposition, "filename") {
            Some(name) if name.is_empty() && content.is_empty() => {}
            Some(name) => self.files.push(File { field, name, content }),
            // Browsers send line breaks as CRLF; what is kept has those that were typed.
            None => {
                let text = String::from_utf8_lossy(&content).replace("\r\n", "\n");
                self.fields.0.push((field, text));
            }
        }
        Some(())
    }
}

/// A parameter in quotes, in which browsers write a quote and the ends of lines by their numbers.
fn parameter(disposition: &str, name: &str) -> Option<String> {
    let begins = format!("; {name}=\"");
    let value = &disposition[disposition.find(&begins)? + begins.len()..];
    let value = &value[..value.find('"')?];
    Some(value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == wanted[0]) {
        if text[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Upload, Error> {
        Upload::parse("x", &Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        assert_eq!(boundary("multipart/form-data; boundary=\"x\""), Some("x"));
        assert_eq!(boundary("text/plain; boundary=x"), None);
        let upload = parse(
            "--x\r\nContent-Disposition: form-data; name=\"body\"\r\n\r\na\r\nb--x\r\n\
             --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22.txt\"\r\nContent-Type: text/plain\r\n\r\n1\r\n2\r\n\
             --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n--x--\r\n",
        )
        .unwrap();
        assert_eq!(upload.fields.one("body").unwrap(), "a\nb--x");
        let content = Bytes::from_static(b"1\r\n2");
        assert_eq!(upload.files, [File { field: "file".to_owned(), name: "a\".txt".to_owned(), content }]);
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        for bad in ["", "--x", "--x\r\n", "--x\r\na\r\n\r\nb", "--x\r\n\r\n\r\n\r\n--x--", "--y--"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse("--x--\r\n").unwrap().files.is_empty());
        let part = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
        assert!(parse(&format!("{}--x--", part.repeat(MOST_FIELDS + 1))).is_err());
    }
}
