//! Commands that an exporter runs for its places: before and after a reservation, and to switch the power. What each came
//! to, as the hub keeps it and people read it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The longest output of a command that is kept, in bytes.
pub const MOST_OUTPUT: usize = 16 << 10;
/// The longest part of a problem that is quoted from the output, in characters.
const QUOTED: usize = 200;

/// Why a command was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A reservation begins; its holder is let in afterwards.
    Before,
    /// A reservation has ended; the next holder is let in afterwards.
    After,
    /// The power is switched on.
    PowerOn,
    /// The power is switched off.
    PowerOff,
    /// The power is switched off and on again.
    PowerCycle,
    /// How the power stands is asked.
    PowerStatus,
}

impl Occasion {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Before, Self::After, Self::PowerOn, Self::PowerOff, Self::PowerCycle, Self::PowerStatus];

    /// As it is written where programs read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::PowerOn => "power_on",
            Self::PowerOff => "power_off",
            Self::PowerCycle => "power_cycle",
            Self::PowerStatus => "power_status",
        }
    }

    /// In words, as the subject of a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Before => "the command before a reservation",
            Self::After => "the command after a reservation",
            Self::PowerOn => "the command that switches the power on",
            Self::PowerOff => "the command that switches the power off",
            Self::PowerCycle => "the command that switches the power off and on",
            Self::PowerStatus => "the command that asks for the power",
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With exit status 0.
    Done,
    /// With another one, or by a signal.
    Failed,
    /// It took too long, and was ended.
    TimedOut,
    /// It could not be started.
    NotStarted,
}

impl Outcome {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::TimedOut, Self::NotStarted];

    /// As it is written where programs read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::NotStarted => "not_started",
        }
    }
}

/// A command that was run for a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct CommandRun {
    /// Why it was run.
    pub occasion: Occasion,
    /// The id of the reservation that it is about; none where nobody had the place.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub reservation: Option<String>,
    /// Who had the place, or switched its power.
    pub holder: String,
    /// From when.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// Until when.
    #[serde(with = "time::serde::rfc3339")]
    pub ended: OffsetDateTime,
    /// How it ended.
    pub outcome: Outcome,
    /// Its exit status, where it had one.
    pub status: Option<i32>,
    /// What it printed, on both outputs; shortened in the middle to 16 KiB.
    pub output: String,
}

impl CommandRun {
    /// Whether it did what it should.
    pub fn is_done(&self) -> bool {
        self.outcome == Outcome::Done
    }

    /// How it ended, in words.
    pub fn ending(&self) -> String {
        match (self.outcome, self.status) {
            (Outcome::TimedOut, _) => {
                format!("was ended after {} s", (self.ended - self.began).whole_seconds())
            }
            (Outcome::NotStarted, _) => "could not be started".to_owned(),
            (_, Some(126)) => "failed with exit status 126 (it is not executable)".to_owned(),
            (_, Some(127)) => "failed with exit status 127 (there is no such program)".to_owned(),
            (Outcome::Failed, Some(status)) => format!("failed with exit status {status}"),
            (Outcome::Failed, None) => "was ended by a signal".to_owned(),
            (Outcome::Done, _) => "ended with exit status 0".to_owned(),
        }
    }

    /// What went wrong, in one line, if anything did.
    pub fn problem(&self) -> Option<String> {
        if self.is_done() {
            return None;
        }
        let last = self.output.lines().map(str::trim).rfind(|line| !line.is_empty());
        let quoted: String =
            last.unwrap_or_default().chars().filter(|c| !c.is_control()).take(QUOTED).collect();
        let quoted = if quoted.is_empty() { quoted } else { format!(": {quoted}") };
        Some(format!("{} {}{quoted}", self.occasion.words(), self.ending()))
    }
}

/// What a program printed as text that can be shown anywhere: without control characters but for line breaks and tabs, and
/// no longer than is kept.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MOST_OUTPUT));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // A terminal's sequence (ECMA-48, section 5.4): ESC, `[`, parameters, one final character.
            '\x1b' if chars.peek() == Some(&'[') => {
                chars.next();
                while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
                chars.next_if(|c| ('@'..='~').contains(c));
            }
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            '\n' | '\t' => out.push(c),
            _ if c.is_control() => {}
            _ => out.push(c),
        }
    }
    shorten(out)
}

/// Leaves out the middle of what is too long.
fn shorten(text: String) -> String {
    if text.len() <= MOST_OUTPUT {
        return text;
    }
    let half = MOST_OUTPUT / 2 - 50;
    let (head, tail) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
    let left_out = tail - head;
    format!("{}\n[{left_out} bytes are left out]\n{}", &text[..head], &text[tail..])
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn run(outcome: Outcome, status: Option<i32>, output: &str) -> CommandRun {
        CommandRun {
            occasion: Occasion::Before,
            reservation: None,
            holder: "ann".to_owned(),
            began: datetime!(2030-01-01 12:00 UTC),
            ended: datetime!(2030-01-01 12:00:30 UTC),
            outcome,
            status,
            output: output.to_owned(),
        }
    }

    #[test]
    fn problems_are_told_in_one_line() {
        assert_eq!(run(Outcome::Done, Some(0), "x").problem(), None);
        let told = |outcome, status, output| run(outcome, status, output).problem().unwrap();
        assert_eq!(
            told(Outcome::Failed, Some(3), "one\nno device\n\n"),
            "the command before a reservation failed with exit status 3: no device"
        );
        assert_eq!(
            told(Outcome::TimedOut, None, ""),
            "the command before a reservation was ended after 30 s"
        );
        assert_eq!(told(Outcome::Failed, None, ""), "the command before a reservation was ended by a signal");
    }

    #[test]
    fn output_is_text_and_not_too_long() {
        assert_eq!(clean("\x1b[1;31mred\x1b[0m\r\n10 %\r20 %\0\x07\tdone"), "red\n10 %\n20 %\tdone");
        let long = clean(&"é".repeat(1 << 20));
        assert!(long.len() <= MOST_OUTPUT && long.contains("bytes are left out"), "{}", long.len());
    }

    #[test]
    fn words_are_those_of_the_wire() {
        for occasion in Occasion::ALL {
            assert_eq!(serde_json::to_value(occasion).unwrap(), occasion.word());
        }
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.word());
        }
    }
}
