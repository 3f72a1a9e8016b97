//! The project's chores: `cargo xtask test`, `tidy`, `docs`, `fuzz`, `package`, `bench`.

mod docs;
mod needs;
mod package;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The project's chores")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check everything: format, lints, tidy, documentation, dependencies, tests
    Test {
        /// Install what the tests need from the system's package managers, saying what
        #[arg(long)]
        install: bool,
        /// All tests instead of the smoke set
        #[arg(long)]
        full: bool,
    },
    /// Check the habits that compilers do not know
    Tidy,
    /// Write the generated pages, or check that they are true
    Docs {
        /// Only check
        #[arg(long)]
        check: bool,
    },
    /// Run the fuzz targets for some seconds each
    Fuzz {
        /// Only this target
        target: Option<String>,
        /// For how long each
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Make the static binary and the Debian package, into target/package
    Package,
    /// Measure; prints the tables of docs/performance.md
    Bench {
        /// Passed on to the benchmark program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().chore {
        Chore::Test { install, full } => test::run(install, full),
        Chore::Tidy => tidy::run(),
        Chore::Docs { check } => docs::run(check),
        Chore::Fuzz { target, seconds } => fuzz(target, seconds),
        Chore::Package => package::run(),
        Chore::Bench { args } => bench(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz(target: Option<String>, seconds: u64) -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["run", "--release", "--package", "nave-fuzz", "--", "--seconds", &seconds.to_string()]);
    command.args(target);
    run(&mut command)
}

fn bench(args: &[String]) -> anyhow::Result<()> {
    run(cargo().args(["build", "--release", "--package", "nave", "--package", "nave-bench"]))?;
    run(Command::new(root().join("target/release/nave-bench")).args(args))
}

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_owned()
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command; its failure is ours.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{:?}", command.get_program()))?;
    if !status.success() {
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        bail!("{} {} failed", command.get_program().to_string_lossy(), args.join(" "));
    }
    Ok(())
}
