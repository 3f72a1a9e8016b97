//! `cargo xtask usb`: the tests with real USB devices in a virtual machine, and what they say.

use crate::cargo::{cargo, run};

/// Runs them, one machine after the other, as `cargo xtask test` does among all others.
pub(crate) fn tests() -> anyhow::Result<()> {
    run(&mut cargo(["nextest", "run", "--workspace", "--no-capture", "--filterset", "test(/^usb::/)"]))
}
