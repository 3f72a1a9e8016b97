//! The parts of a test run with their times, told while they run and once more in a table.

use std::time::{Duration, Instant};

/// What became of each part.
#[derive(Debug, Default)]
pub(crate) struct Report {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    took: Duration,
    failed: bool,
}

impl Report {
    /// Does one part. A failure is told and remembered; later parts are done all the same, so that one run
    /// shows everything that is wrong.
    pub(crate) fn part(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<()>) {
        println!("\n== {name}");
        let begun = Instant::now();
        let done = work();
        if let Err(why) = &done {
            eprintln!("error: {name}: {why:#}");
        }
        self.parts.push(Part { name, took: begun.elapsed(), failed: done.is_err() });
    }

    /// The names of the parts that failed.
    pub(crate) fn failed(&self) -> Vec<&'static str> {
        self.parts.iter().filter(|part| part.failed).map(|part| part.name).collect()
    }

    /// Every part with its outcome and time, and the time of all.
    pub(crate) fn table(&self) -> String {
        let width = self.parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
        let mut table = String::new();
        let mut row = |name: &str, outcome: &str, took: Duration| {
            let line = format!("{name:width$}  {outcome:4}  {:>8.1} s\n", took.as_secs_f64());
            table.push_str(&line);
        };
        for part in &self.parts {
            row(part.name, if part.failed { "FAIL" } else { "ok" }, part.took);
        }
        row("all", "", self.parts.iter().map(|part| part.took).sum());
        table
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Report};
    use std::time::Duration;

    #[test]
    fn the_table_has_every_part_and_the_sum() {
        let parts = vec![
            Part { name: "format", took: Duration::from_millis(1250), failed: false },
            Part { name: "tests", took: Duration::from_secs(100), failed: true },
        ];
        let report = Report { parts };
        assert_eq!(
            report.table(),
            "format  ok         1.2 s\n\
             tests   FAIL     100.0 s\n\
             all              101.2 s\n"
        );
        assert_eq!(report.failed(), ["tests"]);
    }

    #[test]
    fn a_failure_does_not_stop_the_parts_after_it() {
        let mut report = Report::default();
        report.part("first", || anyhow::bail!("it is broken"));
        report.part("second", || Ok(()));
        assert_eq!(report.failed(), ["first"]);
        assert!(report.table().contains("second"));
    }
}
