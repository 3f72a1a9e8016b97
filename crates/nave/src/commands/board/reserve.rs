//! `nave board reserve`: asks for a place, and says how long it will take while others have it.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use jiff::tz::TimeZone;
use nave_boards::api::{
    BookRequest, Booking, QueueTurn, Reservation, ReserveSetRequest, WaitedFor, Waiter, WantedPlace,
};
use nave_boards::node::import::ImportDescription;
use nave_boards::node::lookup::{Folders, LookupError, Wish};
use nave_core::clock::Clock;

use super::Context;
use crate::cli::board::Reserve;
use crate::client::HubClient;
use crate::when;

/// What reservations are limited to that say nothing else, in seconds: a year.
const LONGEST: u64 = 31_536_000;
/// How often somebody who waits is told where in the queue.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// The import description of a name, and what a reservation by it is called.
pub(super) fn description(name: &str) -> anyhow::Result<(String, ImportDescription)> {
    let folders = Folders::of_process().context("cannot look for import descriptions")?;
    let found = folders.read(name).map_err(|error| match error {
        LookupError::Missing(name) => anyhow!(
            "there is no import description {name}: neither .not-my-board/{name}.toml in this folder or one above it, nor ~/.config/not-my-board/{name}.toml; --place PLACE needs none"
        ),
        unreadable @ LookupError::File { .. } => unreadable.into(),
    })?;
    let description = ImportDescription::parse(&found.text).with_context(|| name.to_owned())?;
    Ok((found.name, description))
}

pub async fn run(context: &Context<'_>, args: Reserve) -> anyhow::Result<()> {
    let Asked { wants, limit } = asked(&args)?;
    let wait = args.timeout.0.as_secs();
    if wait > 86_400 {
        bail!("--timeout: nobody waits longer than 24h at a time");
    }
    if let Some(text) = &args.from {
        let period = args.period.map(|period| period.0).or(limit);
        return book(context, text, wants, period).await;
    }
    let seconds = args.period.map(|period| period.0).or(limit).map_or(LONGEST, |limit| limit.as_secs());
    let hub = context.hub().await?;
    let request = ReserveSetRequest { wants, seconds, wait };
    let reserved: Vec<Reservation> =
        waiting(context, &hub, hub.post("/nave/v1/reservation-sets", &request)).await?;
    for one in &reserved {
        super::ran::tell_before(context, &hub, one).await?;
    }
    match reserved.as_slice() {
        // A list where several can be asked for in the same words, however many they are.
        [only] if !args.all || !context.printer.is_json() => super::tell(context, only)?,
        several if context.printer.is_json() => return context.printer.value(&several),
        several => {
            for one in several {
                super::tell(context, one)?;
            }
        }
    }
    if !context.printer.is_json() {
        for one in &reserved {
            context.printer.data(&one.place);
        }
    }
    Ok(())
}

/// Books a place for later.
async fn book(
    context: &Context<'_>,
    from: &str,
    wants: Vec<WantedPlace>,
    period: Option<Duration>,
) -> anyhow::Result<()> {
    let zone = TimeZone::system();
    let now = Clock::system().now();
    let starts_at = when::parse(from, now, &zone).context("--from")?;
    if starts_at <= now {
        let at = when::words(starts_at, &zone);
        bail!("--from: {at} has passed; without --from, a place is reserved now");
    }
    let Ok([WantedPlace { places, parts, name }]) = <[WantedPlace; 1]>::try_from(wants) else {
        bail!("--from books one place at a time: book them one by one");
    };
    let Some(period) = period else { bail!("--for: say for how long, such as --for 2h") };
    let request = BookRequest { places, parts, name, starts_at, seconds: period.as_secs() };
    let booking: Booking = context.hub().await?.post("/nave/v1/bookings", &request).await?;
    if context.printer.is_json() {
        return context.printer.value(&booking);
    }
    let (from, until) = (when::words(booking.starts_at, &zone), when::words(booking.until, &zone));
    context.printer.talk(format!("nave: {} is booked for you from {from} to {until}", booking.place));
    context.printer.data(&booking.place);
    Ok(())
}

/// What is asked for, and for how long if the descriptions say so.
pub(super) struct Asked {
    pub(super) wants: Vec<WantedPlace>,
    pub(super) limit: Option<Duration>,
}

/// What the arguments name. Of several descriptions the one counts that wants its place for the shortest time.
pub(super) fn asked(args: &Reserve) -> anyhow::Result<Asked> {
    let mut wants: Vec<WantedPlace> = Vec::new();
    let mut limit = None;
    for text in &args.descriptions {
        let wish = Wish::parse(text);
        let (name, description) = description(&wish.name)?;
        let places = args.place.iter().cloned().chain(wish.place).collect();
        wants.push(WantedPlace { places, parts: description.wanted(), name });
        limit = [limit, description.auto_return].into_iter().flatten().min();
    }
    if args.descriptions.is_empty() {
        limit = Some(Duration::from_hours(10));
        let one = |places| WantedPlace { places, ..WantedPlace::default() };
        if args.all {
            wants.extend(args.place.iter().map(|place| one(vec![place.clone()])));
        } else {
            wants.push(one(args.place.clone()));
        }
    }
    match (&args.with_name, wants.as_mut_slice()) {
        (None, _) => {}
        (Some(name), [only]) => only.name.clone_from(name),
        (Some(_), _) => bail!("--with-name names one reservation, and {} places are wanted", wants.len()),
    }
    Ok(Asked { wants, limit })
}

/// Waits for an answer; meanwhile whoever waits at a terminal or reads a log is told where in the queue it is.
async fn waiting<T>(
    context: &Context<'_>,
    hub: &HubClient,
    asking: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::pin!(asking);
    let mut told = String::new();
    loop {
        tokio::select! {
            reserved = &mut asking => return reserved,
            () = tokio::time::sleep(TELL_EVERY) => {}
        }
        let queue: QueueTurn = hub.get("/nave/v1/reservations/queue/turn").await.unwrap_or_default();
        let Some(own) = queue.own else {
            if let Some(words) = super::ran::made_ready(hub).await.filter(|words| *words != told) {
                context.printer.talk(&words);
                told = words;
            }
            continue;
        };
        let expected =
            own.expected.map(|at| format!(", expected {}", super::in_words(at, Clock::system().now())));
        let words = format!(
            "nave: waiting for {}: number {} of {} in the queue{}",
            wanted_words(&own.wants),
            own.position,
            queue.waiting,
            expected.unwrap_or_default()
        );
        if words != told {
            context.printer.talk(&words);
            told = words;
        }
    }
}

/// What is waited for, in words.
fn wanted_words(wants: &[WaitedFor]) -> String {
    let each = wants.iter().map(|want| {
        let more = (want.more > 0).then(|| format!("one of {} more", want.more));
        let places: Vec<String> = want.places.iter().cloned().chain(more).collect();
        places.join(" or ")
    });
    let each: Vec<String> = each.collect();
    each.join(" and ")
}

/// What somebody waits for, in words.
pub(super) fn wish_words(waiter: &Waiter, or: &str) -> String {
    if waiter.together.is_empty() {
        return waiter.places.join(or);
    }
    let each: Vec<String> = waiter.together.iter().map(|want| want.join(" or ")).collect();
    each.join(" and ")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        reserve: Reserve,
    }

    fn places(args: &[&str]) -> anyhow::Result<Vec<Vec<String>>> {
        let line = Line::try_parse_from([&["reserve"], args].concat())?;
        Ok(asked(&line.reserve)?.wants.into_iter().map(|want| want.places).collect())
    }

    #[test]
    fn places_are_alternatives_unless_all_are_wanted() {
        assert_eq!(places(&["--place", "a", "--place", "b"]).unwrap(), [["a", "b"]]);
        assert_eq!(places(&["--place", "a", "--place", "b", "--all"]).unwrap(), [["a"], ["b"]]);
        assert!(places(&["--all"]).is_err());
        assert!(places(&["--all", "--place", "a", "demo"]).is_err());
        let named = places(&["--place", "a", "--place", "b", "--all", "-n", "x"]).unwrap_err();
        assert!(named.to_string().contains("2 places are wanted"), "{named}");
    }
}
