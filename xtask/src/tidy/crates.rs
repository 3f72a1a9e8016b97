//! Crates: which may depend on which, and that each dependency's reason is written down.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value;

use super::{Finding, finding};
use crate::cargo;

/// Which crates of ours each crate may use. Arrows only point down; fleets do not see each other.
const ARROWS: [(&str, &[&str]); 7] = [
    ("nave-link", &[]),
    ("nave-core", &["nave-link"]),
    ("nave-testkit", &["nave-core", "nave-link"]),
    ("nave", &["nave-core", "nave-link"]),
    ("nave-fuzz", &["nave-core", "nave-link"]),
    ("nave-bench", &["nave-core", "nave-link", "nave-testkit"]),
    ("xtask", &[]),
];

/// Every dependency of a crate of ours on another that is not an arrow of the house.
pub(super) fn arrows() -> anyhow::Result<Vec<Finding>> {
    let output = cargo().args(["metadata", "--format-version=1", "--no-deps", "--offline"]).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let name = package["name"].as_str().unwrap_or_default();
        let dependencies = package["dependencies"].as_array().context("dependencies")?;
        for dependency in dependencies {
            // Tests may use the testkit anywhere.
            let used = dependency["name"].as_str().unwrap_or_default();
            if dependency["path"].is_string() && dependency["kind"] != "dev" && !allowed(name, used) {
                findings.push(finding(name, format!("may not depend on {used}")));
            }
        }
    }
    Ok(findings)
}

fn allowed(name: &str, used: &str) -> bool {
    ARROWS.iter().any(|(crate_name, may_use)| *crate_name == name && may_use.contains(&used))
}

/// Dependencies that ARCHITECTURE.md does not give a reason for.
pub(super) fn documented(architecture: &str) -> anyhow::Result<Vec<Finding>> {
    let manifest = std::fs::read_to_string(crate::root().join("Cargo.toml"))?;
    let names = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .context("Cargo.toml has no [workspace.dependencies]")?;
    let reasons: BTreeMap<&str, ()> =
        architecture.split('`').skip(1).step_by(2).map(|quoted| (quoted, ())).collect();
    Ok(names
        .lines()
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name.trim()))
        .filter(|name| !reasons.contains_key(name))
        .map(|name| finding("ARCHITECTURE.md", format!("does not say what `{name}` is for")))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_down_only() {
        assert!(allowed("nave", "nave-core"));
        assert!(!allowed("nave-link", "nave-core"));
        assert!(!allowed("nave-core", "nave"));
        assert!(!allowed("a-new-crate", "nave-link"), "a new crate is given its place first");
    }

    #[test]
    fn an_unexplained_dependency_is_found() {
        let found = documented("`anyhow` is explained").unwrap();
        assert!(found.iter().any(|finding| finding.problem.contains("`tokio`")));
        assert!(!found.iter().any(|finding| finding.problem.contains("`anyhow`")));
    }
}
