//! That the documents stay true: ARCHITECTURE.md names every crate and gives a reason for every dependency,
//! and the commands that the documents show exist.

use std::collections::BTreeSet;

use clap::CommandFactory as _;

use super::{File, Finding};
use crate::Cli;

const ARCHITECTURE: &str = "ARCHITECTURE.md";
/// The generated page that knows every command of the program.
const COMMANDS: &str = "docs/cli.md";

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifests = files.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    let (root, members): (Vec<_>, Vec<_>) = manifests.partition(|file| file.path == "Cargo.toml");
    for name in [ARCHITECTURE, "README.md"] {
        if !files.iter().any(|file| file.path == name) {
            findings.push(Finding { path: name.to_owned(), line: 0, what: "is missing".to_owned() });
        }
    }
    if let Some(architecture) = files.iter().find(|file| file.path == ARCHITECTURE) {
        findings.extend(crates(architecture, &members));
        findings.extend(root.iter().flat_map(|root| reasons(architecture, root)));
    }
    findings.extend(members.iter().flat_map(|manifest| inherited(manifest)));
    let page = files.iter().find(|file| file.path == COMMANDS).map(|file| file.text.as_str());
    for file in files.iter().filter(|file| file.has_extension("md") && file.path != "CHANGELOG.md") {
        findings.extend(commands(file, page));
    }
    findings
}

/// Every crate is named by its folder.
fn crates(architecture: &File, members: &[&File]) -> Vec<Finding> {
    members
        .iter()
        .filter_map(|manifest| manifest.path.strip_suffix("/Cargo.toml"))
        .filter(|folder| !architecture.text.contains(&format!("`{folder}`")))
        .map(|folder| architecture.finding(0, format!("must say what `{folder}` is")))
        .collect()
}

/// Every dependency of the workspace stands in a line of its own, with a reason, and no other does.
fn reasons(architecture: &File, root: &File) -> Vec<Finding> {
    let manifest: toml::Table = match root.text.parse() {
        Ok(manifest) => manifest,
        Err(why) => return vec![root.finding(0, why.to_string())],
    };
    let dependencies = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table)
        .map(|all| all.iter().filter(|(_, value)| value.get("path").is_none()).map(|(name, _)| name.as_str()))
        .into_iter()
        .flatten();
    let mut needed: BTreeSet<&str> = dependencies.collect();
    let all = needed.clone();
    let mut findings = Vec::new();
    for (at, line) in section(&architecture.text, "Dependencies") {
        let Some(entry) = line.strip_prefix("- ") else { continue };
        let Some((names, reason)) = entry.split_once(": ") else {
            findings.push(architecture.finding(at, "a dependency needs its reason: \"- `name`: reason\""));
            continue;
        };
        if reason.split_whitespace().count() < 3 {
            findings.push(architecture.finding(at, "a dependency needs a reason of at least three words"));
        }
        for name in names.split('`').skip(1).step_by(2) {
            needed.remove(name);
            if !all.contains(name) {
                findings.push(architecture.finding(at, format!("`{name}` is no dependency any more")));
            }
        }
    }
    findings.extend(
        needed
            .into_iter()
            .map(|name| architecture.finding(0, format!("\"Dependencies\" must give a reason for `{name}`"))),
    );
    findings
}

/// The lines below a heading of the second level, with their numbers.
fn section<'a>(text: &'a str, heading: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let below = numbered.skip_while(move |(_, line)| line.strip_prefix("## ") != Some(heading)).skip(1);
    below.take_while(|(_, line)| !line.starts_with("## "))
}

/// A crate takes its dependencies from the workspace, where each has its version and its reason.
fn inherited(manifest: &File) -> Vec<Finding> {
    let parsed: toml::Table = match manifest.text.parse() {
        Ok(parsed) => parsed,
        Err(why) => return vec![manifest.finding(0, why.to_string())],
    };
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    tables
        .iter()
        .filter_map(|table| parsed.get(*table)?.as_table())
        .flatten()
        .filter(|(_, value)| value.get("workspace") != Some(&toml::Value::Boolean(true)))
        .map(|(name, _)| manifest.finding(0, format!("`{name}` must be taken from the workspace")))
        .collect()
}

/// The commands in a document's code: chores by this program's own command line, those of `nave` by the
/// generated page, where there is one.
fn commands(file: &File, page: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, command) in shown_commands(&file.text) {
        let words: Vec<&str> = command.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        match words.as_slice() {
            ["cargo", "xtask", rest @ ..] => {
                let asked = ["cargo xtask"].iter().chain(rest);
                if let Err(why) = Cli::command().try_get_matches_from(asked)
                    && why.use_stderr()
                {
                    let why = why.to_string();
                    let why = why.lines().next().unwrap_or_default();
                    findings.push(file.finding(line, format!("`{command}`: {why}")));
                }
            }
            ["nave", verb, ..] if is_verb(verb) => {
                let known = |page: &str| page.lines().any(|heading| is_heading_of(heading, verb));
                if page.is_some_and(|page| !known(page)) {
                    findings.push(file.finding(line, format!("`nave {verb}` is not in {COMMANDS}")));
                }
            }
            _ => {}
        }
    }
    findings
}

fn is_verb(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
}

/// Whether the line is a heading such as "## `nave join`".
fn is_heading_of(line: &str, verb: &str) -> bool {
    let title: String = line.trim_start_matches('#').chars().filter(|c| *c != '`').collect();
    let mut words = title.split_whitespace();
    line.starts_with('#')
        && words.next() == Some("nave")
        && words.next() == Some(verb)
        && words.next().is_none()
}

/// What stands in a document as code: a line of a block, after a prompt if there is one, or a span in a
/// line of text.
fn shown_commands(text: &str) -> Vec<(usize, &str)> {
    let mut shown = Vec::new();
    let mut in_block = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let command = line.split_once("$ ").map_or(line, |(_, command)| command);
            shown.push((at + 1, command.trim()));
        } else {
            shown.extend(line.split('`').skip(1).step_by(2).map(|span| (at + 1, span.trim())));
        }
    }
    shown
}

#[cfg(test)]
mod tests;
