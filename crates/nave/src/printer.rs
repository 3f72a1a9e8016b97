//! Where output goes: data to stdout, talk to stderr.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// Prints for people or, with `--json`, for programs.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
}

#[expect(clippy::unused_self, reason = "only who was given the printer prints")]
impl Printer {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read the output.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Whether a person watches.
    pub fn is_terminal(self) -> bool {
        io::stderr().is_terminal()
    }

    /// A line of data. A reader that went away is no error: `nave node list | head -1` is fine.
    pub fn data(self, line: impl std::fmt::Display) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// A line of talk.
    pub fn talk(self, line: impl std::fmt::Display) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// A value, as JSON.
    pub fn value<T: Serialize>(self, value: &T) -> anyhow::Result<()> {
        self.data(serde_json::to_string_pretty(value)?);
        Ok(())
    }

    /// Rows: a table for people, an array for programs.
    pub fn rows<T: Serialize>(
        self,
        rows: &[T],
        columns: &[&str],
        cells: impl Fn(&T) -> Vec<String>,
        empty: &str,
    ) -> anyhow::Result<()> {
        if self.json {
            return self.value(&rows);
        }
        if rows.is_empty() {
            self.talk(empty);
            return Ok(());
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.to_vec());
        for row in rows {
            table.add_row(cells(row));
        }
        for line in table.to_string().lines() {
            self.data(line.trim_end());
        }
        Ok(())
    }

    /// Why something failed.
    pub fn error(self, error: &anyhow::Error) {
        self.talk(format!("nave: {}", whole(error)));
    }
}

/// An error with every reason below it that adds something.
pub fn whole(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Shows that long work goes on: moving on a terminal, a plain line elsewhere.
pub struct Progress(indicatif::ProgressBar);

impl Progress {
    /// Begins.
    pub fn start(what: &'static str) -> Self {
        let bar = indicatif::ProgressBar::new_spinner().with_message(what);
        if bar.is_hidden() {
            let _ = writeln!(io::stderr().lock(), "nave: {what}");
        } else {
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
        }
        Self(bar)
    }

    /// Ends, leaving nothing on the terminal.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}
