//! Numbers and times as people read them. `console.js` says times and bytes in the same words.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const EXACT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[day padding:none] [month repr:short] [year]");

/// How long ago something was, or how soon it will be: `2 min ago`, `in 3 days`.
pub fn ago(now: OffsetDateTime, then: OffsetDateTime) -> String {
    let seconds = (now - then).whole_seconds();
    let span = seconds.unsigned_abs();
    if span < 5 {
        return "just now".to_owned();
    }
    let words = self::span(span);
    if seconds < 0 { format!("in {words}") } else { format!("{words} ago") }
}

/// A length of time, by its largest unit: `2 min`, `3 days`.
pub fn span(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    let (count, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3600 => (seconds / 60, "min"),
        3600..DAY => (seconds / 3600, "h"),
        DAY..5_184_000 => (seconds / DAY, "day"),
        5_184_000..63_072_000 => (seconds / 2_630_016, "month"),
        _ => (seconds / 31_557_600, "year"),
    };
    let plural = if count != 1 && unit.len() > 2 && unit != "min" { "s" } else { "" };
    format!("{count} {unit}{plural}")
}

/// A time to the second.
pub fn exact(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(EXACT).unwrap_or_default()
}

/// A day.
pub fn day(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(DAY).unwrap_or_default()
}

/// A number of things; templates hand over references.
pub trait Count {
    /// The number.
    fn get(self) -> u64;
}

impl Count for u64 {
    fn get(self) -> u64 {
        self
    }
}

impl Count for u32 {
    fn get(self) -> u64 {
        self.into()
    }
}

impl Count for usize {
    fn get(self) -> u64 {
        self as u64
    }
}

impl<T: Count + Copy> Count for &T {
    fn get(self) -> u64 {
        (*self).get()
    }
}

/// Bytes, by powers of a thousand: `1.5 MB`.
pub fn bytes(count: impl Count) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let count = count.get();
    if count < 1000 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10 / 1000;
    let mut unit = 0;
    while tenths >= 10_000 {
        tenths /= 1000;
        unit += 1;
    }
    match tenths {
        0..1000 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

/// A number with its thousands parted: `3,000`.
pub fn number(count: impl Count) -> String {
    let digits = count.get().to_string();
    let mut parted = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            parted.push(',');
        }
        parted.push(digit);
    }
    parted
}

/// A number of things: `1 node`, `3,000 nodes`.
pub fn count(count: impl Count, one: &str, many: &str) -> String {
    let count = count.get();
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// A problem as a sentence: with a capital at its front and a full stop at its end. An address or a path at its front
/// stays as it is, and one alone is no sentence.
pub fn sentence(words: &str) -> String {
    let words = words.trim();
    let front = words.split(' ').next().unwrap_or_default();
    let is_word = front.trim_end_matches([',', ':', ';', '.']).chars().all(|c| c.is_alphabetic() || c == '-');
    let mut letters = words.chars();
    let Some(first) = letters.next() else { return String::new() };
    let stop = if words.ends_with(['.', '?', ':']) || (!is_word && front == words) { "" } else { "." };
    if is_word {
        format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
    } else {
        format!("{words}{stop}")
    }
}

/// The letters by which a person is drawn.
pub fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let first = words.next();
    let last = words.next_back();
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_told_by_their_largest_unit() {
        let now = datetime!(2026-08-04 12:00 UTC);
        let told = |seconds| ago(now, now - Duration::seconds(seconds));
        let cases = [
            (0, "just now"),
            (4, "just now"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (7_200, "2 h ago"),
            (86_400, "1 day ago"),
            (59 * 86_400, "59 days ago"),
            (61 * 86_400, "2 months ago"),
            (800 * 86_400, "2 years ago"),
            (-3, "just now"),
            (-90, "in 1 min"),
            (-172_800, "in 2 days"),
        ];
        for (seconds, words) in cases {
            assert_eq!(told(seconds), words, "{seconds}");
        }
        assert_eq!(exact(now), "2026-08-04 12:00:00 UTC");
        assert_eq!(day(now), "4 Aug 2026");
    }

    #[test]
    fn bytes_and_numbers_stay_short() {
        let told =
            [0, 999, 1000, 1_550_000, 99_999, 100_000, 999_999, u64::MAX].map(|count: u64| bytes(count));
        assert_eq!(told, ["0 B", "999 B", "1.0 kB", "1.5 MB", "99.9 kB", "100 kB", "999 kB", "18.4 EB"]);
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(|count: u64| number(count)),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            (count(1_u64, "node", "nodes"), count(0_u64, "node", "nodes")),
            ("1 node".into(), "0 nodes".into())
        );
    }

    #[test]
    fn texts_are_made_fit_to_be_read() {
        assert_eq!(sentence("must have 12 characters"), "Must have 12 characters.");
        assert_eq!(sentence("sqlite:///x, 2 steps"), "sqlite:///x, 2 steps.");
        assert_eq!(sentence("[::]:3101"), "[::]:3101");
        assert_eq!((sentence(""), sentence("élan.")), (String::new(), "Élan.".to_owned()));
        assert_eq!(["Ada Lovelace", "grace", "  ", "A b c"].map(initials), ["AL", "G", "", "AC"]);
    }
}
