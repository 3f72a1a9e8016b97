//! Tells apart what is code, comment and string in Rust source, well enough for the rules. No parser: it
//! knows tokens only.

/// The text with the contents of comments, strings and characters replaced by spaces, and the strings by
/// the line on which each begins. Lines stay where they are.
pub(super) struct Source {
    pub(super) code: String,
    pub(super) strings: Vec<(usize, String)>,
}

pub(super) fn read(text: &str) -> Source {
    let mut reader = Reader {
        rest: text,
        line: 1,
        out: Source { code: String::with_capacity(text.len()), strings: Vec::new() },
    };
    while !reader.rest.is_empty() {
        reader.token();
    }
    reader.out
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    out: Source,
}

impl<'a> Reader<'a> {
    fn token(&mut self) {
        let rest = self.rest;
        if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            self.blank(length);
        } else if rest.starts_with("/*") {
            self.blank(block_comment(rest));
        } else if let Some((opening, hashes)) = raw_string(rest) {
            let closing = format!("\"{}", "#".repeat(hashes));
            let length = rest[opening..].find(&closing).unwrap_or(rest.len() - opening);
            self.string(opening, length, closing.len());
        } else if let Some(inside) = rest.strip_prefix('"') {
            self.string(1, string_length(inside, '"'), 1);
        } else if let Some(length) = character(rest) {
            self.blank(length);
        } else {
            // A word as a whole, so that the r of `for"` or a lifetime is not taken for an opening.
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
            self.keep(length);
        }
    }

    fn string(&mut self, opening: usize, length: usize, closing: usize) {
        let content = &self.rest[opening..opening + length];
        self.out.strings.push((self.line, content.to_owned()));
        self.keep(opening);
        self.blank(length);
        self.keep(closing.min(self.rest.len()));
    }

    fn keep(&mut self, length: usize) {
        let taken = self.take(length);
        self.out.code.push_str(taken);
    }

    fn blank(&mut self, length: usize) {
        let taken = self.take(length);
        self.out.code.extend(taken.chars().map(|c| if c == '\n' { c } else { ' ' }));
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }
}

/// The length of a comment that may hold comments.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_u32;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of `r#"` and its like, and the number of hashes.
fn raw_string(text: &str) -> Option<(usize, usize)> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = text[prefix.len()..].find('"')?;
    Some((prefix.len() + hashes + 1, hashes))
}

/// How far it is to the closing quote, past what is escaped.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        return Some(string_length(inside, '\'') + 2);
    }
    inside[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

#[cfg(test)]
mod tests {
    use super::read;

    fn strings(text: &str) -> Vec<(usize, String)> {
        read(text).strings
    }

    #[test]
    fn comments_are_blank_and_lines_stay() {
        let source = read("a(); // b \"c\"\n/* d /* e */\n f */ g();\n");
        assert_eq!(source.code, "a();         \n            \n      g();\n");
        assert!(source.strings.is_empty());
    }

    #[test]
    fn strings_of_every_kind_are_found_with_their_line() {
        let text = "let a = \"x\\\"y\";\nlet b = r#\"z\"w\"#;\nlet c = b\"v\"; let d = br\"u\\\";\n";
        let found = [(1, "x\\\"y"), (2, "z\"w"), (3, "v"), (3, "u\\")];
        assert_eq!(strings(text), found.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn quotes_in_characters_and_lifetimes_open_nothing() {
        assert_eq!(strings("fn f<'a>(q: char) -> bool { q == '\"' || q == '\\'' } // \"\n"), []);
        assert_eq!(strings("let r = 1; let for_r = r; x(\"s\");"), [(1, "s".to_owned())]);
    }

    #[test]
    fn an_unfinished_string_ends_with_the_file() {
        assert_eq!(strings("let s = \"never"), [(1, "never".to_owned())]);
        assert_eq!(strings("let s = r##\"never\"#"), [(1, "never\"#".to_owned())]);
        assert_eq!(read("/* never").code, "        ");
    }
}
