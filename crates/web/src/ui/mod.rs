//! The small parts that templates put into pages: icons, times, fields of forms, badges. Each writes HTML in which
//! everything that came from outside is escaped. Whole pages are in `views`.

mod field;
mod parts;

pub use field::{Field, Filled};
pub use parts::{Ago, Exact, Icon, Moment, QrCode, Told, icon, told};

/// The tone of a mark: what colour it has, and what that colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Neither good nor bad.
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Broken, or refused.
    Bad,
}

impl Tone {
    /// Its class.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// The icon that says the same to those who do not see colours.
    pub const fn icon(self) -> &'static str {
        match self {
            Self::Plain => "info",
            Self::Good => "pass",
            Self::Warn => "warn",
            Self::Bad => "fail",
        }
    }
}

impl std::fmt::Display for Tone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
