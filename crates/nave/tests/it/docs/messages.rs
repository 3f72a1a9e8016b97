//! The texts of the program, as they stand in its sources, to compare with those that the documents quote.

use std::path::Path;

/// Stands for what is put into a text when it is printed.
const HOLE: char = '\u{1}';

/// All texts in the sources below a folder.
pub fn texts(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                texts.extend(literals(&std::fs::read_to_string(path)?));
            }
        }
    }
    Ok(texts)
}

/// Whether a quotation, in which `…` stands for what varies, is a part of a text of the program.
pub fn is_quoted_from(text: &str, quote: &str) -> bool {
    let mut parts = text.split(HOLE);
    let mut part = parts.next().unwrap_or_default();
    let pieces = quote.split('…').map(str::trim).filter(|piece| !piece.is_empty());
    for piece in pieces {
        // No piece reaches over a hole: what stands there varies.
        while !part.contains(piece) {
            let Some(next) = parts.next() else { return false };
            part = next;
        }
        part = part.split_once(piece).map_or("", |(_, rest)| rest);
    }
    true
}

/// The string literals of a source, unescaped, with holes for what is formatted.
fn literals(source: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        if let Some(comment) = from.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(quoted) = from.strip_prefix('"') {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let raw = before.trim_end_matches('#').ends_with('r');
            let end = if raw { format!("\"{}", "#".repeat(hashes)) } else { "\"".to_owned() };
            let length = length(quoted, &end, raw);
            let text = &quoted[..length];
            literals.push(with_holes(&if raw { text.to_owned() } else { unescaped(text) }));
            rest = quoted.get(length + end.len()..).unwrap_or_default();
        } else {
            // A quotation mark alone begins no text.
            let mark = ["'\"'", "'\\\"'"].iter().find_map(|mark| from.strip_prefix(mark));
            rest = mark.unwrap_or(&from[1..]);
        }
    }
    literals
}

fn length(quoted: &str, end: &str, raw: bool) -> usize {
    let mut at = 0;
    while at < quoted.len() {
        let rest = &quoted[at..];
        if rest.starts_with(end) {
            return at;
        }
        let mut chars = rest.chars();
        let first = chars.next().map_or(1, char::len_utf8);
        at += first;
        if !raw && rest.starts_with('\\') {
            at += chars.next().map_or(0, char::len_utf8);
        }
    }
    quoted.len()
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('\n')) => while chars.next_if(|c| c.is_whitespace()).is_some() {},
            ('\\', Some('n')) => {
                chars.next();
                out.push('\n');
            }
            ('\\', Some(_)) => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

fn with_holes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' if chars.next_if_eq(&'{').is_none() => {
                // To the brace that ends it.
                let _ = chars.by_ref().find(|c| *c == '}');
                out.push(HOLE);
            }
            '}' => {
                chars.next_if_eq(&'}');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[test]
fn texts_are_found_and_compared() {
    let source = "let a = \"no {} named {x:?}: \\\"try\\\" \\\n     again\"; // \"never\"\nlet b = r#\"a \"b\" {{c}}\"#; let c = '\"';";
    let texts = literals(source);
    assert_eq!(texts, ["no \u{1} named \u{1}: \"try\" again", "a \"b\" {c}"]);
    for quote in ["no … named …", "no … named …: \"try\" again", "… named …"] {
        assert!(is_quoted_from(&texts[0], quote), "{quote}");
    }
    for quote in ["named … no", "no one named …", "no … named … again: \"try\""] {
        assert!(!is_quoted_from(&texts[0], quote), "{quote}");
    }
}
