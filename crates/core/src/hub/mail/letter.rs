//! What the hub writes to people: each letter's words, once, for both of its forms. How they are laid out stands in the
//! templates, and how a letter travels elsewhere.

use std::net::IpAddr;

use nave_link::address::HubUrl;
use time::OffsetDateTime;
use time::macros::format_description;

/// The longest text that somebody else wrote, in characters, in one place of a letter.
const LONGEST_NAME: usize = 200;
const LONGEST_WORDS: usize = 1000;

/// A letter. Links are whole addresses, and as secret as what they open. What people typed may be anything: it is
/// brought into one line.
#[derive(Clone, Copy)]
pub enum Letter<'a> {
    /// To whom an administrator wants to have an account.
    Invitation {
        /// Who invites.
        by: &'a str,
        /// Opens once.
        link: &'a str,
        /// Until when.
        until: OffsetDateTime,
    },
    /// To whom an account belongs, after somebody asked for a new password.
    PasswordReset {
        /// Opens once.
        link: &'a str,
        /// Until when.
        until: OffsetDateTime,
    },
    /// To an administrator, after somebody without an account asked for one.
    AccessRequested {
        /// What they call themselves.
        name: &'a str,
        /// The address that they gave.
        address: &'a str,
        /// What they wrote.
        words: &'a str,
        /// Where it is decided.
        link: &'a str,
    },
    /// To whom asked for access.
    AccessGranted {
        /// Opens once.
        link: &'a str,
        /// Until when.
        until: OffsetDateTime,
    },
    /// To whom asked for access.
    AccessDeclined {
        /// What whoever declined wants them to know.
        words: Option<&'a str>,
    },
    /// To whom an account belongs.
    SecondFactorReset {
        /// Who did it.
        by: &'a str,
    },
    /// To whom an account belongs.
    PasswordChanged {
        /// When.
        at: OffsetDateTime,
        /// From where, if it came over the network.
        source: Option<IpAddr>,
    },
    /// To whom an account belongs, after a command line was signed in.
    NewDevice {
        /// What the device is called.
        device: &'a str,
        /// When.
        at: OffsetDateTime,
        /// From where, if it came over the network.
        source: Option<IpAddr>,
    },
    /// To whom an operator names.
    Test {
        /// Who asked for it.
        by: &'a str,
    },
}

/// A letter in words.
pub(super) struct Words {
    /// One line.
    pub(super) subject: String,
    /// What happened and what can be done, in paragraphs.
    pub(super) opening: Vec<String>,
    /// What the link does, and the link.
    pub(super) link: Option<(&'static str, String)>,
    /// What else is known.
    pub(super) facts: Vec<(&'static str, String)>,
    /// What to keep in mind, in paragraphs.
    pub(super) closing: Vec<String>,
}

impl Letter<'_> {
    /// The kind, as the table and the audit log write it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Invitation { .. } => "invitation",
            Self::PasswordReset { .. } => "password_reset",
            Self::AccessRequested { .. } => "access_requested",
            Self::AccessGranted { .. } => "access_granted",
            Self::AccessDeclined { .. } => "access_declined",
            Self::SecondFactorReset { .. } => "second_factor_reset",
            Self::PasswordChanged { .. } => "password_changed",
            Self::NewDevice { .. } => "new_device",
            Self::Test { .. } => "test",
        }
    }

    /// When its link ends: later than that it is worth nothing.
    pub(super) fn until(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Invitation { until, .. }
            | Self::PasswordReset { until, .. }
            | Self::AccessGranted { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Its words, about the hub at that address.
    pub(super) fn words(&self, hub: &HubUrl) -> Words {
        let host = hub.host();
        let about = Words {
            subject: String::new(),
            opening: Vec::new(),
            link: None,
            facts: Vec::new(),
            closing: Vec::new(),
        };
        match *self {
            Self::Invitation { by, link, until } => Words {
                subject: format!("Invitation to the Nave hub {host}"),
                opening: vec![
                    format!("{} invites you to the Nave hub at {hub}.", name(by)),
                    "Open this address to choose a password and to set up your second factor.".to_owned(),
                ],
                link: Some(("Accept the invitation", line(link))),
                closing: vec![once(until), "If you did not expect this, ignore it.".to_owned()],
                ..about
            },
            Self::PasswordReset { link, until } => Words {
                subject: format!("A new password for {host}"),
                opening: vec![format!(
                    "Somebody asked for a new password for your account at the Nave hub {hub}. Open this address to choose it."
                )],
                link: Some(("Choose a new password", line(link))),
                closing: vec![
                    once(until),
                    "If you did not ask for it, ignore this: your password stays as it is.".to_owned(),
                ],
                ..about
            },
            Self::AccessRequested { name: who, address, words, link } => Words {
                subject: format!("{} asks for access to {host}", name(who)),
                opening: vec![format!("Somebody without an account asks for access to the Nave hub at {hub}.")],
                link: Some(("Look at the request", line(link))),
                facts: [("Name", name(who)), ("Address", name(address)), ("Message", short(words, LONGEST_WORDS))]
                    .into_iter()
                    .filter(|(_, told)| !told.is_empty())
                    .collect(),
                closing: vec![
                    "All of this was typed by whoever asks; the hub has checked nothing of it.".to_owned(),
                ],
            },
            Self::AccessGranted { link, until } => Words {
                subject: format!("Your access to {host}"),
                opening: vec![format!(
                    "Your request for access to the Nave hub at {hub} was granted. Open this address to choose a password and to set up your second factor."
                )],
                link: Some(("Set up your account", line(link))),
                closing: vec![once(until), "If you did not ask for it, ignore this.".to_owned()],
                ..about
            },
            Self::AccessDeclined { words } => Words {
                subject: format!("Your request for access to {host}"),
                opening: vec![format!("Your request for access to the Nave hub at {hub} was declined.")],
                facts: words.map(|words| ("Message", short(words, LONGEST_WORDS))).into_iter().collect(),
                ..about
            },
            Self::SecondFactorReset { by } => Words {
                subject: format!("Your second factor at {host} was reset"),
                opening: vec![format!(
                    "{} reset the second factor of your account at the Nave hub {hub}. You set up a new one when you next sign in.",
                    name(by)
                )],
                closing: vec![unexpected()],
                ..about
            },
            Self::PasswordChanged { at, source } => Words {
                subject: format!("Your password for {host} was changed"),
                opening: vec![format!("The password of your account at the Nave hub {hub} was changed.")],
                facts: when_and_where(at, source),
                closing: vec![unexpected()],
                ..about
            },
            Self::NewDevice { device, at, source } => Words {
                subject: format!("A new device signed in to {host}"),
                opening: vec![format!(
                    "A device was signed in to your account at the Nave hub {hub}, and can act for you from now on."
                )],
                facts: [("Device", name(device))].into_iter().chain(when_and_where(at, source)).collect(),
                closing: vec![
                    "If it is not yours, remove it on the page of your account, change your password, and tell an administrator of the hub."
                        .to_owned(),
                ],
                ..about
            },
            Self::Test { by } => Words {
                subject: format!("Test mail from the Nave hub {host}"),
                opening: vec![
                    format!("This is a test mail from the Nave hub at {hub}, asked for by {}.", name(by)),
                    "If you can read it, the hub can send mail.".to_owned(),
                ],
                ..about
            },
        }
    }
}

fn once(until: OffsetDateTime) -> String {
    format!("The address works once, until {}.", moment(until))
}

fn unexpected() -> String {
    "If you did not expect this, tell an administrator of the hub at once.".to_owned()
}

fn when_and_where(at: OffsetDateTime, source: Option<IpAddr>) -> Vec<(&'static str, String)> {
    let place = source.map(|source| ("From", source.to_string()));
    [("When", moment(at))].into_iter().chain(place).collect()
}

/// A time as people write it.
fn moment(at: OffsetDateTime) -> String {
    let form = format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    // Writing numbers into a string cannot fail.
    at.to_offset(time::UtcOffset::UTC).format(&form).unwrap_or_default()
}

fn name(text: &str) -> String {
    short(text, LONGEST_NAME)
}

/// At most that many characters of one line.
pub(super) fn short(text: &str, longest: usize) -> String {
    let text = line(text);
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// One line that is read in the order in which it is written: without line breaks and other control characters, and
/// without those that turn the direction of reading.
fn line(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let spaced: String = text
        .chars()
        .filter(|c| !turns(*c))
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}
