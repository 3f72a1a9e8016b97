//! `nave not-my-board login`: signs in for a hub in a browser, and keeps the tokens for exporters and agents.

use std::io::IsTerminal as _;

use nave_boards::node::dialect::login::Login as Signing;
use nave_core::clock::Clock;
use nave_link::random::Random;
use serde_json::Value;

use super::Context;
use crate::cli::not_my_board::Login;
use crate::logging;

pub async fn run(context: &Context<'_>, args: Login) -> anyhow::Result<()> {
    logging::start(if args.verbose.verbose { "debug" } else { "warn" });
    let printer = *context.printer;
    let colours = std::io::stdout().is_terminal();
    let styled = |codes: &str, text: &str| {
        if colours { format!("\x1b[{codes}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let hub = super::hub(&args.hub.hub_url, &args.hub.cacert)?;
    let login = Signing::begin(hub, super::token_store(), &Random::system()).await?;
    printer.data(styled("1", "Open the following link in your browser and log in:"));
    printer.data(login.url());
    if !args.hub.cacert.is_empty() {
        printer.data(styled("33", "You might need to accept an unknown certificate in the browser."));
    }
    let claims = login.finish(&Clock::system()).await?;
    let more = if claims.is_empty() { "" } else { ", your token has the following claims:" };
    printer.data(styled("32;1", &format!("Login was successful{more}")));
    for (name, value) in claims {
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        printer.data(format!("{} {value}", styled("1", &format!("{name}:"))));
    }
    Ok(())
}
