//! `[hooks]` and `[power]` of an export description, as they are written.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::{Commands, Power, TIME_LIMIT};
use crate::link::LONGEST_COMMAND;
use crate::node::import::period;

/// The longest command, in bytes: one argument of a program may have no more than twice of that on Linux.
const LONGEST_LINE: usize = 64 << 10;

/// `[hooks]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::node) struct DescribedHooks {
    before: Option<Line>,
    after: Option<Line>,
    time_limit: Option<Limit>,
}

/// `[power]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::node) struct DescribedPower {
    on: Line,
    off: Line,
    cycle: Option<Line>,
    status: Option<Line>,
    #[serde(default)]
    off_after: bool,
    time_limit: Option<Limit>,
}

/// A line for the shell.
struct Line(String);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim().is_empty() || text.len() > LONGEST_LINE || text.contains('\0') {
            let shown: String = text.chars().take(40).collect();
            return Err(de::Error::invalid_value(
                de::Unexpected::Str(&shown),
                &"a command for the shell, of at most 64 KiB",
            ));
        }
        Ok(Self(text))
    }
}

/// How long a command may take.
struct Limit(Duration);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limit = period(&text).ok().filter(|limit| (1..=LONGEST_COMMAND).contains(&limit.as_secs()));
        limit.map(Self).ok_or_else(|| {
            de::Error::invalid_value(
                de::Unexpected::Str(&text),
                &"a length of time from 1s to 1h, as in 90s or 5m",
            )
        })
    }
}

impl DescribedHooks {
    /// The commands of a place, which are run in this folder.
    pub(in crate::node) fn with(self, power: Option<DescribedPower>, folder: &Path) -> Commands {
        let limit = |limit: Option<Limit>| limit.map_or(TIME_LIMIT, |limit| limit.0);
        Commands {
            folder: folder.to_owned(),
            before: self.before.map(|line| line.0),
            after: self.after.map(|line| line.0),
            hook_limit: limit(self.time_limit),
            power: power.map(|power| Power {
                on: power.on.0,
                off: power.off.0,
                cycle: power.cycle.map(|line| line.0),
                status: power.status.map(|line| line.0),
                off_after: power.off_after,
                limit: limit(power.time_limit),
            }),
        }
    }
}
