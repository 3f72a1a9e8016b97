//! Each rule about documents on an example that breaks it.

use super::super::{File, file};
use super::{check, commands};

const MANIFEST: &str =
    "[workspace.dependencies]\nnave-link = { path = \"crates/link\" }\nhex = \"0.4\"\nhttp = \"1\"\n";
const TRUE: &str = "# Architecture\n`crates/link` holds keys.\n\n## Dependencies\n\n\
                    - `hex`, `http`: what others write as well\n\n## Later\n- `none`\n";

fn tree(architecture: &str, readme: &str) -> Vec<File> {
    vec![
        file("ARCHITECTURE.md", architecture),
        file("README.md", readme),
        file("Cargo.toml", MANIFEST),
        file("crates/link/Cargo.toml", "[dependencies]\nhex.workspace = true\n"),
    ]
}

fn told(files: &[File]) -> Vec<String> {
    check(files).iter().map(ToString::to_string).collect()
}

#[test]
fn a_true_document_is_left_alone() {
    assert_eq!(told(&tree(TRUE, "`cargo xtask tidy`\n")), [""; 0]);
}

#[test]
fn a_missing_document_is_found() {
    assert_eq!(told(&[]), ["ARCHITECTURE.md: is missing", "README.md: is missing"]);
}

#[test]
fn every_crate_is_named() {
    let found = told(&tree(&TRUE.replace("crates/link", "crates/chain"), ""));
    assert_eq!(found, ["ARCHITECTURE.md: must say what `crates/link` is"]);
}

#[test]
fn every_dependency_has_a_reason() {
    let found = told(&tree(&TRUE.replace("`hex`, ", ""), ""));
    assert_eq!(found, ["ARCHITECTURE.md: \"Dependencies\" must give a reason for `hex`"]);
    let found = told(&tree(&TRUE.replace("what others write as well", "needed"), ""));
    assert_eq!(found, ["ARCHITECTURE.md:6: a dependency needs a reason of at least three words"]);
    let found = told(&tree(&TRUE.replace("`: what", "`; what"), ""));
    assert!(found[0].starts_with("ARCHITECTURE.md:6: a dependency needs its reason"), "{found:?}");
}

#[test]
fn a_dependency_that_went_is_found() {
    let found = told(&tree(&TRUE.replace("`hex`", "`hex`, `ring`"), ""));
    assert_eq!(found, ["ARCHITECTURE.md:6: `ring` is no dependency any more"]);
}

#[test]
fn versions_stand_in_the_workspace_only() {
    let mut files = tree(TRUE, "");
    files[3].text = "[dev-dependencies]\nhex = \"0.4\"\n".to_owned();
    assert_eq!(told(&files), ["crates/link/Cargo.toml: `hex` must be taken from the workspace"]);
}

#[test]
fn chores_that_do_not_exist_are_found() {
    let readme =
        file("README.md", "```\n$ cargo xtask test --install  # everything\n$ cargo xtask tset\n```\n");
    let found: Vec<String> = commands(&readme, None).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["README.md:3: `cargo xtask tset`: error: unrecognized subcommand 'tset'"]);
    let readme = file("README.md", "Run `cargo xtask test --fast`.\n");
    assert_eq!(commands(&readme, None).len(), 1);
}

#[test]
fn commands_of_the_program_are_on_the_generated_page() {
    let page = "# nave\n## `nave join`\n### nave key show\n";
    let readme = file("README.md", "```\nlab$ nave join URL\nlab$ nave jion URL\n```\nSee `nave key`.\n");
    let found: Vec<String> = commands(&readme, Some(page)).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["README.md:3: `nave jion` is not in docs/cli.md", "README.md:5: `nave key` is not in docs/cli.md"]
    );
}
