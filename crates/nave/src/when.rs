//! Times as people write them: exactly, as RFC 3339 has it, or as the clock on the wall shows them. How long something
//! takes is not here.

use anyhow::{Context as _, bail};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Reads `2026-12-01T14:00:00Z`, with any offset; or `2026-12-01T14:00`, `2026-12-01 14:00` and `14:00` (the next time that
/// the clock shows it), which are meant in `zone`.
pub fn parse(text: &str, now: OffsetDateTime, zone: &TimeZone) -> anyhow::Result<OffsetDateTime> {
    if let Ok(exact) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(exact);
    }
    if let Ok(civil) = text.parse::<DateTime>()
        && text.contains(':')
    {
        return zoned(civil, zone);
    }
    let Ok(clock) = text.parse::<Time>() else {
        bail!("{text:?} is no time: write 2026-12-01T14:00, 14:00, or with a zone 2026-12-01T14:00:00Z");
    };
    let today = local(now, zone)?;
    let at = zoned(today.date().to_datetime(clock), zone)?;
    if at > now {
        return Ok(at);
    }
    let tomorrow = today.date().tomorrow().context("there is no day after this one")?;
    zoned(tomorrow.to_datetime(clock), zone)
}

fn zoned(civil: DateTime, zone: &TimeZone) -> anyhow::Result<OffsetDateTime> {
    let at = zone
        .to_zoned_datetime(civil)
        .with_context(|| format!("{civil} is no time that can be reckoned with"))?;
    Ok(OffsetDateTime::from_unix_timestamp(at.timestamp().as_second())?)
}

fn local(at: OffsetDateTime, zone: &TimeZone) -> anyhow::Result<ZonedDateTime> {
    Ok(Timestamp::from_second(at.unix_timestamp())?.to_zoned_datetime(zone.clone()))
}

/// A time on the clock of `zone`, with the zone: `2026-12-01 14:00 (Europe/Berlin)`.
pub fn words(at: OffsetDateTime, zone: &TimeZone) -> String {
    let Ok(local) = local(at, zone) else { return at.to_string() };
    let zone = zone.iana_name().map_or_else(|| format!("UTC{}", local.offset()), ToOwned::to_owned);
    format!("{} ({zone})", local.strftime("%Y-%m-%d %H:%M"))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-12-01 12:30 UTC);

    fn read(text: &str) -> String {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        match parse(text, NOW, &zone) {
            Ok(at) => at.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn times_are_read_as_the_clock_shows_them() {
        assert_eq!(read("2026-12-01T14:00:00Z"), "2026-12-01T14:00:00Z");
        assert_eq!(read("2026-12-01T14:00:00+05:30"), "2026-12-01T08:30:00Z");
        assert_eq!(read("2026-12-01T14:00"), "2026-12-01T13:00:00Z");
        assert_eq!(read("2026-07-01 14:00"), "2026-07-01T12:00:00Z");
        assert_eq!(read("14:00"), "2026-12-01T13:00:00Z");
        assert_eq!(read("13:30"), "2026-12-02T12:30:00Z");
        for bad in ["tomorrow", "2026-12-01", "25:00", ""] {
            assert!(read(bad).contains("is no time"), "{bad}");
        }
    }

    #[test]
    fn times_are_told_with_their_zone() {
        let zone = TimeZone::posix("CET-1").unwrap();
        assert_eq!(words(NOW, &zone), "2026-12-01 13:30 (UTC+01)");
        assert_eq!(words(NOW, &TimeZone::UTC), "2026-12-01 12:30 (UTC)");
    }
}
