//! The binary: command line, configuration, composition. What the commands do is the crates' below.

mod cli;
mod client;
mod commands;
mod logging;
mod paths;
mod printer;
mod secret;
mod when;

use std::process::ExitCode;

use clap::Parser as _;
use nave_core::hub::edge::Inherited;

/// The asked thing failed.
const FAILED: u8 = 1;
/// The configuration is bad.
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if let cli::Command::Agent(cli::agent::Agent::Keep(args)) = cli.command {
        return commands::agent::host::keep(args);
    }
    let printer = printer::Printer::new(cli.json);
    // Changes the environment, so it comes before there are other threads.
    let handed_over = Inherited::from_env();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.error(&anyhow::Error::new(error).context("the runtime does not start"));
            return ExitCode::from(FAILED);
        }
    };
    let outcome = runtime.block_on(commands::run(cli, &printer, handed_over));
    // Blocking reads of standard input must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = match error.downcast_ref::<commands::Ended>() {
                Some(ended) => ended.0,
                None if error.is::<commands::BadConfiguration>() => BAD_CONFIGURATION,
                None => FAILED,
            };
            if !error.is::<commands::AlreadySaid>() && !error.is::<commands::Ended>() {
                printer.error(&error);
            }
            ExitCode::from(code)
        }
    }
}
