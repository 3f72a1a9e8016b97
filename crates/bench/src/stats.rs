//! Medians and ranges, and the page that they stand on.

use std::fmt::Write as _;

/// One table of results.
pub struct Table {
    pub title: &'static str,
    pub note: String,
    pub rows: Vec<Row>,
}

/// One measure.
pub struct Row {
    pub what: String,
    pub value: String,
    pub aim: &'static str,
}

impl Row {
    pub fn new(what: impl Into<String>, value: impl Into<String>, aim: &'static str) -> Self {
        Self { what: what.into(), value: value.into(), aim }
    }
}

/// The middle, the least and the most of some numbers.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

pub fn spread(mut numbers: Vec<f64>) -> Spread {
    numbers.sort_by(f64::total_cmp);
    Spread {
        median: at(&numbers, 50),
        least: numbers.first().copied().unwrap_or(0.0),
        most: numbers.last().copied().unwrap_or(0.0),
    }
}

/// The number below which `percent` of them lie; they are sorted.
pub fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// The middle and the slow end of times, in milliseconds.
pub fn slow(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    format!("p50 {:.1} ms, p99 {:.1} ms", at(&times, 50), at(&times, 99))
}

/// As [`slow`], in microseconds.
pub fn micros(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    format!("p50 {:.1} µs, p99 {:.1} µs", at(&times, 50), at(&times, 99))
}

/// A number of bytes.
pub fn size(bytes: u64) -> String {
    format!("{:.1} kB", bytes as f64 / 1e3)
}

impl Spread {
    pub fn show(self, unit: &str) -> String {
        format!("{:.1} {unit} ({:.1} to {:.1})", self.median, self.least, self.most)
    }
}

/// The whole page.
pub fn page(tables: &[Table]) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut page = format!(
        "# Performance\n\nWritten by `cargo xtask bench --write`, with the program as it is packaged, everything on one machine with {cores} cores\n\
         (the load runs on the same cores). Medians, with the range in brackets. Times depend on the machine; compare ratios.\n"
    );
    for table in tables {
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\n| What | Measured | Aim |\n|---|---|---|\n",
            table.title, table.note
        );
        for row in &table.rows {
            let _ = writeln!(page, "| {} | {} | {} |", row.what, row.value, row.aim);
        }
    }
    page
}
