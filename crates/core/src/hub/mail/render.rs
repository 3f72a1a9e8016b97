//! Lays a letter out as text and as HTML, and writes it as a message (RFC 5322). What it says is not known here.

use std::time::SystemTime;

use askama::Template;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use nave_link::address::HubUrl;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::MailId;
use super::letter::{Letter, Words};
use crate::hub::error::{Error, Result};

/// What is sealed until it is sent.
#[derive(Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    words: &'a Words,
    hub: &'a HubUrl,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    words: &'a Words,
    hub: &'a HubUrl,
}

/// A letter in both of its forms.
pub(super) fn render(letter: &Letter<'_>, hub: &HubUrl) -> Result<Content> {
    let words = letter.words(hub);
    let text = Text { words: &words, hub }.render().map_err(Error::internal)?;
    let html = Html { words: &words, hub }.render().map_err(Error::internal)?;
    Ok(Content { subject: words.subject, text, html })
}

/// Tells other programs not to answer (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The message that a server is given. Its id is that of the mail, so that who gets it twice can tell.
pub(super) fn message(
    id: MailId,
    from: &Mailbox,
    to: Address,
    at: OffsetDateTime,
    content: Content,
) -> Result<Message> {
    let body = MultiPart::alternative()
        .boundary(id.to_string())
        .singlepart(SinglePart::plain(content.text))
        .singlepart(SinglePart::html(content.html));
    Message::builder()
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .date(SystemTime::from(at))
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(content.subject)
        .header(AutoSubmitted)
        .multipart(body)
        .map_err(Error::internal)
}
