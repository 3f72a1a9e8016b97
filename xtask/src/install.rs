//! Installs what the tests need beside the compiler, from the system's packages, with pip, npm and cargo, and says
//! what. What is there already is left alone.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

use crate::cargo::{cargo, program, read, root, run, target};
use crate::need::{Need, OLDER_PYTHON, PYTHON, find_program, node_packages};

/// A program that cargo installs.
pub(crate) struct CargoTool {
    /// The package; cargo calls it by what follows `cargo-`.
    package: &'static str,
    /// The version that is installed; what is there may be newer.
    version: [u32; 3],
}

pub(crate) const DENY: CargoTool = CargoTool { package: "cargo-deny", version: [0, 20, 2] };
const NEXTEST: CargoTool = CargoTool { package: "cargo-nextest", version: [0, 9, 143] };

/// A package from the Python registry.
struct PythonPackage {
    name: &'static str,
    version: &'static str,
}

/// They share one virtual environment: what one of them needs must suit the others.
const PYTHON_PACKAGES: &[PythonPackage] = &[
    PythonPackage { name: "aiosmtpd", version: "1.4.6" },
    PythonPackage { name: "not-my-board", version: "0.13.0" },
    PythonPackage { name: "schemathesis", version: "4.32.5" },
];
/// Beside those: an older version of one of them, by itself.
const OLDER: PythonPackage = PythonPackage { name: "not-my-board", version: "0.12.0" };

pub(crate) fn everything(needs: &[Need]) -> anyhow::Result<()> {
    let missing: Vec<&Need> =
        needs.iter().filter(|need| !need.apt.is_empty() && need.present().is_err()).collect();
    let lacking = missing.iter().copied().filter(|need| need.present_from_system().is_err());
    system_packages(&lacking.collect::<Vec<_>>())?;
    python_packages()?;
    older_python_package()?;
    npm_packages(needs)?;
    for need in missing {
        if let Err(why) = need.present() {
            bail!("{} is still missing after installing {}: {why}", need.name, need.apt.join(" "));
        }
    }
    for tool in [&NEXTEST, &DENY] {
        if version_of(tool).is_some_and(|version| version >= tool.version) {
            continue;
        }
        let version = tool.version.map(|part| part.to_string()).join(".");
        println!("installing {} {version} with cargo, which compiles it", tool.package);
        run(&mut cargo(["install", "--locked", tool.package, "--version", &version]))?;
    }
    Ok(())
}

fn system_packages(missing: &[&Need]) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    for need in missing {
        let why = need.present().err().unwrap_or_default();
        println!("missing: {} ({}): {why}", need.name, need.purpose);
    }
    let packages: BTreeSet<&str> = missing.iter().flat_map(|need| need.apt).copied().collect();
    let packages: Vec<&str> = packages.into_iter().collect();
    if find_program("apt-get").is_none() {
        bail!("there is no apt-get here; install what Debian calls: {}", packages.join(" "));
    }
    println!("installing from the system's packages: {}", packages.join(" "));
    run(&mut as_root(&["apt-get", "update", "--quiet"])?)?;
    let mut install = as_root(&["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"])?;
    run(install.args(packages))
}

/// Brings the virtual environment in cargo's build folder to the versions of the table.
fn python_packages() -> anyhow::Result<()> {
    let folder = target()?.join(PYTHON);
    let python = folder.join("bin/python");
    let wanted: Vec<String> =
        PYTHON_PACKAGES.iter().map(|package| format!("{}=={}", package.name, package.version)).collect();
    if python.exists() {
        let there = read(program(&python).args(["-m", "pip", "freeze", "--disable-pip-version-check"]))?;
        if wanted.iter().all(|package| there.lines().any(|line| line.eq_ignore_ascii_case(package))) {
            return Ok(());
        }
    } else {
        run(program("python3").args(["-m", "venv"]).arg(&folder)).context("making a Python environment")?;
    }
    println!("installing with pip: {}", wanted.join(" "));
    run(program(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(wanted))
}

/// Puts the older version into a folder of its own, which shadows the newer one for whoever looks there first.
fn older_python_package() -> anyhow::Result<()> {
    let PythonPackage { name, version } = OLDER;
    let folder = target()?.join(PYTHON).join(OLDER_PYTHON);
    if folder.join(format!("{}-{version}.dist-info", name.replace('-', "_"))).is_dir() {
        return Ok(());
    }
    println!("installing with pip, beside the newer one: {name}=={version}");
    run(program(target()?.join(PYTHON).join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade"])
        .arg("--target")
        .arg(folder)
        .arg(format!("{name}=={version}")))
}

/// Installs exactly what the lock file in `crates/testkit/node` says. A test that wants another package adds it there,
/// with `npm install --package-lock-only NAME`, and names it in its row of needs.
fn npm_packages(needs: &[Need]) -> anyhow::Result<()> {
    let (from, to) = (
        root().join("crates/testkit/node"),
        node_packages().context("cargo's build folder cannot be found")?,
    );
    let same = |name: &str| std::fs::read(from.join(name)).ok() == std::fs::read(to.join(name)).ok();
    let missing = needs.iter().find_map(|need| need.present_from_npm().err());
    if missing.is_none() && same("package-lock.json") {
        return Ok(());
    }
    println!("installing with npm: {}", missing.as_deref().unwrap_or("the lock file changed"));
    std::fs::create_dir_all(&to)?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        std::fs::copy(from.join(name), to.join(name)).with_context(|| format!("copying {name}"))?;
    }
    run(program("npm").arg("ci").current_dir(&to))?;
    match needs.iter().find_map(|need| need.present_from_npm().err()) {
        Some(why) => bail!("after `npm ci`: {why}"),
        None => Ok(()),
    }
}

fn as_root(words: &[&str]) -> anyhow::Result<std::process::Command> {
    let me = crate::cargo::read(program("id").arg("-u"))?;
    let mut words = words.to_vec();
    if me.trim() != "0" {
        if find_program("sudo").is_none() {
            bail!("`{}` needs root, and there is no sudo here", words.join(" "));
        }
        words.splice(0..0, ["sudo"]);
    }
    let mut command = program(words[0]);
    command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

/// The installed version, if any.
pub(crate) fn version_of(tool: &CargoTool) -> Option<[u32; 3]> {
    let subcommand = tool.package.strip_prefix("cargo-").unwrap_or(tool.package);
    let told = cargo([subcommand, "--version"]).output().ok().filter(|told| told.status.success())?;
    parse_version(&String::from_utf8(told.stdout).ok()?)
}

/// The version in a line like `cargo-deny 0.20.2 (…)`.
fn parse_version(line: &str) -> Option<[u32; 3]> {
    let word = line.split_whitespace().nth(1)?;
    let parts: Vec<u32> = word.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse_version("cargo-deny 0.20.2\n"), Some([0, 20, 2]));
        assert_eq!(parse_version("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)"), Some([0, 9, 143]));
        assert!(parse_version("x 0.10.0") > parse_version("x 0.9.9"));
        assert_eq!(parse_version("error: no such command"), None);
    }
}
