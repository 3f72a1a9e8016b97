//! What must not be written anywhere: unfinished work, paths of one machine, hosts of package registries.

use super::{File, Finding};

/// Each in two halves, so that this file does not contain what it looks for, and what to do about it.
const FORBIDDEN: [(&str, &str, &str); 13] = [
    ("TO", "DO", UNFINISHED),
    ("FIX", "ME", UNFINISHED),
    ("XX", "X", UNFINISHED),
    ("todo", "!", UNFINISHED),
    ("unimple", "mented!", UNFINISHED),
    ("/wo", "rk/", ONE_MACHINE),
    ("/fa", "rm/", ONE_MACHINE),
    ("/ro", "ot/", ONE_MACHINE),
    ("/tmp/", "trees/", ONE_MACHINE),
    ("crates", ".io", REGISTRY),
    ("pypi", ".org", REGISTRY),
    ("npm", "js.org", REGISTRY),
    ("deb.", "debian.org", REGISTRY),
];
const UNFINISHED: &str = "finish it, or file an issue";
const ONE_MACHINE: &str = "a path that exists on one machine only";
const REGISTRY: &str = "the registry is the user's choice; leave its host to cargo, pip, npm or apt";

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !is_exempt(&file.path)) {
        for (at, line) in file.text.lines().enumerate() {
            for (start, end, why) in FORBIDDEN {
                let word = [start, end].concat();
                if contains_word(line, &word) {
                    findings.push(file.finding(at + 1, format!("`{word}`: {why}")));
                }
            }
        }
    }
    findings
}

/// Written by a tool, by the authors of the licence, or taken from a package as it is, which a test of hashes holds.
fn is_exempt(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "Cargo.lock" | "LICENSE")
        || (path.starts_with("crates/web/assets/vendor/") && name != "README.md")
}

/// Whether `word` stands in `line` and is no part of a longer one.
fn contains_word(line: &str, word: &str) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let begins = !word.starts_with(part_of_a_word) || !before.is_some_and(part_of_a_word);
        let ends = !word.ends_with(part_of_a_word) || !after.is_some_and(part_of_a_word);
        begins && ends
    })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::{FORBIDDEN, check};

    #[test]
    fn each_word_is_found_anywhere() {
        for (start, end, why) in FORBIDDEN {
            let text = format!("one\nsee {start}{end} there\n");
            let found: Vec<String> =
                check(&[file("docs/a.md", &text)]).iter().map(ToString::to_string).collect();
            assert_eq!(found, [format!("docs/a.md:2: `{start}{end}`: {why}")]);
        }
    }

    #[test]
    fn a_part_of_another_word_is_not_meant() {
        let text = ["mktemp name.XX", "XXXX\nMAS", "TODON\nhomewo", "rk/ notes\n"].concat();
        assert_eq!(check(&[file("a.md", &text)]), []);
    }

    #[test]
    fn lock_files_name_their_registry() {
        let line = ["crates", ".io"].concat();
        assert_eq!(check(&[file("Cargo.lock", &line), file("fuzz/Cargo.lock", &line)]), []);
        assert_eq!(check(&[file("Cargo.toml", &line)]).len(), 1);
    }

    #[test]
    fn what_others_wrote_stays_as_it_is_and_what_we_wrote_beside_it_is_ours() {
        let word = ["TO", "DO"].concat();
        assert_eq!(check(&[file("crates/web/assets/vendor/a.css", &word)]), []);
        assert_eq!(check(&[file("crates/web/assets/vendor/README.md", &word)]).len(), 1);
        assert_eq!(check(&[file("crates/web/assets/a.css", &word)]).len(), 1);
    }
}
