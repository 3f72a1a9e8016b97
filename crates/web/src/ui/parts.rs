//! Icons, times and codes to scan, as HTML.

use std::fmt::{Display, Formatter, Result};

use askama::filters::{self, Html, HtmlSafe};
use qrcode::types::QrError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{assets, words};

/// An icon from the sprite; it says nothing to those who listen, so words stand beside it.
#[derive(Clone, Copy, Debug)]
pub struct Icon {
    name: &'static str,
    tone: Option<super::Tone>,
}

/// An icon by its name in `icons.svg`.
pub const fn icon(name: &'static str) -> Icon {
    Icon { name, tone: None }
}

impl super::Tone {
    /// Its icon, in its colour.
    pub const fn mark(self) -> Icon {
        Icon { name: self.icon(), tone: Some(self) }
    }
}

impl Display for Icon {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(r#"<svg class="icon"#)?;
        if let Some(tone) = self.tone {
            write!(f, " tone-{tone}")?;
        }
        let sprite = assets::address("icons.svg");
        write!(f, r#"" aria-hidden="true"><use href="{sprite}#{}"/></svg>"#, self.name)
    }
}

impl HtmlSafe for Icon {}

/// A time: how long ago, with the exact one on hover. The browser keeps it true.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time.
    pub at: OffsetDateTime,
    /// When the page was made.
    pub now: OffsetDateTime,
}

/// How long ago a time is, if there is one.
#[derive(Clone, Copy, Debug)]
pub enum Ago {
    /// It was, or will be.
    At(Moment),
    /// There is none; a word of ours says so.
    Never(&'static str),
}

impl Display for Ago {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::At(moment) => moment.fmt(f),
            Self::Never(word) => f.write_str(word),
        }
    }
}

impl HtmlSafe for Ago {}

impl Display for Moment {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            r#"<nave-time><time datetime="{}" title="{}">{}</time></nave-time>"#,
            self.at.format(&Rfc3339).unwrap_or_default(),
            words::exact(self.at),
            words::ago(self.now, self.at),
        )
    }
}

impl HtmlSafe for Moment {}

/// A time to the second, which browsers tell by their own clock; without scripts it is told in UTC.
#[derive(Clone, Copy, Debug)]
pub struct Exact(pub OffsetDateTime);

impl Display for Exact {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            r#"<nave-clock hx-morph-skip-children at="{}">{}</nave-clock>"#,
            self.0.format(&Rfc3339).unwrap_or_default(),
            words::exact(self.0),
        )
    }
}

impl HtmlSafe for Exact {}

/// A message of a service as people read it: a sentence, in which what stands in backticks is code.
#[derive(Clone, Debug)]
pub struct Told(String);

/// A message of a service as people read it.
pub fn told(words: &str) -> Told {
    Told(words::sentence(words))
}

impl Display for Told {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (at, part) in self.0.split('`').enumerate() {
            let part = filters::escape(part, Html).unwrap_or_else(|never| match never {});
            if at % 2 == 1 { write!(f, "<code>{part}</code>")? } else { write!(f, "{part}")? }
        }
        Ok(())
    }
}

impl HtmlSafe for Told {}

/// A picture of a text for a phone's camera, dark on light in every colour scheme.
#[derive(Clone, Debug)]
pub struct QrCode {
    size: usize,
    path: String,
}

impl QrCode {
    /// The picture of a text.
    ///
    /// # Errors
    ///
    /// When the text is too long for any.
    pub fn of(text: &str) -> std::result::Result<Self, QrError> {
        let code = qrcode::QrCode::new(text)?;
        let size = code.width();
        let mut path = String::new();
        for (at, colour) in code.to_colors().into_iter().enumerate() {
            if colour == qrcode::Color::Dark {
                path.push_str(&format!("M{} {}h1v1h-1z", at % size, at / size));
            }
        }
        Ok(Self { size, path })
    }
}

impl Display for QrCode {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            r##"<svg viewBox="0 0 {0} {0}" role="img" aria-label="QR code for an authenticator app" shape-rendering="crispEdges"><path d="{1}" fill="#000"/></svg>"##,
            self.size, self.path
        )
    }
}

impl HtmlSafe for QrCode {}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_have_their_exact_form_beside_them() {
        let at = datetime!(2026-08-04 12:00 UTC);
        assert_eq!(
            Moment { at, now: at + time::Duration::minutes(2) }.to_string(),
            r#"<nave-time><time datetime="2026-08-04T12:00:00Z" title="2026-08-04 12:00:00 UTC">2 min ago</time></nave-time>"#
        );
    }

    #[test]
    fn messages_show_what_is_code_and_escape_everything() {
        assert_eq!(told("run `nave <x>`").to_string(), "Run <code>nave &#60;x&#62;</code>.");
        assert_eq!(told("a ` lone <b>").to_string(), "A <code> lone &#60;b&#62;.</code>");
    }

    #[test]
    fn a_code_is_drawn_without_an_inline_style() {
        let drawn = QrCode::of("otpauth://totp/Nave:ada@example.org?secret=ABC").unwrap().to_string();
        assert!(drawn.starts_with("<svg viewBox=\"0 0 ") && !drawn.contains("style"), "{drawn}");
        assert!(QrCode::of(&"x".repeat(10_000)).is_err());
    }
}
