//! Starting cargo and other programs from the repository's root, and what cargo says of the workspace.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// The repository's root: the folder above this crate.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo builds, as it says itself.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    Ok(Workspace::read()?.target_directory)
}

/// A program that starts at the root.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// The cargo that runs this program, started at the root.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    // What cargo's configuration sets for those it runs is no setting of whoever runs cargo: told again, it would look like one,
    // and everything that depends on it would be built anew.
    command.env_remove("AWS_LC_SYS_NO_JITTER_ENTROPY");
    command
}

/// Runs a program to its end.
///
/// # Errors
///
/// When it cannot be started or ends with another status than 0.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("{shown} could not be started"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a program to its end and gives its stdout; its stderr goes to ours.
pub(crate) fn read(command: &mut Command) -> anyhow::Result<String> {
    let shown = shown(command);
    let ended = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("{shown} could not be started"))?;
    if !ended.status.success() {
        bail!("`{shown}` ended with {}", ended.status);
    }
    String::from_utf8(ended.stdout).with_context(|| format!("`{shown}` printed no text"))
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The workspace, as `cargo metadata` tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// One package of ours.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// One line of a package's dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for normal ones, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Set for those of the workspace.
    pub(crate) path: Option<PathBuf>,
}

impl Workspace {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let told = read(&mut cargo(["metadata", "--format-version", "1", "--no-deps"]))?;
        serde_json::from_str(&told).context("cargo metadata has another form than expected")
    }
}
