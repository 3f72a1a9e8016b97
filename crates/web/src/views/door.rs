//! The pages of whoever is not signed in yet: set-up, sign-in, second factor, links, requests.

use askama::Template;
use nave_core::hub::people::links::LinkKind;

use crate::shell::Shell;
use crate::ui::{self, Filled, QrCode};

/// A provider that signs people in.
#[derive(Clone, Debug)]
pub struct Provider {
    /// As people call it.
    pub name: String,
    /// Where signing in with it begins.
    pub path: String,
}

/// Signing in.
#[derive(Debug, Template)]
#[template(path = "door/sign_in.html")]
pub struct SignIn {
    /// What stands around the page.
    pub shell: Shell,
    /// What was typed.
    pub form: Filled,
    /// Where to go afterwards.
    pub next: String,
    /// Other ways in.
    pub providers: Vec<Provider>,
    /// Whether one may ask for an account.
    pub access_requests: bool,
}

/// The second step of signing in.
#[derive(Debug, Template)]
#[template(path = "door/code.html")]
pub struct Code {
    /// What stands around the page.
    pub shell: Shell,
    /// What was typed.
    pub form: Filled,
    /// Where to go afterwards.
    pub next: String,
    /// Whether a recovery code is asked for.
    pub recovery: bool,
}

/// Using a one-time link: the first administrator, an invitation, a new password.
#[derive(Debug, Template)]
#[template(path = "door/accept.html")]
pub struct Accept {
    /// What stands around the page.
    pub shell: Shell,
    /// What was typed.
    pub form: Filled,
    /// What the link is for.
    pub kind: LinkKind,
    /// Where the form goes: the link itself.
    pub action: String,
    /// For whom; not known yet at set-up.
    pub email: String,
    /// Who made the link.
    pub inviter: String,
}

/// Setting up an authenticator.
#[derive(Debug, Template)]
#[template(path = "door/enroll.html")]
pub struct Enroll {
    /// What stands around the page.
    pub shell: Shell,
    /// What was typed.
    pub form: Filled,
    /// Where to go afterwards.
    pub next: String,
    /// What the phone scans.
    pub qr: QrCode,
    /// What can be typed instead.
    pub seed: String,
    /// Whose account it is.
    pub email: String,
}

/// The recovery codes, shown once.
#[derive(Debug, Template)]
#[template(path = "door/codes.html")]
pub struct Codes {
    /// What stands around the page.
    pub shell: Shell,
    /// The codes.
    pub codes: Vec<String>,
    /// Where to go afterwards.
    pub next: String,
}

/// A password was forgotten.
#[derive(Debug, Template)]
#[template(path = "door/forgot.html")]
pub struct Forgot {
    /// What stands around the page.
    pub shell: Shell,
    /// What was typed.
    pub form: Filled,
    /// Whether the hub sends mail.
    pub mails: bool,
}

/// Asking for an account.
#[derive(Debug, Template)]
#[template(path = "door/request_access.html")]
pub struct RequestAccess {
    /// What stands around the page.
    pub shell: Shell,
    /// What was typed.
    pub form: Filled,
}

/// A page that only says something, and where to go from there.
#[derive(Debug, Template)]
#[template(path = "door/said.html")]
pub struct Said {
    /// What stands around the page.
    pub shell: Shell,
    /// Its icon.
    pub icon: &'static str,
    /// What happened.
    pub title: String,
    /// What to do next.
    pub words: String,
    /// Where to go, and how that is called.
    pub next: Option<(String, &'static str)>,
    /// Whether most people go there.
    pub primary: bool,
}
