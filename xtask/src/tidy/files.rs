//! Files: length, a first sentence, SQL in its place, nothing left unfinished, nothing that does not belong.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::Context as _;

use super::{Finding, finding};
use crate::root;

const MAX_LINES: usize = 600;

/// Text that stands nowhere in the repository; written so that it does not stand here either.
const FOREIGN: [[&str; 2]; 8] = [
    ["/wor", "k/"],
    ["/far", "m/"],
    [".librar", "y/"],
    ["registry.npm", "js"],
    ["index.crates", ".io"],
    ["pypi", ".org"],
    ["deb.debian", ".org"],
    ["static.crates", ".io"],
];

/// Text that stands nowhere in Rust code.
const UNFINISHED: [[&str; 2]; 6] =
    [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["to", "do!("], ["unimple", "mented!("], ["#[al", "low("]];

const SQL: [&str; 5] = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE "];

/// Every file that git tracks, or would.
pub(super) fn tracked() -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("git")?;
    let mut files: Vec<String> = String::from_utf8(output.stdout)?.lines().map(ToOwned::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !path.ends_with(".lock") {
        for parts in FOREIGN {
            let foreign = parts.concat();
            if text.contains(&foreign) {
                findings.push(finding(
                    path,
                    format!("holds {foreign:?}, which belongs to one machine or registry"),
                ));
            }
        }
    }
    if !path.ends_with(".rs") {
        return findings;
    }
    if text.lines().count() > MAX_LINES {
        findings.push(finding(path, format!("has more than {MAX_LINES} lines: split it")));
    }
    if !text.starts_with("//! ") {
        findings.push(finding(path, "does not begin with a sentence that says what lives here"));
    }
    for parts in UNFINISHED {
        let unfinished = parts.concat();
        if text.contains(&unfinished) {
            findings.push(finding(
                path,
                format!("holds {unfinished:?}: finish it, or use #[expect] with a reason"),
            ));
        }
    }
    if is_production(path) && !is_store(path) && has_sql(text) {
        findings.push(finding(path, "holds SQL: it belongs into a module named store"));
    }
    findings
}

fn is_production(path: &str) -> bool {
    path.starts_with("crates/")
        && !path.contains("/tests")
        && !path.contains("/testkit/")
        && !path.contains("/bench/")
}

fn is_store(path: &str) -> bool {
    path.split('/').any(|part| part == "store" || part == "store.rs")
}

fn has_sql(text: &str) -> bool {
    let strings: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    SQL.iter().any(|word| strings.contains(&format!("\"{word}")))
}

/// Which crate writes which table.
#[derive(Default)]
pub(super) struct Tables(BTreeMap<String, BTreeSet<String>>);

impl Tables {
    pub(super) fn note(&mut self, path: &str, text: &str) {
        if !is_production(path) {
            return;
        }
        let owner = path.split('/').nth(1).unwrap_or_default();
        for word in ["INSERT INTO ", "UPDATE ", "DELETE FROM "] {
            for rest in text.split(word).skip(1) {
                let table: String = rest
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || matches!(c, '_' | '0'..='9'))
                    .collect();
                if !table.is_empty() {
                    self.0.entry(table).or_default().insert(owner.to_owned());
                }
            }
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        self.0
            .iter()
            .filter(|(_, owners)| owners.len() > 1)
            .map(|(table, owners)| {
                finding(format!("table {table}"), format!("is written by {owners:?}: one crate owns it"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> usize {
        check(path, text).len()
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        assert_eq!(problems("crates/a/src/b.rs", "//! Fine.\n"), 0);
        assert_eq!(problems("crates/a/src/b.rs", "fn a() {}\n"), 1, "no first sentence");
        assert_eq!(problems("crates/a/src/b.rs", &format!("//! Long.\n{}", "\n".repeat(MAX_LINES))), 1);
        assert_eq!(problems("crates/a/src/b.rs", "//! Sql.\nquery(\"SELECT 1\")\n"), 1);
        assert_eq!(problems("crates/a/src/store.rs", "//! Sql.\nquery(\"SELECT 1\")\n"), 0);
        assert_eq!(problems("crates/a/src/store/b.rs", "//! Sql.\nquery(\"SELECT 1\")\n"), 0);
        for parts in UNFINISHED {
            assert_eq!(
                problems("crates/a/src/b.rs", &format!("//! A.\n{}\n", parts.concat())),
                1,
                "{parts:?}"
            );
        }
        for parts in FOREIGN {
            assert_eq!(problems("README.md", &parts.concat()), 1, "{parts:?}");
            assert_eq!(problems("Cargo.lock", &parts.concat()), 0, "{parts:?}");
        }
    }

    #[test]
    fn a_table_with_two_owners_is_found() {
        let mut tables = Tables::default();
        tables.note("crates/core/src/store.rs", "INSERT INTO nodes (id)");
        tables.note("crates/core/src/other/store.rs", "UPDATE nodes SET");
        assert_eq!(tables.findings().len(), 0);
        tables.note("crates/boards/src/hub/store.rs", "DELETE FROM nodes WHERE");
        assert_eq!(tables.findings().len(), 1);
    }
}
