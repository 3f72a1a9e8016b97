//! Runs, sessions and their logs. A run is one start of an agent; a session is what it remembers at once.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One session of one run of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct RunKey {
    /// The agent.
    pub agent: i64,
    /// The run; counted over all agents.
    pub run: i64,
    /// The session; counted from 1 in each run.
    pub session: i64,
}

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Session {
    /// Which one.
    #[serde(flatten)]
    pub key: RunKey,
    /// The model at its beginning.
    pub model: String,
    /// Where it runs or ran.
    pub host: Option<String>,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When something was last heard of it.
    #[serde(with = "time::serde::rfc3339")]
    pub last_active_at: OffsetDateTime,
    /// Lines in its log.
    pub lines: i64,
    /// What it cost so far, in nanodollars.
    pub cost: i64,
}

/// Who speaks in a line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum LogRole {
    /// The program around the model.
    Naisys,
    /// The model.
    Llm,
}

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum LogSource {
    /// The prompt's beginning.
    StartPrompt,
    /// The prompt's end.
    EndPrompt,
    /// A command's output.
    Console,
    /// The model.
    Llm,
}

/// What kind of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum LogType {
    /// Said for people.
    Comment,
    /// Something went wrong.
    Error,
    /// Told to the model.
    System,
    /// A tool's.
    Tool,
}

/// A line of a log that a host brings; it may hold line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLogLine {
    /// Whose.
    pub key: RunKey,
    /// Who speaks.
    pub role: LogRole,
    /// Where it comes from.
    pub source: Option<LogSource>,
    /// What kind it is.
    pub kind: Option<LogType>,
    /// What it says.
    pub message: String,
    /// When, by the host's clock.
    pub created_at: OffsetDateTime,
    /// The number of the file that it is about.
    pub attachment: Option<i64>,
}

/// A line of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Its number, which grows over all logs.
    pub id: i64,
    /// Whose.
    #[serde(flatten)]
    pub key: RunKey,
    /// Who speaks.
    pub role: LogRole,
    /// Where it comes from.
    pub source: Option<LogSource>,
    /// What kind it is.
    pub kind: Option<LogType>,
    /// What it says.
    pub message: String,
    /// When, by the host's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The public id of the file that it is about.
    pub attachment: Option<String>,
}

/// A page of a log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct LogPage {
    /// The lines, the oldest first.
    pub lines: Vec<LogLine>,
    /// Whether there are more in the direction that was asked for.
    pub more: bool,
}

macro_rules! words {
    ($name:ident: $($variant:ident = $word:literal),+) => {
        impl $name {
            /// As it is written and stored.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads it.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(LogRole: Naisys = "NAISYS", Llm = "LLM");
words!(LogSource: StartPrompt = "startPrompt", EndPrompt = "endPrompt", Console = "console", Llm = "llm");
words!(LogType: Comment = "comment", Error = "error", System = "system", Tool = "tool");
