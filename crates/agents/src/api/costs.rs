//! What agents cost, and what they may.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::RunKey;

/// An amount of money: a thousand millionth of a dollar. Whole numbers add up to the same sum in every order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Nanodollars(pub i64);

impl Nanodollars {
    /// From dollars; what is no number, or less than nothing, is nothing.
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
    pub fn from_dollars(dollars: f64) -> Self {
        if dollars.is_finite() && dollars > 0.0 { Self((dollars * 1e9).round() as i64) } else { Self(0) }
    }

    /// In dollars.
    #[expect(clippy::cast_precision_loss, reason = "for people and for clients that count in doubles")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl std::fmt::Display for Nanodollars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "${:.2}", self.dollars())
    }
}

/// What money was spent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum CostSource {
    /// The agent's own thinking.
    Console,
    /// Looking at a command before it runs.
    WriteProtection,
    /// Making its memory shorter.
    Compact,
    /// Reading a page.
    Lynx,
    /// Looking at a picture.
    Look,
    /// Listening.
    Listen,
    /// Drawing.
    Genimg,
}

impl CostSource {
    /// As it is written and stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::WriteProtection => "write_protection",
            Self::Compact => "compact",
            Self::Lynx => "lynx",
            Self::Look => "look",
            Self::Listen => "listen",
            Self::Genimg => "genimg",
        }
    }
}

/// A cost that a host reports.
#[derive(Clone, Debug, PartialEq)]
pub struct CostEntry {
    /// Whose.
    pub key: RunKey,
    /// For what.
    pub source: CostSource,
    /// With which model.
    pub model: String,
    /// How much.
    pub cost: Nanodollars,
    /// Tokens read.
    pub input: i64,
    /// Tokens written.
    pub output: i64,
    /// Tokens put into the model's cache.
    pub cache_write: i64,
    /// Tokens taken from there.
    pub cache_read: i64,
}

/// Costs that were added up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct CostSum {
    /// The beginning of the time that they are of.
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    /// Whose.
    pub agent: String,
    /// With which model.
    pub model: String,
    /// How much.
    pub cost: Nanodollars,
    /// Tokens read, written, put into the cache, taken from there.
    pub tokens: [i64; 4],
}

/// A window in which a limit counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct SpendWindow {
    /// The limit.
    pub limit: Nanodollars,
    /// What was spent in it.
    pub spent: Nanodollars,
    /// When it began; none for a window that never ends.
    #[serde(with = "time::serde::rfc3339::option")]
    pub from: Option<OffsetDateTime>,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
}

/// What an agent, or everybody together, may spend.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct BudgetView {
    /// Whose; none for the global one.
    pub agent: Option<String>,
    /// The window that counts; none where nothing limits it.
    pub window: Option<SpendWindow>,
    /// Why it may spend nothing at the moment.
    pub suspended: Option<String>,
}

/// A change of a budget.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BudgetChange {
    /// The limit in dollars; 0 takes it away.
    #[serde(default)]
    pub dollars: Option<f64>,
    /// The window in hours; 0 for one that never ends.
    #[serde(default)]
    pub hours: Option<f64>,
    /// Whether what was spent so far shall count no more.
    #[serde(default)]
    pub reset: bool,
}
