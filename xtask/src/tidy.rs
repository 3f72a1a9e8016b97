//! `cargo xtask tidy`: the house rules that no compiler knows. Each rule is a function from the tree's
//! files to what is wrong with them; reading the tree and telling the findings is all that is done here.

mod arrows;
mod documents;
mod shape;
mod source;
mod sql;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cargo::{Workspace, program, read, root};

/// A text file of the repository.
#[derive(Debug)]
struct File {
    /// From the root, with forward slashes.
    path: String,
    text: String,
}

/// What is wrong, where.
#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    /// From 1; 0 where no single line is to blame.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

impl File {
    fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }

    fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|it| it == extension)
    }

    /// Whether it is built only to test or to measure; its own tests may stand at the end of any file.
    fn is_test(&self) -> bool {
        self.path.starts_with("crates/testkit/")
            || self.path.starts_with("crates/bench/")
            || self.path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
    }

    /// The folder name of the crate that it belongs to.
    fn crate_folder(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }
}

/// Checks every rule on the repository and tells all that is wrong.
///
/// # Errors
///
/// When something is wrong.
pub(crate) fn run() -> anyhow::Result<()> {
    let files = files()?;
    let workspace = Workspace::read()?;
    let mut findings = arrows::check(&workspace.packages);
    for rule in [shape::check, sql::check, words::check, documents::check] {
        findings.extend(rule(&files));
    }
    for finding in &findings {
        println!("{finding}");
    }
    println!("{}", shape::told_sizes(&files));
    if findings.is_empty() { Ok(()) } else { bail!("{} house rules are broken", findings.len()) }
}

/// Every text file that git knows or would add.
fn files() -> anyhow::Result<Vec<File>> {
    let list = read(program("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let mut files = Vec::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        let full = root().join(path);
        // Removed but not yet from git's list, or a link to a folder: nothing to read.
        if !full.is_file() {
            continue;
        }
        let bytes = std::fs::read(&full).with_context(|| format!("reading {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}

#[cfg(test)]
fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}
