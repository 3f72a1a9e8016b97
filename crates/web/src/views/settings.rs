//! Settings: who the hub is, where it listens, its access key, its mail, what it keeps.

use askama::Template;
use time::OffsetDateTime;

use crate::shell::Shell;
use crate::ui::{self, Filled, Tone};
use crate::words;

/// For how long a replaced access key can stay good, in seconds.
pub const GRACES: [(&str, &str); 4] =
    [("0", "no time"), ("3600", "one hour"), ("86400", "one day"), ("604800", "one week")];

/// A certificate that the hub shows.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its file.
    pub certificate: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// When it ends.
    pub not_after: OffsetDateTime,
    /// Whether that is soon, or over.
    pub tone: Tone,
}

/// How mail stands.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The server, without its password; `None` if the hub sends no mail.
    pub server: Option<String>,
    /// From whom mail comes.
    pub from: String,
    /// What waits to be sent, the oldest first.
    pub queue: Vec<QueuedMail>,
}

/// A mail that waits.
#[derive(Clone, Debug)]
pub struct QueuedMail {
    /// To whom.
    pub to: String,
    /// About what.
    pub subject: String,
    /// Since when.
    pub since: OffsetDateTime,
    /// How often it was tried, and what the last try said.
    pub tries: u32,
    /// What the last try said.
    pub last_error: String,
}

/// A setting with its value, and the key in the configuration that holds it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What it is.
    pub name: &'static str,
    /// Its value, in words.
    pub value: String,
    /// Where it is set.
    pub key: &'static str,
}

/// The settings.
#[derive(Debug, Template)]
#[template(path = "settings.html")]
pub struct Settings {
    /// What stands around the page.
    pub shell: Shell,
    /// The certificates.
    pub identities: Vec<Identity>,
    /// Where the hub listens.
    pub listeners: Vec<String>,
    /// The address that invitations name.
    pub url: String,
    /// The hub's own id, as join tokens carry it.
    pub id: String,
    /// The access key without its secret.
    pub key_prefix: String,
    /// The access key, whole, if it was just asked for.
    pub key: Option<String>,
    /// The form by which it is replaced.
    pub rotation: Filled,
    /// Mail.
    pub mail: Mail,
    /// Everything else that can be set, by its group.
    pub groups: Vec<(&'static str, Vec<Setting>)>,
    /// Whether the access key may be seen and replaced.
    pub may_see_key: bool,
}
