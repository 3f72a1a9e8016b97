//! Charts of weeks, as pictures that the server writes: each width and position is a part of the picture's, so that they fit
//! every screen, and writing stays as large as it is.

use std::borrow::Borrow;
use std::time::Duration;

use nave_web::words;

use crate::hub::usage::Week;

/// Where the bars begin, in percent of the width; scales stand to the left.
const LEFT: f64 = 9.0;
/// Between which heights they stand, in percent.
const TOP: f64 = 7.0;
const BOTTOM: f64 = 86.0;
/// How many weeks are named below.
const NAMED: usize = 4;

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows, for those who do not see it.
    pub label: String,
    /// Lines across, with their height in percent and their words.
    pub lines: Vec<(f64, String)>,
    /// The weeks.
    pub columns: Vec<Column>,
}

/// One week.
#[derive(Clone, Debug)]
pub struct Column {
    /// Where it begins, in percent.
    pub x: f64,
    /// How wide it is.
    pub width: f64,
    /// The bars that stand behind each other, the highest first.
    pub bars: Vec<Bar>,
    /// What it says.
    pub words: String,
    /// Its name below, and where that is anchored.
    pub name: Option<(f64, &'static str, String)>,
}

/// One bar.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// Its class.
    pub class: &'static str,
    /// Where it begins, in percent from above.
    pub y: f64,
    /// How high it is.
    pub height: f64,
}

impl Bar {
    fn of(class: &'static str, part: f64) -> Self {
        let height = (BOTTOM - TOP) * part.clamp(0.0, 1.0);
        Self { class, y: BOTTOM - height, height }
    }
}

impl Chart {
    /// Which part of the time places were taken.
    pub fn taken(weeks: &[Week]) -> Self {
        let lines = [100, 50, 0].map(|percent| (height(f64::from(percent) / 100.0), format!("{percent} %")));
        let columns = columns(weeks, |week| {
            let words = format!("{} taken, {}", percent(week.taken), reservations(week));
            (vec![Bar::of("taken", week.taken)], words)
        });
        Self { label: "Which part of the time places were taken".to_owned(), lines: lines.to_vec(), columns }
    }

    /// How long people waited.
    pub fn waits(weeks: &[Week]) -> Self {
        let longest = weeks.iter().map(|week| week.waits.most).max().unwrap_or_default();
        let scale = scale(longest);
        let lines = [1.0, 0.5, 0.0]
            .map(|part| (height(part), if part > 0.0 { told(scale.mul_f64(part)) } else { "0".to_owned() }));
        let part = |time: Duration| time.as_secs_f64() / scale.as_secs_f64();
        let columns = columns(weeks, |week| {
            let waits = week.waits;
            if waits.known == 0 {
                return (Vec::new(), "not known".to_owned());
            }
            let words =
                format!("half had one within {}, 9 of 10 within {}", told(waits.half), told(waits.most));
            (vec![Bar::of("most", part(waits.most)), Bar::of("half", part(waits.half))], words)
        });
        Self { label: "How long people waited".to_owned(), lines: lines.to_vec(), columns }
    }
}

fn height(part: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * part
}

fn columns(weeks: &[Week], draw: impl Fn(&Week) -> (Vec<Bar>, String)) -> Vec<Column> {
    let count = weeks.len().max(1);
    let step = (100.0 - LEFT) / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let every = count.div_ceil(NAMED);
    let column = |(at, week): (usize, &Week)| {
        let (bars, words) = draw(week);
        let x = LEFT + step * f64::from(u32::try_from(at).unwrap_or(u32::MAX));
        let day = words::day(week.begins);
        let short = day.rsplit_once(' ').map_or(day.as_str(), |(day, _)| day).to_owned();
        let name = at.is_multiple_of(every).then_some((x, "start", short));
        Column { x: x + step * 0.1, width: step * 0.8, bars, words: format!("Week of {day}: {words}"), name }
    };
    weeks.iter().enumerate().map(column).collect()
}

/// The end of a scale on which a time can be read: a round one.
fn scale(longest: Duration) -> Duration {
    const ROUND: [u64; 17] = [
        10, 20, 60, 120, 300, 600, 1200, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 345_600,
        604_800, 1_209_600,
    ];
    let seconds = longest.as_secs_f64().ceil();
    let round = ROUND.into_iter().map(Duration::from_secs).find(|round| round.as_secs_f64() >= seconds);
    round.unwrap_or(longest)
}

/// A length of time; what is shorter than a second is nothing.
pub fn told(time: Duration) -> String {
    if time.as_secs() == 0 { "no time".to_owned() } else { words::span(time.as_secs()) }
}

/// A part, in percent.
pub fn percent(part: impl Borrow<f64>) -> String {
    format!("{:.0} %", part.borrow() * 100.0)
}

fn reservations(week: &Week) -> String {
    words::count(week.granted, "reservation", "reservations")
}
