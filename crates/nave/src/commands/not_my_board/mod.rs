//! `nave not-my-board …`: what its users' scripts call, with the same output.

use anyhow::bail;

use super::Context;
use crate::cli::not_my_board::NotMyBoard;

pub async fn run(_: &Context<'_>, command: NotMyBoard) -> anyhow::Result<()> {
    match command {
        NotMyBoard::Hub => bail!(
            "not-my-board's hub is a part of Nave's: start it with `nave hub`, and let not-my-board's clients in as docs/boards.md says"
        ),
        other => bail!("this is not a part of the program yet: {other:?}"),
    }
}
