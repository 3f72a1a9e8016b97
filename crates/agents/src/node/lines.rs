//! What a command writes, as lines: as long as lines may be, as many a second as may be, and what it says of its costs.

use serde::Deserialize;
use tokio::time::Instant;

/// The longest line, in bytes; a longer one becomes several.
pub(super) const LONGEST: usize = 16 << 10;
/// What a line begins with that reports a cost.
const COST: &str = "::nave cost ";

/// Cuts bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The lines that are whole with these bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.cut(&mut lines);
            lines.push(text(std::mem::take(&mut self.rest)));
        }
        self.rest.extend_from_slice(bytes);
        self.cut(&mut lines);
        lines
    }

    fn cut(&mut self, lines: &mut Vec<String>) {
        while self.rest.len() > LONGEST {
            // Not in the middle of a letter.
            let at =
                (LONGEST - 3..=LONGEST).rev().find(|at| self.rest[*at] & 0xc0 != 0x80).unwrap_or(LONGEST);
            let rest = self.rest.split_off(at);
            lines.push(text(std::mem::replace(&mut self.rest, rest)));
        }
    }

    /// What stood after the last line's end.
    pub(super) fn end(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| text(rest))
    }
}

fn text(bytes: Vec<u8>) -> String {
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    if text.ends_with('\r') {
        text.pop();
    }
    text
}

/// How many lines may come.
#[derive(Debug)]
pub(super) struct Rate {
    a_second: f64,
    left: f64,
    at: Instant,
    left_out: u64,
}

impl Rate {
    /// So many a second in the long run, and ten times that at once.
    pub(super) fn new(a_second: u32, now: Instant) -> Self {
        let a_second = f64::from(a_second);
        Self { a_second, left: a_second * 10.0, at: now, left_out: 0 }
    }

    /// Whether one more may come; and how many did not before it.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.a_second).min(self.a_second * 10.0);
        self.at = now;
        // Whoever was over it comes back when there is room for a second's worth, not for one line.
        let needed = if self.left_out > 0 { self.a_second } else { 1.0 };
        if self.left < needed {
            self.left_out += 1;
            return None;
        }
        self.left -= 1.0;
        Some(self.missed())
    }

    /// How many were left out and not told of yet.
    pub(super) fn missed(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

/// A cost as a command reports it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cost {
    pub(super) model: String,
    pub(super) dollars: f64,
    #[serde(default)]
    pub(super) input: u32,
    #[serde(default)]
    pub(super) output: u32,
}

impl Cost {
    /// Reads a line if it reports a cost.
    pub(super) fn read(line: &str) -> Option<Result<Self, String>> {
        let text = line.strip_prefix(COST)?;
        let cost = serde_json::from_str::<Self>(text).map_err(|error| error.to_string());
        Some(cost.and_then(|cost| {
            if !cost.dollars.is_finite() || !(0.0..=1e6).contains(&cost.dollars) {
                return Err("dollars must be from 0 to 1000000".to_owned());
            }
            if cost.model.len() > 200 || cost.model.contains(char::is_control) {
                return Err("model must be one line of at most 200 characters".to_owned());
            }
            Ok(cost)
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_end_where_they_end() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\r\nb"), ["a"]);
        assert_eq!(lines.push(b"c\n\nd"), ["bc", ""]);
        assert_eq!(lines.end().as_deref(), Some("d"));
        assert_eq!(lines.end(), None);
        assert_eq!(lines.push(b"\xff\x00\n"), ["\u{fffd}\0"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_it_comes(text in "(?s).{0,200}", long in 0_usize..40_000, at in 0_usize..100) {
            let text = format!("{text}{}", "ä".repeat(long)).replace('\r', "");
            let bytes = text.as_bytes();
            let (one, other) = bytes.split_at(at.min(bytes.len()));
            let mut lines = Lines::default();
            let mut all = lines.push(one);
            all.extend(lines.push(other));
            all.extend(lines.end());
            prop_assert!(all.iter().all(|line| line.len() <= LONGEST));
            prop_assert_eq!(all.concat(), text.replace('\n', ""));
        }
    }

    #[test]
    fn a_flood_is_left_out_and_told_of() {
        let now = Instant::now();
        let mut rate = Rate::new(10, now);
        assert!((0..100).all(|_| rate.take(now) == Some(0)));
        assert!((0..7).all(|_| rate.take(now).is_none()));
        let later = now + Duration::from_secs(2);
        assert_eq!(rate.take(later), Some(7));
        assert_eq!(rate.take(later), Some(0));
    }

    #[test]
    fn costs_are_read_and_mistakes_are_told() {
        let read = |text: &str| Cost::read(&format!("::nave cost {text}")).unwrap();
        let cost = Cost { model: "m".to_owned(), dollars: 0.5, input: 1, output: 2 };
        assert_eq!(read(r#"{"model":"m","dollars":0.5,"input":1,"output":2}"#).unwrap(), cost);
        assert!(read(r#"{"model":"m"}"#).unwrap_err().contains("dollars"));
        assert!(read(r#"{"model":"m","dollars":-1}"#).is_err());
        assert!(read("x").is_err());
        assert!(Cost::read("::nave costs").is_none() && Cost::read(" ::nave cost {}").is_none());
    }
}
