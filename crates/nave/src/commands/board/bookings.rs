//! `nave board bookings`: what is booked for later. Booking a place is `nave board reserve --from`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Method;
use jiff::tz::TimeZone;
use nave_boards::api::{Booking, BookingChange, BookingState};
use nave_core::clock::Clock;
use serde_json::json;

use super::{Context, moment, segment};
use crate::when;

/// Every booking, by when they begin.
pub(super) async fn all(context: &Context<'_>) -> anyhow::Result<Vec<Booking>> {
    context.hub().await?.get("/nave/v1/bookings").await
}

pub(super) async fn list(context: &Context<'_>) -> anyhow::Result<()> {
    let bookings = all(context).await?;
    show(context, &bookings, "nothing is booked: `nave board reserve --from` changes that")
}

pub(super) fn show(context: &Context<'_>, bookings: &[Booking], empty: &str) -> anyhow::Result<()> {
    let row = |booking: &Booking| {
        vec![
            booking.place.clone(),
            booking.holder.clone(),
            booking.name.clone(),
            moment(booking.starts_at),
            moment(booking.until),
            if booking.state == BookingState::Waiting { "waits for the place" } else { "" }.to_owned(),
            booking.id.clone(),
        ]
    };
    context.printer.rows(bookings, &["BOOKED", "BY", "NAME", "FROM", "UNTIL", "STATE", "ID"], row, empty)
}

pub(super) async fn cancel(context: &Context<'_>, names: &[String]) -> anyhow::Result<()> {
    let hub = context.hub().await?;
    for name in names {
        let bookings = all(context).await?;
        let booking = find(&bookings, name)?;
        hub.act(Method::DELETE, &format!("/nave/v1/bookings/{}", segment(&booking.id)), &json!({})).await?;
        context.printer.talk(cancelled(booking));
    }
    Ok(())
}

pub(super) async fn change(
    context: &Context<'_>,
    name: &str,
    from: Option<&str>,
    period: Option<Duration>,
) -> anyhow::Result<()> {
    let zone = TimeZone::system();
    let now = Clock::system().now();
    let starts_at = from.map(|text| when::parse(text, now, &zone)).transpose().context("--from")?;
    if let Some(starts_at) = starts_at.filter(|starts_at| *starts_at <= now) {
        bail!("--from: {} has passed", when::words(starts_at, &zone));
    }
    let bookings = all(context).await?;
    let id = segment(&find(&bookings, name)?.id);
    let change = BookingChange { starts_at, seconds: period.map(|period| period.as_secs()) };
    let hub = context.hub().await?;
    let changed: Booking = hub.send_json(Method::PATCH, &format!("/nave/v1/bookings/{id}"), &change).await?;
    if context.printer.is_json() {
        return context.printer.value(&changed);
    }
    let of = if changed.mine { "you".to_owned() } else { changed.holder };
    let (from, until) = (when::words(changed.starts_at, &zone), when::words(changed.until, &zone));
    context.printer.talk(format!("nave: {} is booked for {of} from {from} to {until}", changed.place));
    Ok(())
}

/// The booking that somebody means; their own also by its place, if it is the only one.
fn find<'a>(bookings: &'a [Booking], text: &str) -> anyhow::Result<&'a Booking> {
    if let Some(booking) = bookings.iter().find(|booking| is_meant(booking, text)) {
        return Ok(booking);
    }
    let own: Vec<&Booking> =
        bookings.iter().filter(|booking| booking.mine && booking.place == text).collect();
    match own.as_slice() {
        [only] => Ok(only),
        [] => bail!("there is no booking {text:?}: `nave board bookings` lists them, with their ids"),
        several => bail!(
            "you have booked {text} {} times: name one of them by its id, which `nave board bookings` shows",
            several.len()
        ),
    }
}

/// Whether somebody means this one: their own by its name, or any by its id.
pub(super) fn is_meant(booking: &Booking, text: &str) -> bool {
    booking.id == text || (booking.mine && booking.name == text)
}

/// What somebody is told who cancelled it.
pub(super) fn cancelled(booking: &Booking) -> String {
    let of = if booking.mine { String::new() } else { format!(" by {}", booking.holder) };
    format!("nave: the booking of {}{of} from {} on is cancelled", booking.place, moment(booking.starts_at))
}
