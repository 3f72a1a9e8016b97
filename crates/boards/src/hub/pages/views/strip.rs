//! The last days of a place as a picture: a strip for each day, and on it who had the place from when to when.

use std::collections::HashMap;

use nave_web::words;
use time::{Duration, OffsetDateTime, Time};

use crate::api::{PastReservation, Reservation};

/// The most days that are shown.
const MOST_DAYS: i64 = 14;
/// How many people have a colour of their own.
const COLOURS: usize = 6;
/// How high a day is, with its gap.
const ROW: i64 = 18;
/// Where the strips begin, in percent of the width; the days' names stand to the left.
const LEFT: f64 = 14.0;
/// What is shorter would not be seen, in percent.
const NARROWEST: f64 = 0.35;

/// The picture.
#[derive(Clone, Debug)]
pub struct Strip {
    /// The days, the last one first, with where they stand and whether they are not over yet.
    pub days: Vec<Day>,
    /// The pieces.
    pub pieces: Vec<Piece>,
    /// Who had the place, those who had it longest first.
    pub people: Vec<Who>,
    /// How high it is, in pixels.
    pub height: i64,
}

/// One day.
#[derive(Clone, Debug)]
pub struct Day {
    /// From above, in pixels.
    pub y: i64,
    /// Its name.
    pub name: String,
    /// How much of it is over, in percent of the picture's width.
    pub over: f64,
}

/// A time within one day in which somebody had the place.
#[derive(Clone, Debug)]
pub struct Piece {
    /// From the left, in percent.
    pub x: f64,
    /// From above, in pixels.
    pub y: i64,
    /// How wide it is, in percent.
    pub width: f64,
    /// The class of its colour.
    pub colour: &'static str,
    /// Which of the reservations in the list below it belongs to: 0 for the one that stands.
    pub of: usize,
    /// Whether it is the first of its reservation.
    pub first: bool,
    /// Who and when.
    pub words: String,
}

/// Somebody who had the place.
#[derive(Clone, Debug)]
pub struct Who {
    /// The name.
    pub name: String,
    /// The class of the colour.
    pub colour: &'static str,
}

/// A reservation, held or past.
struct Had<'a> {
    at: usize,
    holder: &'a str,
    since: OffsetDateTime,
    until: OffsetDateTime,
    held: bool,
}

impl Strip {
    /// The days on which somebody had a place, up to now; none if nobody had it in that time.
    pub fn of(now: OffsetDateTime, held: Option<&Reservation>, past: &[PastReservation]) -> Option<Self> {
        let now = now.to_offset(time::UtcOffset::UTC);
        let today = OffsetDateTime::new_utc(now.date(), Time::MIDNIGHT);
        let held =
            held.map(|held| Had { at: 0, holder: &held.holder, since: held.since, until: now, held: true });
        let past = past.iter().zip(1..).map(|(one, at)| Had {
            at,
            holder: &one.holder,
            since: one.since,
            until: one.until,
            held: false,
        });
        let earliest = today - Duration::days(MOST_DAYS - 1);
        let mut all: Vec<Had<'_>> = held.into_iter().chain(past).filter(|had| had.until > earliest).collect();
        // The last one last, so that it is drawn above what it follows.
        all.reverse();
        let first = all.iter().map(|had| had.since.max(earliest)).min()?;
        let days = (today.date() - first.to_offset(time::UtcOffset::UTC).date()).whole_days().max(0) + 1;
        let people = people(&all, earliest);
        let colour =
            |name: &str| people.iter().find(|who| who.name == name).map_or("who-more", |who| who.colour);
        let mut pieces = Vec::new();
        for had in &all {
            let words = words_of(had);
            let mut first = true;
            for day in (0..days).rev() {
                let midnight = today - Duration::days(day);
                let (from, to) = (had.since.max(midnight), had.until.min(midnight + Duration::DAY));
                if to <= from && !(had.since == had.until && from == to && from >= midnight) {
                    continue;
                }
                let x = across(from - midnight);
                let width = (across(to - midnight) - x).max(NARROWEST).min(100.0 - x);
                let (y, words, of) = (day * ROW, words.clone(), had.at);
                pieces.push(Piece { x, y, width, colour: colour(had.holder), of, first, words });
                first = false;
            }
        }
        let days = (0..days).map(|day| {
            let midnight = today - Duration::days(day);
            let name = if day == 0 { "Today".to_owned() } else { short(midnight) };
            Day { y: day * ROW, name, over: across((now - midnight).min(Duration::DAY)) - LEFT }
        });
        let days: Vec<Day> = days.collect();
        let height = i64::try_from(days.len()).unwrap_or(MOST_DAYS) * ROW;
        Some(Self { days, pieces, people, height })
    }
}

/// Where a time of the day stands.
fn across(since_midnight: Duration) -> f64 {
    LEFT + (100.0 - LEFT) * (since_midnight.as_seconds_f64() / 86_400.0).clamp(0.0, 1.0)
}

/// Those who had it longest, each with a colour.
fn people(all: &[Had<'_>], earliest: OffsetDateTime) -> Vec<Who> {
    const CLASSES: [&str; COLOURS] = ["who-1", "who-2", "who-3", "who-4", "who-5", "who-6"];
    let mut held: HashMap<&str, Duration> = HashMap::new();
    for had in all {
        *held.entry(had.holder).or_default() += had.until - had.since.max(earliest);
    }
    let mut held: Vec<(&str, Duration)> = held.into_iter().collect();
    held.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let who = |((name, _), colour): ((&str, Duration), &'static str)| Who { name: name.to_owned(), colour };
    held.into_iter().zip(CLASSES).map(who).collect()
}

fn words_of(had: &Had<'_>) -> String {
    let seconds = (had.until - had.since).whole_seconds().unsigned_abs().max(1);
    let (since, until) = (minute(had.since), minute(had.until));
    if had.held {
        return format!("{} has it since {since}", had.holder);
    }
    format!("{}: {since} to {until}, {}", had.holder, words::span(seconds))
}

/// A time to the minute: `4 Aug 12:05`.
fn minute(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!("{} {:02}:{:02}", short(at), at.hour(), at.minute())
}

/// A day without its year.
fn short(at: OffsetDateTime) -> String {
    let day = words::day(at);
    day.rsplit_once(' ').map_or(day.as_str(), |(day, _)| day).to_owned()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn past(holder: &str, since: OffsetDateTime, until: OffsetDateTime) -> PastReservation {
        PastReservation { holder: holder.to_owned(), since, until, reason: "returned".to_owned() }
    }

    #[test]
    fn a_reservation_over_midnight_has_a_piece_on_each_day() {
        let now = datetime!(2026-08-04 12:00 UTC);
        let list = [
            past("Grace", datetime!(2026-08-04 6:00 UTC), datetime!(2026-08-04 6:00:01 UTC)),
            past("Ada", datetime!(2026-08-02 18:00 UTC), datetime!(2026-08-04 6:00 UTC)),
            past("Eve", datetime!(2026-06-01 0:00 UTC), datetime!(2026-06-02 0:00 UTC)),
        ];
        let strip = Strip::of(now, None, &list).unwrap();
        assert_eq!(
            strip.days.iter().map(|day| day.name.as_str()).collect::<Vec<_>>(),
            ["Today", "3 Aug", "2 Aug"]
        );
        assert_eq!(strip.days.iter().map(|day| day.over).collect::<Vec<_>>(), [43.0, 86.0, 86.0]);
        let ada: Vec<_> = strip.pieces.iter().filter(|piece| piece.of == 2).collect();
        let places: Vec<_> = ada.iter().map(|piece| (piece.x, piece.width, piece.y, piece.first)).collect();
        assert_eq!(places, [(78.5, 21.5, 36, true), (14.0, 86.0, 18, false), (14.0, 21.5, 0, false)]);
        assert_eq!(ada[0].words, "Ada: 2 Aug 18:00 to 4 Aug 06:00, 1 day");
        // However short, it is seen, and above what it follows.
        let last = strip.pieces.last().unwrap();
        assert_eq!((last.of, last.width, last.colour), (1, NARROWEST, "who-2"));
        assert_eq!(strip.people.len(), 2);
        assert!(Strip::of(now, None, &list[2..]).is_none());
    }
}
