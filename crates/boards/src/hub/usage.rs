//! How the farm was used in the last weeks: how much of the time its places were taken, how often they were given out, and
//! how long people waited; of all places, of those with a tag, or of one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::leases::{Spans, Used};
use nave_core::hub::op::Op;
use time::{OffsetDateTime, Time};

use super::{Boards, READ};

const WEEK: Duration = Duration::from_hours(168);

/// What of the farm is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Of {
    /// Only places that have this tag now.
    pub tag: Option<String>,
    /// Only this place.
    pub place: Option<String>,
}

/// One week, from Monday on (UTC).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Week {
    /// When it begins.
    pub begins: OffsetDateTime,
    /// Which part of the time its places were taken, from 0 to 1.
    pub taken: f64,
    /// For how long, all places together.
    pub held: Duration,
    /// How often a place was given out.
    pub granted: u64,
    /// How long people waited.
    pub waits: Waits,
}

/// How long people waited; not known of those who were given a place before hubs noted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Of how many people it is known.
    pub known: u64,
    /// Half of them waited no longer.
    pub half: Duration,
    /// Nine of ten waited no longer.
    pub most: Duration,
}

/// A place, or the places of a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The place, or the tag.
    pub name: String,
    /// How many places that are.
    pub places: usize,
    /// Which part of the time they were taken, from 0 to 1.
    pub taken: f64,
    /// For how long, all together.
    pub held: Duration,
    /// How often they were given out.
    pub granted: u64,
    /// How long people waited for them.
    pub waits: Waits,
}

/// How the farm was used.
#[derive(Clone, Debug)]
pub struct FarmUsage {
    /// Week by week; the last one is not over.
    pub weeks: Vec<Week>,
    /// All of them together.
    pub whole: Share,
    /// By tag, those with most places first; a place counts under each of its tags.
    pub tags: Vec<Share>,
    /// By place, those that were taken most first.
    pub places: Vec<Share>,
}

/// How the farm was used in the last weeks, the present one included.
pub async fn show(op: &Op, hub: &Hub, boards: &Boards, weeks: usize, of: &Of) -> Result<FarmUsage> {
    access::require(op, READ)?;
    let now = op.clock.now();
    let spans = Spans { from: first_week(now, weeks), length: WEEK, count: weeks };
    let mut usage = Boards::pool(hub)?.usage(hub, spans, now).await?.resources;
    let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for place in boards.places().all() {
        let words: BTreeSet<&String> = place.parts.iter().flat_map(|part| &part.compatible).collect();
        for word in words {
            tags.entry(word.clone()).or_default().push(place.name.clone());
        }
        usage.entry(place.name.clone()).or_insert_with(|| vec![Used::default(); weeks]);
    }
    if let Some(tag) = &of.tag {
        let tagged: BTreeSet<&String> = tags.get(tag).into_iter().flatten().collect();
        usage.retain(|name, _| tagged.contains(name));
    }
    if let Some(place) = &of.place {
        usage.retain(|name, _| name == place);
    }
    let gone: Vec<f64> = (0..weeks).map(|at| seconds_gone(spans.begin(at), now)).collect();
    Ok(sum_up(&usage, &tags, &gone, &spans))
}

fn sum_up(
    usage: &BTreeMap<String, Vec<Used>>,
    tags: &BTreeMap<String, Vec<String>>,
    gone: &[f64],
    spans: &Spans,
) -> FarmUsage {
    let all: f64 = gone.iter().sum();
    let share = |name: &str, places: Vec<&Vec<Used>>| {
        let used: Vec<&Used> = places.iter().flat_map(|used| used.iter()).collect();
        let sum = Sum::of(&used);
        Share {
            name: name.to_owned(),
            places: places.len(),
            taken: part(sum.held, places.len(), all),
            held: sum.held,
            granted: sum.granted,
            waits: sum.waits,
        }
    };
    let weeks = gone.iter().enumerate().map(|(at, gone)| {
        let used: Vec<&Used> = usage.values().filter_map(|used| used.get(at)).collect();
        let sum = Sum::of(&used);
        Week {
            begins: spans.begin(at),
            taken: part(sum.held, usage.len(), *gone),
            held: sum.held,
            granted: sum.granted,
            waits: sum.waits,
        }
    });
    let mut by_tag: Vec<Share> = tags
        .iter()
        .map(|(tag, places)| share(tag, places.iter().filter_map(|place| usage.get(place)).collect()))
        .filter(|share| share.places > 0)
        .collect();
    by_tag.sort_by(|a, b| b.places.cmp(&a.places).then_with(|| b.taken.total_cmp(&a.taken)));
    let mut places: Vec<Share> = usage.iter().map(|(name, used)| share(name, vec![used])).collect();
    places.sort_by(|a, b| b.taken.total_cmp(&a.taken));
    FarmUsage { weeks: weeks.collect(), whole: share("", usage.values().collect()), tags: by_tag, places }
}

/// What several uses come to.
struct Sum {
    held: Duration,
    granted: u64,
    waits: Waits,
}

impl Sum {
    fn of(used: &[&Used]) -> Self {
        let known = used.iter().map(|used| used.known).sum();
        let mut waited: Vec<u64> = used.iter().flat_map(|used| used.waited.iter().copied()).collect();
        waited.sort_unstable();
        // Everybody else had a place at once.
        let at_once = known - u64::try_from(waited.len()).unwrap_or(u64::MAX).min(known);
        let below = |percent: u64| {
            let rank = (known * percent).div_ceil(100);
            let at = usize::try_from(rank.saturating_sub(at_once + 1)).unwrap_or(usize::MAX);
            let waits = rank > at_once;
            Duration::from_millis(waited.get(at).copied().filter(|_| waits).unwrap_or_default())
        };
        Self {
            held: Duration::from_millis(used.iter().map(|used| used.held).sum()),
            granted: used.iter().map(|used| used.granted).sum(),
            waits: Waits { known, half: below(50), most: below(90) },
        }
    }
}

/// Which part of so many seconds so many places were held.
#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 places")]
fn part(held: Duration, places: usize, seconds: f64) -> f64 {
    let most = places as f64 * seconds;
    if most > 0.0 { (held.as_secs_f64() / most).min(1.0) } else { 0.0 }
}

/// How much of a week is over, in seconds.
fn seconds_gone(begins: OffsetDateTime, now: OffsetDateTime) -> f64 {
    (now - begins).as_seconds_f64().clamp(0.0, WEEK.as_secs_f64())
}

/// When the first of so many weeks begins, of which the last is the present one.
fn first_week(now: OffsetDateTime, weeks: usize) -> OffsetDateTime {
    let now = now.to_offset(time::UtcOffset::UTC);
    let monday = now.date() - time::Duration::days(now.weekday().number_days_from_monday().into());
    let monday = OffsetDateTime::new_utc(monday, Time::MIDNIGHT);
    monday - WEEK * u32::try_from(weeks.saturating_sub(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn weeks_begin_on_mondays() {
        let first = |now, weeks| first_week(now, weeks);
        assert_eq!(first(datetime!(2026-08-04 12:00 UTC), 1), datetime!(2026-08-03 0:00 UTC));
        assert_eq!(first(datetime!(2026-08-03 0:00 UTC), 4), datetime!(2026-07-13 0:00 UTC));
        assert_eq!(first(datetime!(2026-08-09 23:00 -5), 1), datetime!(2026-08-10 0:00 UTC));
    }

    #[test]
    fn places_count_for_each_of_their_tags_and_a_week_for_what_is_over_of_it() {
        let used = |hours: u64, granted, waited: &[u64]| Used {
            held: hours * HOUR,
            granted,
            known: granted,
            waited: waited.to_vec(),
        };
        let usage = BTreeMap::from([
            ("a".to_owned(), vec![used(84, 2, &[]), used(12, 4, &[60_000, 120_000])]),
            ("b".to_owned(), vec![used(0, 0, &[]), used(24, 6, &[1000, 600_000, 2000, 30_000])]),
        ]);
        let tags = BTreeMap::from([
            ("all".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
            ("only-b".to_owned(), vec!["b".to_owned()]),
            ("elsewhere".to_owned(), vec!["c".to_owned()]),
        ]);
        let from = datetime!(2026-07-27 0:00 UTC);
        let spans = Spans { from, length: WEEK, count: 2 };
        // A day of the second week is over.
        let shown = sum_up(&usage, &tags, &[168.0 * 3600.0, 24.0 * 3600.0], &spans);
        let taken: Vec<f64> = shown.weeks.iter().map(|week| week.taken).collect();
        assert_eq!(taken, [0.25, 0.75]);
        assert_eq!(shown.weeks[1].begins, datetime!(2026-08-03 0:00 UTC));
        // Ten were given a place, six of whom waited: 1, 2, 30, 60, 120 and 600 s.
        let waits = shown.weeks[1].waits;
        assert_eq!((waits.known, waits.half.as_secs(), waits.most.as_secs()), (10, 1, 120));
        assert_eq!(shown.weeks[0].waits, Waits { known: 2, ..Waits::default() });
        let names: Vec<_> = shown.tags.iter().map(|share| (share.name.as_str(), share.places)).collect();
        assert_eq!(names, [("all", 2), ("only-b", 1)]);
        assert_eq!(shown.places[0].name, "a");
        assert_eq!((shown.whole.places, shown.whole.granted), (2, 12));
    }
}
