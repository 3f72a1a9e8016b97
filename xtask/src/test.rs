//! `cargo xtask test`: every check in order, each timed; then what was skipped, a table, and the test
//! runner's own closing line. The checks themselves are elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::cargo::{self, Package, Workspace, cargo, run as run_to_end};
use crate::need::NEEDS;
use crate::report::Report;
use crate::{install, package, tidy};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// First install what the tests need, saying what; nothing is skipped then
    #[arg(long)]
    install: bool,
    /// Also the tests that take minutes
    #[arg(long)]
    full: bool,
}

/// Where the test runner left off: its closing line, if it got that far.
type Closing = Option<String>;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::default();
    if options.install {
        report.part("install", || install::everything(NEEDS));
    }
    let nothing_skipped = options.install || std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    let skipped_list = cargo::target()?.join("skipped-tests");
    let mut closing = None;

    report.part("format", || run_to_end(&mut cargo(["fmt", "--all", "--check"])));
    report.part("tidy", tidy::run);
    report.part("clippy", || {
        run_to_end(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    report.part("halves", each_half_alone);
    report.part("doc", || {
        run_to_end(
            cargo(["doc", "--workspace", "--no-deps", "--document-private-items"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    });
    report.part("deny", || dependencies(nothing_skipped));
    report.part("pages", || crate::docs::run(&crate::docs::Options::check()));
    report.part("doc tests", || run_to_end(&mut cargo(["test", "--workspace", "--doc", "--quiet"])));
    if nothing_skipped || can_boot_machines() {
        // What the tests are built with too: these are about the package, not about speed.
        report.part("package", || package::build("dev").map(drop));
    }
    report.part("tests", || {
        let skip = what_to_skip(nothing_skipped)?;
        tests(options.full, &skip, &skipped_list, &mut closing)
    });

    println!("\n{}", report.table());
    let skipped = std::fs::read_to_string(&skipped_list).unwrap_or_default();
    for (want, tests) in by_want(&skipped) {
        println!("skipped for want of {want}:");
        for test in tests {
            println!("    {test}");
        }
    }
    let failed = report.failed();
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    if let Some(line) = closing {
        println!("{line}");
    }
    if failed.is_empty() { Ok(()) } else { bail!("{} of the parts above failed", failed.len()) }
}

/// Whether anything will be done with a package, which takes minutes to build the first time.
fn can_boot_machines() -> bool {
    NEEDS.iter().all(|need| need.name != "nspawn" || need.present().is_ok())
}

/// What the tester asked to leave out and what the machine lacks, separated by commas.
fn what_to_skip(nothing_skipped: bool) -> anyhow::Result<String> {
    let asked = std::env::var("NAVE_TEST_SKIP").unwrap_or_default();
    let mut skip: BTreeSet<&str> = asked.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if nothing_skipped && !skip.is_empty() {
        bail!("NAVE_TEST_SKIP={asked}: with --install, and where CI is set, nothing is skipped");
    }
    for need in NEEDS {
        let Err(why) = need.present() else { continue };
        if nothing_skipped {
            bail!("{} ({}) is missing: {why}", need.name, need.purpose);
        }
        println!("no {} here ({}): {why}; its tests will be skipped", need.name, need.purpose);
        if !need.apt.is_empty() {
            println!("    --install brings it; Debian's packages: {}", need.apt.join(" "));
        }
        skip.insert(need.name);
    }
    Ok(skip.into_iter().collect::<Vec<_>>().join(","))
}

/// The crates with halves must build with each of them alone: the node's half has no database and no web server.
fn each_half_alone() -> anyhow::Result<()> {
    let both = |package: &Package| ["hub", "node"].iter().all(|half| package.features.contains_key(*half));
    let packages: Vec<Package> = Workspace::read()?.packages.into_iter().filter(both).collect();
    for half in ["hub", "node"] {
        let mut check = cargo(["clippy", "--no-default-features"]);
        for Package { name, .. } in &packages {
            check.args(["--package", name, "--features", &format!("{name}/{half}")]);
        }
        run_to_end(check.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

fn dependencies(nothing_skipped: bool) -> anyhow::Result<()> {
    if !nothing_skipped && install::version_of(&install::DENY).is_none() {
        println!("no cargo-deny here: bans, licences and sources are not checked. --install brings it");
        return Ok(());
    }
    run_to_end(&mut cargo(["deny", "--all-features", "check", "bans", "licenses", "sources"]))
}

fn tests(full: bool, skip: &str, skipped_list: &Path, closing: &mut Closing) -> anyhow::Result<()> {
    if skipped_list.exists() {
        std::fs::remove_file(skipped_list).context("removing the list of the last run")?;
    }
    let mut nextest = cargo(["nextest", "run", "--workspace"]);
    if full {
        nextest.args(["--run-ignored", "all"]);
    }
    nextest.env("NAVE_TEST_SKIP", skip).env("NAVE_TEST_SKIPPED", skipped_list);
    let mut running = nextest.stderr(Stdio::piped()).spawn().context("cargo nextest could not be started")?;
    let told = running.stderr.take().context("cargo nextest has no stderr")?;
    for line in BufReader::new(told).lines() {
        let line = line.context("reading what cargo nextest says")?;
        eprintln!("{line}");
        if line.trim_start().starts_with("Summary [") {
            *closing = Some(line);
        }
    }
    let status = running.wait().context("waiting for cargo nextest")?;
    if !status.success() {
        bail!("cargo nextest ended with {status}; if it is not installed, --install brings it");
    }
    if closing.is_none() {
        bail!("cargo nextest ended without its summary, so nobody knows what was tested");
    }
    Ok(())
}

/// The skipped tests by what they wanted, from lines of `test TAB want`.
fn by_want(list: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut wants: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (test, want) in list.lines().filter_map(|line| line.split_once('\t')) {
        wants.entry(want).or_default().insert(test);
    }
    wants
}

#[cfg(test)]
mod tests {
    use super::by_want;

    #[test]
    fn skipped_tests_stand_under_what_they_wanted_once() {
        let wants = by_want("b::forward\tnetns\na::dump\tpostgres\na::dump\tpostgres\na::join\tnetns\n");
        let told: Vec<(&str, Vec<&str>)> =
            wants.into_iter().map(|(want, tests)| (want, tests.into_iter().collect())).collect();
        assert_eq!(told, [("netns", vec!["a::join", "b::forward"]), ("postgres", vec!["a::dump"])]);
    }
}
