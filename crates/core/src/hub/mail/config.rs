//! `[mail]` in the configuration: which server takes the hub's mail and how it is spoken to. Nothing is sent here.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use lettre::message::Mailbox;
use nave_link::address::Target;
use serde::{Deserialize, Serialize};

use crate::hub::config::Period;

/// `[mail]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailTable {
    /// The server that takes the hub's mail.
    pub server: Target,
    /// How the connection to it is protected (starttls).
    #[serde(default)]
    pub tls: MailTls,
    /// A private authority that signed its certificate, in PEM; without it, those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Whom to sign in as.
    pub user: Option<String>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// The sender.
    pub from: Sender,
    /// How long one mail may take from connecting to being taken (60s).
    pub timeout: Option<Period>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// It begins in plain text and turns to TLS before anything is said; a server that will not is refused.
    #[default]
    Starttls,
    /// It is TLS from the first byte.
    Implicit,
    /// Plain text, on this machine only.
    None,
}

/// A mailbox as a sender: `Nave <nave@example.org>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sender(pub(super) Mailbox);

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mailbox = text.parse().map_err(|error| {
            format!("{text:?} is no sender ({error}): write NAME <ADDRESS>, as in Nave <nave@example.org>")
        })?;
        Ok(Self(mailbox))
    }
}

impl TryFrom<String> for Sender {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Sender> for String {
    fn from(sender: Sender) -> Self {
        sender.to_string()
    }
}

impl MailTable {
    /// What does not fit together, and what to do about it.
    pub(in crate::hub) fn check(&self) -> Result<(), String> {
        if self.tls == MailTls::None && !is_this_machine(self.server.host()) {
            return Err(format!(
                "mail.tls = \"none\" is for a server on this machine, and {} is elsewhere: mail holds one-time links, which must not travel in plain text; use \"starttls\" or \"implicit\"",
                self.server
            ));
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err("mail.user and mail.password_file belong together: name both or neither".to_owned());
        }
        if self.timeout.is_some_and(|timeout| timeout.0.is_zero() || timeout.0.as_secs() > 600) {
            return Err("mail.timeout must be longer than nothing and at most 10m".to_owned());
        }
        Ok(())
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use crate::hub::config::HubConfig;

    fn error(lines: &str) -> String {
        HubConfig::parse(&format!("[mail]\n{lines}")).unwrap_err().to_string()
    }

    const BASE: &str = "server = \"smtp.example.org:587\"\nfrom = \"Nave <nave@example.org>\"\n";

    #[test]
    fn mistakes_are_explained() {
        HubConfig::parse(&format!("[mail]\n{BASE}")).unwrap();
        assert!(error("server = \"smtp.example.org:587\"").contains("missing field `from`"));
        assert!(error("server = \"smtp.example.org\"\nfrom = \"a@example.org\"").contains("HOST:PORT"));
        assert!(error("server = \"smtp.example.org:587\"\nfrom = \"nobody\"").contains("NAME <ADDRESS>"));
        assert!(error(&format!("{BASE}pasword_file = \"p\"")).ends_with("did you mean \"password_file\"?"));
        assert!(error(&format!("{BASE}user = \"nave\"")).contains("belong together"));
        assert!(error(&format!("{BASE}tls = \"ssl\"")).contains("`starttls`, `implicit`, `none`"));
        assert!(error(&format!("{BASE}timeout = \"1h\"")).contains("at most 10m"));
        assert!(error(&format!("{BASE}timeout = \"0s\"")).contains("at most 10m"));
    }

    #[test]
    fn plain_text_stays_on_this_machine() {
        let plain = |server: &str| {
            HubConfig::parse(&format!(
                "[mail]\nserver = \"{server}\"\nfrom = \"nave@example.org\"\ntls = \"none\""
            ))
        };
        for server in ["127.0.0.1:25", "[::1]:25", "localhost:25", "127.8.8.8:25"] {
            plain(server).unwrap();
        }
        for server in ["smtp.example.org:25", "192.0.2.1:25", "[2001:db8::1]:25", "0.0.0.0:25"] {
            let error = plain(server).unwrap_err().to_string();
            assert!(error.contains("must not travel in plain text"), "{server}: {error}");
        }
    }
}
