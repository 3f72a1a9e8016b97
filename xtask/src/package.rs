//! `cargo xtask package`: builds the program as one static file and puts it into a Debian package, both in
//! target/package. What is in the package stands in `deb`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::cargo::{program, read, run as run_to_end, static_cargo, static_program, target};
use crate::deb;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The cargo profile to build with; `dev` is quicker, for tests
    #[arg(long, default_value = "release")]
    profile: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let package = build(&options.profile)?;
    println!("{}", package.display());
    Ok(())
}

/// Builds everything and gives the path of the Debian package.
pub(crate) fn build(profile: &str) -> anyhow::Result<PathBuf> {
    let binary = static_binary(profile)?;
    let out = target()?.join("package");
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    fs::copy(&binary, out.join("nave")).context("copying the binary")?;
    deb::build(&binary, &out)
}

fn static_binary(profile: &str) -> anyhow::Result<PathBuf> {
    // For tests with what they are built with, so that it is built once.
    let what: &[&str] =
        if profile == "dev" { &["--workspace", "--bin", "nave"] } else { &["--package", "nave"] };
    run_to_end(static_cargo(["build", "--profile", profile]).args(what))?;
    let binary = static_program("nave", profile)?;
    assert_static(&binary)?;
    Ok(binary)
}

fn assert_static(binary: &Path) -> anyhow::Result<()> {
    let told = read(program("ldd").arg(binary))?;
    if !told.contains("statically linked") {
        bail!("{} wants libraries of the machine it runs on:\n{told}", binary.display());
    }
    Ok(())
}
