//! Mail and chat between agents.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum MailKind {
    /// With a subject, read when there is time.
    #[default]
    Mail,
    /// Without a subject, read at once.
    Chat,
}

impl MailKind {
    /// As it is written and stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Chat => "chat",
        }
    }

    /// Reads it.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Mail, Self::Chat].into_iter().find(|kind| kind.word() == word)
    }
}

/// A file that hangs on a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Attachment {
    /// Its public id: 10 characters of base64url.
    pub id: String,
    /// Its name.
    pub filename: String,
    /// Its size in bytes.
    pub size: i64,
}

/// The largest file, in bytes.
pub const LARGEST_FILE: usize = 10 << 20;

/// A file that is to hang on a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct NewFile {
    /// Who will write the message.
    pub agent: String,
    /// What it is called; a path in front of that is left out.
    pub filename: String,
}

/// The head of a message, as lists show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct MailHead {
    /// Its number.
    pub id: i64,
    /// What it is.
    pub kind: MailKind,
    /// Who wrote it.
    pub from: String,
    /// What its writer is, in a few words.
    pub from_title: String,
    /// Whom it is to.
    pub to: Vec<String>,
    /// What it is about.
    pub subject: String,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Whether whoever asks has it still to read.
    pub unread: bool,
    /// Its files.
    pub attachments: Vec<Attachment>,
}

/// A message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Mail {
    /// Its head.
    #[serde(flatten)]
    pub head: MailHead,
    /// Its text.
    pub body: String,
}

/// A conversation: what the same people wrote to each other.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Their names, sorted, with commas between them.
    pub participants: String,
    /// The number of its last message.
    pub last: i64,
    /// How many messages it has.
    pub count: i64,
    /// How many of them whose mailbox it is has still to read.
    pub unread: i64,
    /// What the last message is.
    pub kind: MailKind,
    /// Who wrote it.
    pub from: String,
    /// What it is about.
    pub subject: String,
    /// How its text begins.
    pub begins: String,
    /// When it was written.
    pub created_at: OffsetDateTime,
}

/// A message, as those see it who watch over all agents.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The message.
    pub mail: Mail,
    /// The conversation that it belongs to.
    pub participants: String,
    /// Who has it still to read.
    pub unread_by: Vec<String>,
}

/// Asks for a message to be sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewMail {
    /// Who writes; without it, the agent whose key asks, or `admin` for a person.
    #[serde(default)]
    pub from: Option<String>,
    /// Whom it is to.
    pub to: Vec<String>,
    /// What it is about.
    #[serde(default)]
    pub subject: String,
    /// Its text.
    pub body: String,
    /// What it is.
    #[serde(default)]
    pub kind: MailKind,
    /// Public ids of files that were sent before.
    #[serde(default)]
    pub attachments: Vec<String>,
}

/// Which messages are wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct MailFilter {
    /// Whose.
    pub agent: String,
    /// Only what it is.
    #[serde(default)]
    pub kind: Option<MailKind>,
    /// Only those that it `received` or `sent`.
    #[serde(default)]
    pub direction: Option<String>,
    /// Only those it has still to read.
    #[serde(default)]
    pub unread: bool,
    /// Only those in which this stands.
    #[serde(default)]
    pub search: Option<String>,
    /// Whether those it put away are shown too.
    #[serde(default)]
    pub archived: bool,
    /// Only those before this number.
    #[serde(default)]
    pub before: Option<i64>,
    /// How many at most (1 to 200; 50).
    #[serde(default)]
    pub limit: Option<u32>,
}
