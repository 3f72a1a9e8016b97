//! Lines of a log as a page shows them: whatever an agent prints is text, and nothing in it reaches further than its line.

use time::OffsetDateTime;

use crate::api::{LogLine, LogRole, LogSource, LogType};

/// How much of one line is shown, in characters.
const LONGEST: usize = 20_000;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number.
    pub id: i64,
    /// The class of its colour.
    pub class: &'static str,
    /// Who speaks, or what it is.
    pub who: &'static str,
    /// When.
    pub at: OffsetDateTime,
    /// What it says.
    pub text: String,
    /// How many characters more it has.
    pub more: usize,
    /// The file that it is about.
    pub file: Option<String>,
    /// The run and session that begin with it.
    pub begins: Option<(i64, i64)>,
}

/// Lines of a log, the oldest first, after one of a run and session.
pub fn lines(log: Vec<LogLine>, after: Option<(i64, i64)>) -> Vec<Line> {
    let mut last = after;
    let line = |line: LogLine| {
        let of = (line.key.run, line.key.session);
        let begins = (last.replace(of) != Some(of)).then_some(of);
        let (class, who) = kind(&line);
        let (text, more) = shown(&line.message);
        Line { id: line.id, class, who, at: line.created_at, text, more, file: line.attachment, begins }
    };
    log.into_iter().map(line).collect()
}

fn kind(line: &LogLine) -> (&'static str, &'static str) {
    match (line.kind, line.role, line.source) {
        (Some(LogType::Error), _, _) => ("error", "error"),
        (_, LogRole::Llm, _) | (_, _, Some(LogSource::Llm)) => ("llm", "model"),
        (Some(LogType::Comment), _, _) => ("comment", "comment"),
        (Some(LogType::System), _, _) => ("system", "system"),
        (Some(LogType::Tool), _, _) => ("tool", "tool"),
        (None, _, Some(LogSource::StartPrompt | LogSource::EndPrompt)) => ("prompt", "prompt"),
        (None, _, Some(LogSource::Console)) => ("console", "console"),
        (None, LogRole::Naisys, None) => ("plain", "runner"),
    }
}

/// A text without what terminals take for orders, and how many characters of it are left out.
fn shown(text: &str) -> (String, usize) {
    let mut shown = String::with_capacity(text.len().min(LONGEST));
    let mut letters = text.trim_end_matches(['\r', '\n']).chars().peekable();
    let mut count = 0;
    while count < LONGEST {
        let Some(letter) = letters.next() else { return (shown, 0) };
        match letter {
            '\u{1b}' => skip_escape(&mut letters),
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' | '\t' => shown.push(letter),
            // Each has a picture of its own.
            '\0'..='\u{1f}' => shown.extend(char::from_u32(0x2400 + u32::from(letter))),
            '\u{7f}' => shown.push('\u{2421}'),
            // These turn the direction of what follows, up to the end of the line and beyond.
            '\u{80}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{2028}'
            | '\u{2029}' => shown.push('\u{fffd}'),
            letter => shown.push(letter),
        }
        count += 1;
    }
    (shown, letters.count())
}

/// Leaves out the rest of an escape sequence (ECMA-48): colours, movements of the cursor, titles of windows.
fn skip_escape(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match letters.peek() {
        Some('[') => {
            letters.next();
            while let Some(letter) = letters.next_if(|letter| (' '..='~').contains(letter)) {
                if ('@'..='~').contains(&letter) {
                    return;
                }
            }
        }
        Some(']' | 'P' | '_' | '^' | 'X') => {
            // Up to the bell, or the escape that ends it; what never ends is not left out further than its line.
            while let Some(letter) = letters.next_if(|letter| *letter != '\n') {
                if letter == '\u{7}' {
                    return;
                }
                if letter == '\u{1b}' {
                    letters.next_if_eq(&'\\');
                    return;
                }
            }
        }
        Some('('..='/') => {
            letters.next();
            letters.next_if(|letter| *letter != '\n');
        }
        Some('0'..='~') => {
            letters.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::api::RunKey;

    #[test]
    fn nothing_that_is_printed_orders_anything() {
        let text = |text: &str| shown(text).0;
        assert_eq!(text("\u{1b}[1;31mred\u{1b}[0m and \u{1b}]0;title\u{7}plain\r\n"), "red and plain");
        assert_eq!(text("\u{1b}]8;;x\u{1b}\\link \u{1b}(B\u{1b}Mup"), "link up");
        assert_eq!(text("a\u{8}b\0\u{7f}\u{9b}31m"), "a\u{2408}b\u{2400}\u{2421}\u{fffd}31m");
        assert_eq!(text("safe\u{202e}live"), "safe\u{fffd}live");
        assert_eq!(text("\u{1b}]never ends\nnext"), "\nnext");
        assert_eq!(text("one\n\ttwo\u{1b}"), "one\n\ttwo");
        let (long, more) = shown(&"ä".repeat(LONGEST + 5));
        assert_eq!((long.chars().count(), more), (LONGEST, 5));
    }

    #[test]
    fn a_new_session_is_marked_once() {
        let line = |id, run, session| LogLine {
            id,
            key: RunKey { agent: 1, run, session },
            role: LogRole::Llm,
            source: None,
            kind: None,
            message: "hi".to_owned(),
            created_at: datetime!(2026-08-04 12:00 UTC),
            attachment: None,
        };
        let log = vec![line(1, 1, 1), line(2, 1, 1), line(3, 1, 2), line(4, 2, 1)];
        let begins: Vec<_> = lines(log, Some((1, 1))).into_iter().map(|line| line.begins).collect();
        assert_eq!(begins, [None, None, Some((1, 2)), Some((2, 1))]);
    }
}
