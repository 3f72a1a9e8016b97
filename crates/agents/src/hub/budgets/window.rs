//! Windows in which limits count: as long as the other, counted from local midnight, as NAISYS counts them.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use time::OffsetDateTime;

/// A window of time. Without an end it is the one that never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// From when what is spent counts; none for ever.
    pub(super) from: Option<OffsetDateTime>,
    /// When the next one begins.
    pub(super) until: Option<OffsetDateTime>,
}

/// The longest window, in hours: a thousand years.
const LONGEST: f64 = 8_766_000.0;

impl Window {
    /// The one that a time lies in. `reset` moves its beginning up.
    pub(super) fn at(now: OffsetDateTime, hours: Option<f64>, reset: Option<OffsetDateTime>) -> Self {
        Self::at_in(&TimeZone::system(), now, hours, reset)
    }

    fn at_in(
        zone: &TimeZone,
        now: OffsetDateTime,
        hours: Option<f64>,
        reset: Option<OffsetDateTime>,
    ) -> Self {
        let window = hours.filter(|hours| *hours > 0.0 && *hours < LONGEST).and_then(|hours| {
            let midnight = midnight(zone, now, hours)?;
            let length = time::Duration::seconds_f64(hours * 3600.0).max(time::Duration::seconds(1));
            let past = (now - midnight).whole_milliseconds() / length.whole_milliseconds().max(1);
            let from = midnight + length * i32::try_from(past).ok()?;
            Some((from, from + length))
        });
        let Some((from, until)) = window else { return Self { from: reset, until: None } };
        Self { from: Some(reset.map_or(from, |reset| reset.clamp(from, until))), until: Some(until) }
    }

    /// Whether what is spent at that time counts.
    pub(super) fn contains(&self, at: OffsetDateTime) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// The midnight that windows of this length are counted from: today's, or for those longer than a day, a Monday's long ago, so
/// that they do not begin anew each day.
fn midnight(zone: &TimeZone, now: OffsetDateTime, hours: f64) -> Option<OffsetDateTime> {
    let today = Timestamp::from_second(now.unix_timestamp())
        .ok()?
        .to_zoned_datetime(zone.clone())
        .start_of_day()
        .ok()?;
    let midnight = if hours <= 24.0 {
        today
    } else {
        let days = today.date().since(jiff::civil::date(1970, 1, 5)).ok()?.get_days();
        today.checked_sub(days.days()).ok()?
    };
    OffsetDateTime::from_unix_timestamp(midnight.timestamp().as_second()).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn window(now: OffsetDateTime, hours: f64) -> Window {
        Window::at_in(&TimeZone::fixed(jiff::tz::offset(2)), now, Some(hours), None)
    }

    #[test]
    fn windows_begin_at_local_midnight_and_follow_each_other() {
        let now = datetime!(2026-11-23 09:30 UTC);
        // It is half past eleven there.
        assert_eq!(window(now, 24.0).from, Some(datetime!(2026-11-22 22:00 UTC)));
        assert_eq!(window(now, 1.0).from, Some(datetime!(2026-11-23 09:00 UTC)));
        assert_eq!(window(now, 5.0).until, Some(datetime!(2026-11-23 13:00 UTC)));
        assert_eq!(window(now, 0.25).from, Some(datetime!(2026-11-23 09:30 UTC)));
        let week = window(now, 168.0);
        assert_eq!((week.until.unwrap() - week.from.unwrap()).whole_days(), 7);
        assert_eq!(week, window(now + time::Duration::days(1), 168.0), "it does not begin anew at midnight");
    }

    #[test]
    fn without_hours_everything_counts_since_a_reset() {
        let (now, reset) = (datetime!(2026-11-23 09:30 UTC), datetime!(2026-11-23 09:00 UTC));
        let ever = Window::at(now, None, None);
        assert!(ever.contains(OffsetDateTime::UNIX_EPOCH));
        assert!(!Window::at(now, None, Some(reset)).contains(OffsetDateTime::UNIX_EPOCH));
        let day = Window::at(now, Some(24.0), Some(reset));
        assert_eq!(day.from, Some(reset));
        assert!(!Window::at(now + time::Duration::days(3), Some(24.0), Some(reset)).contains(reset));
        assert_eq!(Window::at(now, Some(f64::NAN), None), ever);
    }
}
