//! Letting a device in: a command line shows a code, its person compares and decides.

use askama::Template;
use nave_core::api::DeviceView;

use crate::shell::Shell;
use crate::ui::{self, Filled};

/// Typing the code.
#[derive(Debug, Template)]
#[template(path = "device/ask.html")]
pub struct AskCode {
    /// What stands around the page.
    pub shell: Shell,
    /// The form.
    pub form: Filled,
}

/// Deciding.
#[derive(Debug, Template)]
#[template(path = "device/decide.html")]
pub struct Decide {
    /// What stands around the page.
    pub shell: Shell,
    /// The device.
    pub device: DeviceView,
    /// Who it will act for.
    pub person: String,
}
