//! `cargo xtask usb`: the tests with real USB devices in a virtual machine, and what they say.

use crate::cargo::{cargo, run};

/// Runs them, one machine after the other: those that `cargo xtask test` runs among all others, and those with
/// not-my-board's programs, which take minutes on an emulated processor.
pub(crate) fn tests() -> anyhow::Result<()> {
    let mut nextest = cargo(["nextest", "run", "--workspace", "--no-capture", "--run-ignored", "all"]);
    run(nextest.args(["--filterset", "test(/^usb::/)"]))
}
