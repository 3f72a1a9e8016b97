//! `nave board bookings`: what is booked for later. Booking a place is `nave board reserve --from`.

use http::Method;
use nave_boards::api::{Booking, BookingState};
use serde_json::json;

use super::{Context, moment, segment};

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
        let booking = all(context).await?.into_iter().find(|booking| is_meant(booking, name));
        hub.act(Method::DELETE, &format!("/nave/v1/bookings/{}", segment(name)), &json!({})).await?;
        let told = booking.as_ref().map(cancelled);
        context.printer.talk(told.unwrap_or_else(|| format!("nave: the booking {name} is cancelled")));
    }
    Ok(())
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
