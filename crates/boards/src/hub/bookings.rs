//! Reservations that begin later, for whoever may reserve: a place is chosen and kept free for them.

use std::sync::Arc;
use std::time::Duration;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::{self, BookError, BookingTimes, Holder, ResourceId, WantedBooking};
use nave_core::hub::op::Op;
use time::OffsetDateTime;

use super::wish::{self, LONGEST};
use super::{Boards, READ, RESERVE, reserve};
use crate::api::{BookRequest, Booking, BookingChange, BookingState, WantedPlace};

/// Books one of the places that would do.
pub async fn book(op: &Op, hub: &Arc<Hub>, boards: &Boards, request: BookRequest) -> Result<Booking> {
    access::require(op, RESERVE)?;
    let time = wish::within("seconds", request.seconds, 1, LONGEST)?;
    let BookRequest { places, parts, name, starts_at, .. } = request;
    if starts_at <= op.clock.now() {
        return Err(Error::invalid(
            "starts_at",
            "is not in the future: reserve the place now, without a start",
        ));
    }
    within_a_year(op, starts_at)?;
    let candidates = wish::candidates(boards, &WantedPlace { places, parts, name: String::new() })?;
    let label = wish::label(op, hub, &name)?;
    let wanted = WantedBooking {
        acceptable: candidates.choice().clone(),
        label,
        priority: boards.config().priority.of(op),
        starts_at,
        ends_at: starts_at + time,
    };
    let choose = |free: &[ResourceId]| reserve::choose(hub, boards, &candidates, free);
    let booked = Boards::pool(hub)?.book(op, hub, wanted, choose).await;
    match booked {
        Ok(booking) => Ok(told(op, &booking)),
        Err(BookError::Failed(error)) => Err(error),
        Err(BookError::Taken(why)) => {
            Err(Error::Conflict(format!("no place that would do is free for that time: {why}")))
        }
        Err(BookError::NoneThere) => {
            Err(Error::Conflict("every place that would do is out of service or just went away".to_owned()))
        }
    }
}

/// Every booking, by when they begin.
pub fn list(op: &Op, hub: &Hub) -> Result<Vec<Booking>> {
    access::require(op, READ)?;
    Ok(Boards::pool(hub)?.bookings().iter().map(|booking| told(op, booking)).collect())
}

fn within_a_year(op: &Op, starts_at: OffsetDateTime) -> Result<()> {
    if starts_at > op.clock.now() + Duration::from_secs(LONGEST) {
        return Err(Error::invalid("starts_at", "lies more than a year ahead"));
    }
    Ok(())
}

/// Moves a booking to other times: one's own by its name, or any by its id.
pub async fn change(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    text: &str,
    change: BookingChange,
) -> Result<Booking> {
    access::require_somebody(op)?;
    let missing = || Error::not_found("booking", text);
    let booking = find(op, hub, text)?.ok_or_else(missing)?;
    if change == BookingChange::default() {
        return Err(Error::invalid("starts_at", "or seconds must say what is to be another"));
    }
    let starts_at = change.starts_at.unwrap_or(booking.starts_at);
    within_a_year(op, starts_at)?;
    let lasts = change.seconds.map(|seconds| wish::within("seconds", seconds, 1, LONGEST)).transpose()?;
    let ends_at = lasts.map_or(starts_at + (booking.ends_at - booking.starts_at), |lasts| starts_at + lasts);
    let times = BookingTimes { starts_at, ends_at, priority: boards.config().priority.of(op) };
    match Boards::pool(hub)?.change_booking(op, hub, booking.id, times).await {
        Ok(changed) => Ok(told(op, &changed.ok_or_else(missing)?)),
        Err(BookError::Failed(error)) => Err(error),
        Err(BookError::Taken(why)) => Err(Error::Conflict(format!(
            "{} is not free for that time: {why}; the booking stays as it is",
            booking.resource
        ))),
        Err(BookError::NoneThere) => Err(missing()),
    }
}

/// A booking, for whoever may see places.
pub(super) fn show(op: &Op, hub: &Hub, text: &str) -> Result<Booking> {
    access::require(op, READ)?;
    let booking = find(op, hub, text)?.ok_or_else(|| Error::not_found("booking", text))?;
    Ok(told(op, &booking))
}

/// Takes a booking back: one's own by its name, or any by its id.
pub async fn cancel(op: &Op, hub: &Arc<Hub>, text: &str) -> Result<Booking> {
    access::require_somebody(op)?;
    let missing = || Error::not_found("booking", text);
    let booking = find(op, hub, text)?.ok_or_else(missing)?;
    let cancelled = Boards::pool(hub)?.cancel_booking(op, hub, booking.id).await?;
    Ok(told(op, &cancelled.ok_or_else(missing)?))
}

pub(super) fn find(op: &Op, hub: &Hub, text: &str) -> Result<Option<leases::Booking>> {
    let me = Holder::of(op);
    let is_meant = |booking: &leases::Booking| {
        booking.id.to_string() == text
            || (!text.is_empty() && booking.label == text && booking.holder.is(&me))
    };
    Ok(Boards::pool(hub)?.bookings().into_iter().find(is_meant))
}

/// A booking, as whoever asks sees it.
pub(super) fn told(op: &Op, booking: &leases::Booking) -> Booking {
    let waits = booking.starts_at <= op.clock.now();
    Booking {
        id: booking.id.to_string(),
        place: booking.resource.clone(),
        name: booking.label.clone(),
        holder: booking.holder.name.clone(),
        mine: booking.holder.is(&Holder::of(op)),
        starts_at: booking.starts_at,
        until: booking.ends_at,
        state: if waits { BookingState::Waiting } else { BookingState::Booked },
    }
}
