//! `cargo xtask`: the project's chores, each a subcommand that says what it does and how long it took. No
//! part of the product is here.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to the person at the terminal is its work"
)]

mod cargo;
mod deb;
mod docs;
mod install;
// The table of what tests need, read from its source: a dependency on the test kit would be one on the whole
// product, which need not build for the chores to run.
#[path = "../../crates/testkit/src/need/table.rs"]
#[expect(unreachable_pub, reason = "it is the test kit's, and public there")]
mod need;
mod package;
mod report;
mod test;
mod tidy;
mod usb;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Everything that must hold before a change is merged
    Test(test::Options),
    /// The house rules: crate arrows, sizes, opening sentences, where SQL stands, true documents
    Tidy,
    /// Writes the pages that are generated from the program itself
    Docs(docs::Options),
    /// The program and a Debian package of it, in target/package
    Package(package::Options),
    /// Tries the parsers at every edge with random input
    Fuzz {
        /// Only this target
        target: Option<String>,
        /// For how many seconds each
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// The tests with USB devices, in a virtual machine with Debian's kernel
    Usb,
    /// The measurements of docs/performance.md; arguments go to the bench crate
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Tidy => tidy::run(),
        Chore::Docs(options) => docs::run(&options),
        Chore::Package(options) => package::run(&options),
        Chore::Fuzz { target, seconds } => fuzz(target, seconds),
        Chore::Usb => usb::tests(),
        Chore::Bench { arguments } => bench(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why:#}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz(target: Option<String>, seconds: u64) -> anyhow::Result<()> {
    let mut fuzz = cargo::cargo(["run", "--release", "--package", "nave-fuzz", "--"]);
    cargo::run(fuzz.args(["--seconds", &seconds.to_string()]).args(target))
}

fn bench(arguments: &[String]) -> anyhow::Result<()> {
    // What is measured, as it is packaged.
    cargo::run(&mut cargo::cargo(["build", "--profile", "dist", "--package", "nave"]))?;
    cargo::run(cargo::cargo(["run", "--profile", "dist", "--package", "nave-bench", "--"]).args(arguments))
}
