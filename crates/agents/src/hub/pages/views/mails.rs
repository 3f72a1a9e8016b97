//! The pages of mail.

use askama::Template;
use nave_web::shell::Shell;
use nave_web::ui::{self, Filled};
use nave_web::views::listing::Listing;
use nave_web::words;

use super::{Choice, Tab, conversation_path, path_of, query};
use crate::api::{Attachment, Conversation, Letter, MailKind};
use crate::hub::files::serve::is_picture;

/// Conversations, or what was found.
#[derive(Debug, Template)]
#[template(path = "agents/mail.html")]
pub struct MailPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The fleet's pages.
    pub tabs: Vec<Tab>,
    /// What was asked of the list.
    pub listing: Listing,
    /// Whose mailbox it is; empty for everybody's.
    pub mailbox: String,
    /// Whose it could be.
    pub choices: Vec<Choice>,
    /// The conversations, that in which something was written last first.
    pub talks: Vec<Conversation>,
    /// The messages that were found.
    pub found: Vec<Letter>,
    /// Where older ones are.
    pub older: Option<String>,
}

impl MailPage {
    fn searches(&self) -> bool {
        !self.listing.get("q").trim().is_empty()
    }

    /// Who is in a conversation, as far as it is not whose mailbox this is.
    fn names(&self, participants: &str) -> String {
        let names: Vec<&str> = participants.split(',').filter(|name| *name != self.mailbox).collect();
        if names.is_empty() { participants.to_owned() } else { names.join(", ") }
    }

    fn path(&self, participants: &str) -> String {
        conversation_path(participants, &self.mailbox)
    }

    fn unread(talk: &Conversation) -> u64 {
        u64::try_from(talk.unread).unwrap_or(0)
    }

    fn count(talk: &Conversation) -> u64 {
        u64::try_from(talk.count).unwrap_or(0)
    }
}

/// One conversation.
#[derive(Debug, Template)]
#[template(path = "agents/conversation.html")]
pub struct ConversationPage {
    /// What stands around the page.
    pub shell: Shell,
    /// Who is in it.
    pub participants: Vec<String>,
    /// In whose mailbox it is looked at; empty for everybody's.
    pub mailbox: String,
    /// The page's address.
    pub here: String,
    /// Whether the newest are shown.
    pub follows: bool,
    /// The messages, the oldest first.
    pub letters: Vec<Letter>,
    /// Where older ones are.
    pub older: Option<String>,
}

impl ConversationPage {
    /// Writing to those in it.
    fn reply(&self) -> String {
        let others: Vec<&str> = self
            .participants
            .iter()
            .map(String::as_str)
            .filter(|name| *name != self.mailbox && !(self.mailbox.is_empty() && *name == "admin"))
            .collect();
        let subject = self.letters.last().map(|letter| letter.mail.head.subject.as_str()).unwrap_or_default();
        let subject = match subject {
            "" => String::new(),
            subject if subject.to_lowercase().starts_with("re: ") => subject.to_owned(),
            subject => format!("Re: {subject}"),
        };
        let (to, from) = (others.join(", "), &self.mailbox);
        format!("/agents/mail/new?{}", query(&[("to", &to), ("subject", &subject), ("from", from)]))
    }

    fn mailbox_path(&self) -> String {
        Listing::new("/agents/mail", &[("agent", &self.mailbox)]).here()
    }
}

/// The size of a file.
fn size(file: &Attachment) -> String {
    words::bytes(u64::try_from(file.size).unwrap_or(0))
}

/// Writing.
#[derive(Debug, Template)]
#[template(path = "agents/compose.html")]
pub struct ComposePage {
    /// What stands around the page.
    pub shell: Shell,
    /// Who may be written to.
    pub agents: Vec<String>,
    /// As whom one may write.
    pub people: Vec<String>,
    /// The form.
    pub form: Filled,
    /// Files that came before, when something else was wrong.
    pub kept: Vec<Attachment>,
}

impl ComposePage {
    fn writers(&self) -> impl Iterator<Item = (&String, &String)> {
        self.people.iter().map(|name| (name, name))
    }
}
