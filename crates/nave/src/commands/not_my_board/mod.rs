//! `nave not-my-board …`: what its users' scripts call, with the same output.

mod export;
mod login;

use std::path::PathBuf;

use anyhow::bail;
use nave_boards::node::dialect::connection::{HttpClient, HubClient};
use nave_boards::node::dialect::tokens::{TOKEN_STORE, TokenStore};

use super::Context;
use crate::cli::not_my_board::NotMyBoard;

pub async fn run(context: &Context<'_>, command: NotMyBoard) -> anyhow::Result<()> {
    match command {
        NotMyBoard::Hub => bail!(
            "not-my-board's hub is a part of Nave's: start it with `nave hub`, and let not-my-board's clients in as docs/boards.md says"
        ),
        NotMyBoard::Export(args) => export::run(context, args).await,
        NotMyBoard::Login(args) => login::run(context, args).await,
        other => bail!("this is not a part of the program yet: {other:?}"),
    }
}

/// The hub at an address, trusted by what this machine trusts and these files.
fn hub(url: &str, cacert: &[PathBuf]) -> anyhow::Result<HubClient> {
    Ok(HubClient::new(url, HttpClient::new(cacert)?)?)
}

/// Where ID tokens are kept.
fn token_store() -> TokenStore {
    TokenStore::new(TOKEN_STORE)
}
