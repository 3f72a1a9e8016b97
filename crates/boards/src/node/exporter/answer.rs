//! What an exporter answers in HTTP before bytes pass, to the byte as not-my-board's exporter does: people and scripts
//! know the texts.

use nave_core::clock::Clock;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// How HTTP writes a date (RFC 9110, section 5.6.7).
const DATE: &[BorrowedFormatItem<'static>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self { status: 400, text: text.into() }
    }

    /// Words that say what answers here, for those who did not mean it.
    fn ours(status: u16, words: &str) -> Self {
        Self { status, text: format!("This is a not-my-board export server. {words}\n") }
    }

    pub(super) fn address() -> Self {
        Self::ours(403, "Your IP address is not allowed.")
    }

    pub(super) fn target() -> Self {
        Self::ours(403, "The requested target is not allowed.")
    }

    pub(super) fn method() -> Self {
        Self::ours(405, "You probably want to use not-my-board, instead of connecting directly.")
    }

    pub(super) fn too_long() -> Self {
        Self { status: 431, text: "Receive buffer too long".to_owned() }
    }

    pub(super) fn unreachable(target: &str, why: &str) -> Self {
        Self::ours(502, &format!("{target} cannot be reached from here: {why}"))
    }

    pub(super) fn busy() -> Self {
        Self::ours(503, "Too many connections are open.")
    }

    /// The whole answer.
    pub(super) fn bytes(&self, clock: &Clock) -> Vec<u8> {
        let allow = if self.status == 405 { "Allow: CONNECT\r\n" } else { "" };
        let (status, text, length) = (self.status, &self.text, self.text.len());
        let head = head(status, clock);
        format!(
            "{head}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n{allow}\r\n{text}"
        )
        .into_bytes()
    }
}

/// What is said before bytes pass.
pub(super) fn open(clock: &Clock) -> Vec<u8> {
    format!("{}\r\n", head(200, clock)).into_bytes()
}

fn head(status: u16, clock: &Clock) -> String {
    let date = clock.now().format(&DATE).unwrap_or_default();
    let server = concat!("nave/", env!("CARGO_PKG_VERSION"));
    format!("HTTP/1.1 {status} \r\nDate: {date}\r\nServer: {server}\r\nConnection: close\r\n")
}
