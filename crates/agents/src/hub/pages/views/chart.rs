//! Costs over time as a picture that the server writes: each position is a part of the picture's size, so that it fits every
//! screen, and writing stays as large as it is.

use std::collections::HashMap;

use nave_web::words;
use time::{Duration, OffsetDateTime};

use super::money;
use crate::api::CostSum;

/// Where the bars begin, in percent of the width; the scale stands to the left.
const LEFT: f64 = 9.0;
/// Between which heights they stand, in percent.
const TOP: f64 = 7.0;
const BOTTOM: f64 = 86.0;
/// How many spans are named below.
const NAMED: usize = 4;
/// Those that cost most, each in a colour of its own; the others together have another.
const CLASSES: [&str; 6] = ["who-1", "who-2", "who-3", "who-4", "who-5", "who-6"];
const OTHERS: &str = "who-more";

/// A chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What it shows, for those who do not see it.
    pub label: String,
    /// Lines across, with their height in percent and their words.
    pub lines: Vec<(f64, String)>,
    /// The spans.
    pub columns: Vec<Column>,
    /// What is shown, that which cost most first.
    pub parts: Vec<Part>,
    /// All of it, in nanodollars.
    pub total: i64,
}

/// One span of time.
#[derive(Clone, Debug)]
pub struct Column {
    /// Where it begins, in percent.
    pub x: f64,
    /// How wide it is.
    pub width: f64,
    /// The bars that stand on each other: class, from above, height.
    pub bars: Vec<(&'static str, f64, f64)>,
    /// What it says.
    pub words: String,
    /// Its name below.
    pub name: Option<(f64, String)>,
}

/// An agent, or a model, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The class of its colour.
    pub class: &'static str,
    /// In nanodollars.
    pub cost: i64,
    /// Tokens read and written, those from and into the cache included.
    pub tokens: (u64, u64),
}

impl Chart {
    /// Costs since a time, in so many spans of a length, by what `name` says of each.
    pub fn of(
        sums: &[CostSum],
        from: OffsetDateTime,
        span: Duration,
        spans: usize,
        name: impl Fn(&CostSum) -> &str,
    ) -> Self {
        let parts = parts(sums, &name);
        let at = |sum: &CostSum| {
            let at = (sum.from - from).whole_seconds() / span.whole_seconds().max(1);
            usize::try_from(at).unwrap_or(0).min(spans.saturating_sub(1))
        };
        // Whatever has no colour of its own stands together on top.
        let mut costs = vec![vec![0_i64; CLASSES.len() + 1]; spans];
        for sum in sums {
            let part = parts.iter().position(|part| part.name == name(sum)).unwrap_or(usize::MAX);
            if let Some(column) = costs.get_mut(at(sum)) {
                column[part.min(CLASSES.len())] += sum.cost.0;
            }
        }
        let most = costs.iter().map(|column| column.iter().sum::<i64>()).max().unwrap_or(0);
        let scale = scale(most);
        let lines = [1.0, 0.5, 0.0].map(|part| (BOTTOM - (BOTTOM - TOP) * part, share(scale, part)));
        let step = (100.0 - LEFT) / count(spans.max(1));
        let every = spans.div_ceil(NAMED).max(1);
        let column = |(at, costs): (usize, Vec<i64>)| {
            let begins = from + span * i32::try_from(at).unwrap_or(i32::MAX);
            let x = LEFT + step * count(at);
            let mut y = BOTTOM;
            let mut bars = Vec::new();
            for (at, cost) in costs.iter().enumerate().filter(|(_, cost)| **cost > 0) {
                let height = (BOTTOM - TOP) * part_of(*cost, scale);
                y -= height;
                bars.push((CLASSES.get(at).copied().unwrap_or(OTHERS), y, height));
            }
            let words = format!("{}: {}", named(begins, span, true), money(&costs.iter().sum()));
            let name = at.is_multiple_of(every).then(|| (x, named(begins, span, false)));
            Column { x: x + step * 0.1, width: step * 0.8, bars, words, name }
        };
        let columns = costs.into_iter().enumerate().map(column).collect();
        let total = parts.iter().map(|part| part.cost).sum();
        Self { label: "What was spent".to_owned(), lines: lines.to_vec(), columns, parts, total }
    }
}

fn parts<'a>(sums: &'a [CostSum], name: &impl Fn(&'a CostSum) -> &'a str) -> Vec<Part> {
    let mut found: HashMap<&str, (i64, [i64; 4])> = HashMap::new();
    for sum in sums {
        let (cost, tokens) = found.entry(name(sum)).or_default();
        *cost = cost.saturating_add(sum.cost.0);
        for (all, more) in tokens.iter_mut().zip(sum.tokens) {
            *all = all.saturating_add(more);
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by(|one, other| (other.1.0, one.0).cmp(&(one.1.0, other.0)));
    let part = |(at, (name, (cost, [input, output, write, read]))): (usize, (&str, (i64, [i64; 4])))| Part {
        name: name.to_owned(),
        class: CLASSES.get(at).copied().unwrap_or(OTHERS),
        cost,
        tokens: (unsigned(input) + unsigned(write) + unsigned(read), unsigned(output)),
    };
    found.into_iter().enumerate().map(part).collect()
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "for a picture")]
fn part_of(cost: i64, scale: i64) -> f64 {
    cost as f64 / scale.max(1) as f64
}

fn share(scale: i64, part: f64) -> String {
    if part == 0.0 { "0".to_owned() } else { money(&(scale / if part < 1.0 { 2 } else { 1 })) }
}

/// The end of a scale: the next 1, 2 or 5 with zeros behind it.
fn scale(most: i64) -> i64 {
    let mut power = 1_000_000_i64;
    loop {
        for step in [1, 2, 5] {
            match power.checked_mul(step) {
                Some(round) if round >= most => return round,
                Some(_) => {}
                None => return most,
            }
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return most,
        }
    }
}

/// A span by when it begins: its day, and its hour where it is shorter than one.
fn named(at: OffsetDateTime, span: Duration, whole: bool) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let day = words::day(at);
    let day = day.rsplit_once(' ').map_or(day.as_str(), |(day, _)| day).to_owned();
    match (span < Duration::days(1), whole || span >= Duration::hours(3)) {
        (false, _) => day,
        (true, true) => format!("{day} {:02}:{:02}", at.hour(), at.minute()),
        (true, false) => format!("{:02}:{:02}", at.hour(), at.minute()),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::api::Nanodollars;

    #[test]
    fn bars_stand_on_each_other_and_end_below_the_scale() {
        let from = datetime!(2026-08-04 0:00 UTC);
        let sum = |hour: i64, agent: &str, dollars: f64| CostSum {
            from: from + Duration::hours(hour),
            agent: agent.to_owned(),
            model: "mock".to_owned(),
            cost: Nanodollars::from_dollars(dollars),
            tokens: [1, 2, 3, 4],
        };
        let mut sums = vec![sum(0, "ann", 1.0), sum(0, "bob", 0.5), sum(23, "ann", 0.25)];
        sums.extend((0..6).map(|at| sum(5, &format!("x{at}"), 0.01)));
        let chart = Chart::of(&sums, from, Duration::hours(1), 24, |sum| &sum.agent);
        assert_eq!(chart.total, 1_810_000_000);
        assert_eq!(chart.lines[0].1, "$2.00");
        assert_eq!((chart.parts[0].name.as_str(), chart.parts[0].cost), ("ann", 1_250_000_000));
        assert_eq!(chart.parts[0].tokens, (16, 4));
        let first = &chart.columns[0];
        assert_eq!((first.bars.len(), first.bars[0].0, first.bars[1].0), (2, "who-1", "who-2"));
        assert!((first.bars[0].1 - first.bars[1].1 - first.bars[1].2).abs() < 1e-9);
        assert_eq!(first.words, "4 Aug 00:00: $1.50");
        assert_eq!(chart.columns[5].bars.len(), 5, "the last two are told together");
        assert_eq!(chart.columns[23].bars[0].0, "who-1");
        assert_eq!(scale(0), 1_000_000);
        assert_eq!(scale(i64::MAX), i64::MAX);
    }
}
