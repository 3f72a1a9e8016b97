//! Which crate may depend on which: arrows point down, fleets do not see each other, only the binary names
//! all of them.

use super::Finding;
use crate::cargo::Package;

const LINK: &str = "nave-link";
const CORE: &str = "nave-core";
const WEB: &str = "nave-web";
const TESTKIT: &str = "nave-testkit";
const FLEETS: [&str; 3] = ["nave-boards", "nave-learning", "nave-agents"];

/// What a crate of ours may depend on, or `None` for one whose place is not known.
fn allowed(name: &str) -> Option<Vec<&'static str>> {
    let product = [LINK, CORE, WEB].into_iter().chain(FLEETS);
    Some(match name {
        LINK | "xtask" => vec![],
        CORE => vec![LINK],
        WEB => vec![LINK, CORE],
        TESTKIT => vec![LINK, CORE, WEB],
        "nave" => product.collect(),
        "nave-bench" | "nave-fuzz" => product.chain([TESTKIT]).collect(),
        fleet if FLEETS.contains(&fleet) => vec![LINK, CORE, WEB],
        _ => return None,
    })
}

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |package: &Package, what: String| {
        findings.push(Finding { path: format!("{}/Cargo.toml", package.name), line: 0, what });
    };
    for package in packages {
        let Some(allowed) = allowed(&package.name) else {
            find(
                package,
                "this crate has no place in the house: give it one in xtask/src/tidy/arrows.rs".into(),
            );
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let for_tests = dependency.kind.as_deref() == Some("dev");
            if (for_tests && dependency.name == TESTKIT) || allowed.contains(&dependency.name.as_str()) {
                continue;
            }
            let may = if allowed.is_empty() { "none of ours".to_owned() } else { allowed.join(", ") };
            find(package, format!("must not depend on {}; it may depend on: {may}", dependency.name));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::check;
    use crate::cargo::{Dependency, Package};

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let ours = |&(name, kind): &(&str, Option<&str>)| Dependency {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            path: Some("somewhere".into()),
        };
        Package {
            name: name.to_owned(),
            dependencies: dependencies.iter().map(ours).collect(),
            features: BTreeMap::new(),
        }
    }

    fn told(package: Package) -> Vec<String> {
        check(&[package]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_point_down() {
        assert!(told(package("nave-core", &[("nave-link", None), ("nave-testkit", Some("dev"))])).is_empty());
        assert!(told(package("nave", &[("nave-boards", None), ("nave-learning", None)])).is_empty());
        assert_eq!(
            told(package("nave-link", &[("nave-core", None)])),
            ["nave-link/Cargo.toml: must not depend on nave-core; it may depend on: none of ours"]
        );
        assert_eq!(
            told(package("nave-core", &[("nave-web", None)])),
            ["nave-core/Cargo.toml: must not depend on nave-web; it may depend on: nave-link"]
        );
    }

    #[test]
    fn fleets_do_not_see_each_other_even_in_tests() {
        assert_eq!(told(package("nave-boards", &[("nave-agents", Some("dev"))])).len(), 1);
    }

    #[test]
    fn the_test_kit_is_for_tests_only() {
        assert_eq!(told(package("nave", &[("nave-testkit", None)])).len(), 1);
    }

    #[test]
    fn other_peoples_crates_are_not_judged_here() {
        let mut package = package("nave-link", &[("tokio", None)]);
        package.dependencies[0].path = None;
        assert!(told(package).is_empty());
    }

    #[test]
    fn a_new_crate_needs_a_place() {
        let found = told(package("nave-utils", &[]));
        assert!(found[0].contains("no place in the house"), "{found:?}");
    }
}
