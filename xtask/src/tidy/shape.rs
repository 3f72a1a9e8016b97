//! The shape of source files: their size, the sentence they open with, and no lint silenced for good.

use super::{File, Finding, source};

const MOST_LINES: usize = 600;
const SILENCED: &str = "[allow(";

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    files.iter().filter(|file| file.is_rust()).flat_map(of_one).collect()
}

fn of_one(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines > MOST_LINES {
        findings.push(file.finding(0, format!("{lines} lines; split it, {MOST_LINES} is the most")));
    }
    if !opens_with_a_sentence(&file.text) {
        findings.push(file.finding(1, "must open with a `//!` sentence: what lives here and what does not"));
    }
    let code = source::read(&file.text).code;
    for (at, line) in code.lines().enumerate() {
        if line.contains(SILENCED) && line.contains('#') {
            findings.push(file.finding(at + 1, "silence a lint with #[expect(…, reason = \"…\")] instead"));
        }
    }
    findings
}

/// Whether the file's first paragraph is a doc comment of at least three words that ends as a sentence.
fn opens_with_a_sentence(text: &str) -> bool {
    let paragraph: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let words = paragraph.iter().flat_map(|line| line.split_whitespace()).count();
    words >= 3 && paragraph.last().is_some_and(|line| line.ends_with(['.', ':', '!', '?']))
}

/// The number of production files, their median and their longest.
pub(super) fn told_sizes(files: &[File]) -> String {
    let mut sizes: Vec<(usize, &str)> = files
        .iter()
        .filter(|file| file.is_rust() && !file.is_test())
        .map(|file| (file.text.lines().count(), file.path.as_str()))
        .collect();
    sizes.sort_unstable();
    let (Some((median, _)), Some((longest, path))) = (sizes.get(sizes.len() / 2), sizes.last()) else {
        return "no source files".to_owned();
    };
    format!("{} source files, median {median} lines, longest {longest} ({path})", sizes.len())
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::{check, told_sizes};

    fn told(path: &str, text: &str) -> Vec<String> {
        check(&[file(path, text)]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_of_601_lines_is_too_long() {
        let opening = "//! Holds one thing only.\n";
        assert!(told("a.rs", &(opening.to_owned() + &"\n".repeat(599))).is_empty());
        assert_eq!(
            told("a.rs", &(opening.to_owned() + &"\n".repeat(600))),
            ["a.rs: 601 lines; split it, 600 is the most"]
        );
        assert!(told("notes.md", &"\n".repeat(900)).is_empty());
    }

    #[test]
    fn a_file_opens_with_a_sentence() {
        assert!(told("a.rs", "//! Keys, and proofs of keys.\n//!\n//! More\n").is_empty());
        assert!(told("a.rs", "//! Keys and proofs\n//! of keys. Not certificates:\n").is_empty());
        for bad in
            ["", "fn main() {}\n", "//! a\n", "//! Keys and more keys\nfn main() {}\n", "// Two. Or three.\n"]
        {
            assert_eq!(
                told("a.rs", bad),
                ["a.rs:1: must open with a `//!` sentence: what lives here and what does not"],
                "{bad:?}"
            );
        }
    }

    #[test]
    fn lints_are_not_silenced_for_good() {
        let opening = "//! Holds one thing only.\n";
        let silence = ["#[al", "low(dead_code)]\n"].concat();
        assert_eq!(
            told("a.rs", &format!("{opening}{silence}fn f() {{}}\n")),
            ["a.rs:2: silence a lint with #[expect(…, reason = \"…\")] instead"]
        );
        assert_eq!(told("a.rs", &format!("{opening}#!{}", &silence[1..])).len(), 1);
        assert!(told("a.rs", &format!("{opening}// never {silence}")).is_empty());
    }

    #[test]
    fn the_median_counts_production_files() {
        let files = [
            file("a.rs", "1\n"),
            file("b.rs", "1\n2\n"),
            file("c.rs", "1\n2\n3\n"),
            file("crates/core/tests/it/main.rs", &"\n".repeat(90)),
            file("d.md", &"\n".repeat(90)),
        ];
        assert_eq!(told_sizes(&files), "3 source files, median 2 lines, longest 3 (c.rs)");
        assert_eq!(told_sizes(&[]), "no source files");
    }
}
