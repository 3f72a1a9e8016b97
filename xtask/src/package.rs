//! `cargo xtask package`: builds the program as one file and puts it into a Debian package, both in target/package. What
//! is in the package stands in `deb`.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::cargo::{cargo, program, run as run_to_end, target};
use crate::deb;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The cargo profile to build with; `dev` is quicker, for tests
    #[arg(long, default_value = "dist")]
    profile: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let package = build(&options.profile)?;
    println!("{}", package.display());
    Ok(())
}

/// Builds everything and gives the path of the Debian package.
pub(crate) fn build(profile: &str) -> anyhow::Result<PathBuf> {
    let built = binary(profile)?;
    let out = target()?.join("package");
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    let binary = out.join("nave");
    fs::copy(&built, &binary).context("copying the binary")?;
    // What debuggers need of it is three quarters of the file.
    run_to_end(program("strip").arg("--strip-debug").arg(&binary))?;
    deb::build(&binary, &out)
}

/// The program as a profile makes it: what it needs is in it but the C library, which looks up names by what the machine has for
/// that, and so has to be the machine's own.
fn binary(profile: &str) -> anyhow::Result<PathBuf> {
    // For tests with what they are built with, so that it is built once.
    let what: &[&str] =
        if profile == "dev" { &["--workspace", "--bin", "nave"] } else { &["--package", "nave"] };
    run_to_end(cargo(["build", "--profile", profile]).args(what))?;
    Ok(target()?.join(if profile == "dev" { "debug" } else { profile }).join("nave"))
}
