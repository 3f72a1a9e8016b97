//! `cargo xtask test`: every check, each timed, in the order in which they fail fastest.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::{cargo, docs, needs, tidy};

type Part = (&'static str, Box<dyn Fn() -> anyhow::Result<()>>);

fn run_parts(parts: Vec<Part>) -> anyhow::Result<()> {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (name, part) in parts {
        eprintln!("\n== {name}");
        let begun = Instant::now();
        let outcome = part();
        times.push((name, begun.elapsed()));
        if let Err(error) = outcome {
            print_times(&times);
            return Err(error.context(format!("the check \"{name}\" failed")));
        }
    }
    print_times(&times);
    Ok(())
}

fn print_times(times: &[(&str, Duration)]) {
    eprintln!("\n== times");
    for (name, time) in times {
        eprintln!("{:>7.1} s  {name}", time.as_secs_f32());
    }
    eprintln!("{:>7.1} s  altogether", times.iter().map(|(_, time)| time.as_secs_f32()).sum::<f32>());
}

pub fn run(install: bool, full: bool) -> anyhow::Result<()> {
    if install {
        let begun = Instant::now();
        needs::install()?;
        eprintln!("xtask: everything that the tests need is there ({:.0} s)", begun.elapsed().as_secs_f32());
    }
    let missing = needs::missing();
    let strict = install || std::env::var_os("CI").is_some();
    let mut skip: Vec<&str> = missing.iter().map(|(need, _)| *need).collect();
    skip.dedup();
    for (need, provider) in &missing {
        eprintln!("xtask: tests that need {need} cannot run: {provider} is missing (--install installs it)");
    }
    if strict && !missing.is_empty() {
        bail!("nothing may be skipped here");
    }
    let deny = !needs::missing_cargo_tools().contains(&"cargo-deny");
    if !deny {
        eprintln!("xtask: the dependencies are not checked: cargo-deny is missing (--install installs it)");
    }
    let skip = skip.join(",");

    let mut parts: Vec<Part> = vec![
        ("format", Box::new(|| run_cargo(&["fmt", "--all", "--check"]))),
        ("tidy", Box::new(tidy::run)),
        (
            "lints",
            Box::new(|| {
                run_cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
            }),
        ),
        (
            "the node's half alone",
            Box::new(|| {
                run_cargo(&[
                    "check",
                    "--quiet",
                    "--package",
                    "nave-core",
                    "--no-default-features",
                    "--features",
                    "node",
                ])
            }),
        ),
        (
            "documentation",
            Box::new(|| {
                let mut doc = cargo();
                doc.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings");
                crate::run(&mut doc)
            }),
        ),
    ];
    if deny {
        parts.push((
            "dependencies",
            Box::new(|| run_cargo(&["deny", "--log-level", "error", "check", "bans", "licenses", "sources"])),
        ));
    }
    parts.push(("tests", Box::new(move || tests(full, &skip))));
    parts.push(("generated pages", Box::new(|| docs::run(true))));
    run_parts(parts)
}

fn tests(full: bool, skip: &str) -> anyhow::Result<()> {
    let mut nextest = cargo();
    nextest.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    nextest.args(["--profile", if full { "full" } else { "default" }]);
    // A snapshot that differs fails; it is never written here.
    nextest.env("INSTA_UPDATE", "no").env("NAVE_TEST_SKIP", skip);
    crate::run(&mut nextest)
}

fn run_cargo(args: &[&str]) -> anyhow::Result<()> {
    let mut command: Command = cargo();
    crate::run(command.args(args))
}
