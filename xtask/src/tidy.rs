//! The habits that compilers do not know: ARCHITECTURE.md says them, this holds them.

mod crates;
mod files;

use std::fs;

use anyhow::bail;

use crate::root;

/// One broken habit.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    place: String,
    problem: String,
}

fn finding(place: impl Into<String>, problem: impl Into<String>) -> Finding {
    Finding { place: place.into(), problem: problem.into() }
}

pub fn run() -> anyhow::Result<()> {
    let files = files::tracked()?;
    let mut findings = crates::arrows()?;
    let mut tables = files::Tables::default();
    let mut lengths = Vec::new();
    for path in &files {
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        findings.extend(files::check(path, &text));
        if path.ends_with(".rs") {
            lengths.push(text.lines().count());
            tables.note(path, &text);
        }
    }
    findings.extend(tables.findings());
    findings.extend(crates::documented(&fs::read_to_string(root().join("ARCHITECTURE.md"))?)?);
    lengths.sort_unstable();
    for finding in &findings {
        eprintln!("{}: {}", finding.place, finding.problem);
    }
    if !findings.is_empty() {
        bail!("{} habits are broken", findings.len());
    }
    let at = |part: usize| lengths.get(lengths.len() * part / 100).copied().unwrap_or(0);
    eprintln!(
        "tidy: {} files; Rust files have {} lines in the middle, {} at nine in ten, {} at the most",
        files.len(),
        at(50),
        at(90),
        lengths.last().copied().unwrap_or(0)
    );
    Ok(())
}
