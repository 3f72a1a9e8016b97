//! What the hub sees about itself: the same checks as `nave status`.

use askama::Template;
use nave_core::api::{Check, JobView, Verdict};

use crate::shell::Shell;
use crate::ui::{self, Tone};
use crate::words;

/// The tone of a verdict.
pub const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Warn => Tone::Warn,
        Verdict::Fail => Tone::Bad,
    }
}

/// The checks and the jobs.
#[derive(Debug, Template)]
#[template(path = "status.html")]
pub struct Status {
    /// What stands around the page.
    pub shell: Shell,
    /// The checks; the worst first.
    pub checks: Vec<Check>,
    /// The jobs in the background.
    pub jobs: Vec<JobView>,
    /// The program's version.
    pub version: String,
}

impl Status {
    fn summary(&self) -> String {
        let count = |verdict| self.checks.iter().filter(|check| check.verdict == verdict).count();
        match (count(Verdict::Fail), count(Verdict::Warn)) {
            (0, 0) => format!("All {} pass.", words::count(self.checks.len(), "check", "checks")),
            (0, warn) => format!("{} worth a look.", words::count(warn, "thing is", "things are")),
            (fail, 0) => format!("{} broken.", words::count(fail, "thing is", "things are")),
            (fail, warn) => {
                format!("{} broken, {warn} worth a look.", words::count(fail, "thing is", "things are"))
            }
        }
    }

    fn tone(check: &Check) -> Tone {
        tone(check.verdict)
    }

    /// For those who listen.
    fn word(check: &Check) -> &'static str {
        match check.verdict {
            Verdict::Pass => "passes",
            Verdict::Warn => "worth a look",
            Verdict::Fail => "broken",
        }
    }

    fn every(job: &JobView) -> String {
        words::span(job.every_seconds)
    }
}
