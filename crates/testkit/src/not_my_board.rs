//! not-my-board's own programs, from the Python registry and without a changed line.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

use crate::need;

/// One of the programs that came with not-my-board: itself, or the server that its hub runs in.
///
/// # Errors
///
/// When it is not installed; ask [`need()`](crate::need())`("not-my-board")` first.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let python = need::python("not_my_board").context("not-my-board is not installed")?;
    Ok(python.with_file_name(name))
}

/// A command that runs what is added to it, a program and its arguments, with the folder `run` of a home as its `/run`:
/// that is where agents listen, whatever they are told. `command` makes one that starts a program. The process becomes
/// the program's own.
///
/// # Errors
///
/// When the folder cannot be made.
pub fn in_own_run(home: &Path, command: impl FnOnce(&str) -> Command) -> anyhow::Result<Command> {
    let run = home.join("run");
    std::fs::create_dir_all(&run).with_context(|| run.display().to_string())?;
    let mut command = command("unshare");
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /run && exec \"$@\""]).arg(run);
    Ok(command)
}
