//! `/boards/reservations`: what whoever looks has, and what is done to a reservation.

use axum::extract::Path;
use axum::response::Response;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes};
use nave_web::error::PageError;
use nave_web::form::{Fields, Form};
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, may, refuse, shell, show};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::views::{Forms, Mine, MoveBooking, path_of};
use super::{Fleet, beside, place, seconds, start, tabs};
use crate::api::{Booking, BookingChange, HandOver, ReservationChange};
use crate::hub::{READ, RESERVE, bookings, farm, wish};

const PATH: &str = "/boards/reservations";

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(PATH, Access::Page(READ), list)
        .post("/boards/reservations/{reservation}/extend", Access::Page(RESERVE), extend)
        .post("/boards/reservations/{reservation}/hand-over", Access::Page(RESERVE), hand_over)
        .post("/boards/reservations/{reservation}/return", Access::Page(RESERVE), give_back)
        .get("/boards/bookings/{booking}", Access::Page(RESERVE), move_form)
        .post("/boards/bookings/{booking}", Access::Page(RESERVE), move_booking)
        .post("/boards/bookings/{booking}/cancel", Access::Page(RESERVE), cancel)
}

async fn list(visitor: Visitor, hub: Shared, boards: Fleet) -> Answer {
    let farm = farm::list(&visitor.op, &hub, &boards)?;
    let tabs = tabs(&farm, &farm::queue(&visitor.op, &hub)?, PATH);
    let own = |place: crate::api::FarmPlace| {
        let reservation = place.reservation.clone().filter(|reservation| reservation.mine)?;
        Some((place, reservation))
    };
    let places = farm.into_iter().filter_map(own).collect();
    let bookings = bookings::list(&visitor.op, &hub)?.into_iter().filter(|booking| booking.mine).collect();
    let shell = shell(&visitor, &hub, "My reservations", "/boards").await?;
    let view = Mine { shell, tabs, places, bookings, may_reserve: may(&visitor.op, RESERVE) };
    Ok(show(&view, &view.shell))
}

async fn extend(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(id): Path<String>,
    Form(fields): Form,
) -> Answer {
    let extended = async {
        let change = ReservationChange { seconds: seconds(&fields, "more")? };
        wish::extend(&visitor.op, &hub, &id, change).await
    };
    match extended.await {
        Ok(reservation) => back(&fields, &format!("{} is kept for longer.", reservation.place)),
        Err(error) => {
            let error = beside(error, "more");
            let forms = Forms { extend: Filled::refused(&fields, &error), ..Forms::default() };
            again(&visitor, &hub, &boards, &fields, forms, &error).await
        }
    }
}

async fn hand_over(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(id): Path<String>,
    Form(fields): Form,
) -> Answer {
    let handed = async {
        let to = fields
            .filled("to")?
            .ok_or_else(|| Error::invalid("to", "must be an address or a node's name"))?;
        wish::hand_over(&visitor.op, &hub, &id, HandOver { to: to.to_owned() }).await
    };
    match handed.await {
        Ok(reservation) => back(&fields, &format!("{} now has {}.", reservation.holder, reservation.place)),
        Err(error) => {
            let error = beside(error, "to");
            let forms = Forms { hand_over: Filled::refused(&fields, &error), ..Forms::default() };
            again(&visitor, &hub, &boards, &fields, forms, &error).await
        }
    }
}

async fn give_back(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(id): Path<String>,
    Form(fields): Form,
) -> Answer {
    match wish::give_back(&visitor.op, &hub, &boards, &id).await {
        Ok(()) => back(&fields, &format!("{} is returned.", fields.one("place")?)),
        Err(error) => {
            let forms = Forms { give_back: Filled::refused(&fields, &error), ..Forms::default() };
            again(&visitor, &hub, &boards, &fields, forms, &error).await
        }
    }
}

async fn move_form(visitor: Visitor, hub: Shared, Path(id): Path<String>) -> Answer {
    let booking = bookings::show(&visitor.op, &hub, &id)?;
    let lasts = typed((booking.until - booking.starts_at).whole_seconds());
    let form = Filled::with([("from", field_value(booking.starts_at)?.as_str()), ("time", &lasts)]);
    let view = move_view(&visitor, &hub, booking, form).await?;
    Ok(show(&view, &view.shell))
}

async fn move_booking(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(id): Path<String>,
    Form(fields): Form,
) -> Answer {
    let booking = bookings::show(&visitor.op, &hub, &id)?;
    let moved = async {
        // Its time has come: that it began is not undone.
        let starts_at = if booking.waits() { None } else { start(&fields)? };
        let change = BookingChange { starts_at, seconds: Some(seconds(&fields, "time")?) };
        bookings::change(&visitor.op, &hub, &boards, &id, change).await
    };
    match moved.await {
        Ok(booking) => {
            Ok(done(&path_of(&booking.place), &format!("The booking of {} is moved.", booking.place)))
        }
        Err(error) => {
            let error = beside(error, "time");
            let view = move_view(&visitor, &hub, booking, Filled::refused(&fields, &error)).await?;
            Ok(refuse(&view, &error))
        }
    }
}

async fn move_view(
    visitor: &Visitor,
    hub: &Shared,
    booking: Booking,
    form: Filled,
) -> Result<MoveBooking, PageError> {
    let at = field_value(booking.starts_at)?;
    let shell = shell(visitor, hub, &format!("Booking of {}", booking.place), "/boards").await?;
    Ok(MoveBooking { shell, booking, at, form })
}

/// A length of time as it is typed.
fn typed(seconds: i64) -> String {
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let whole = units.into_iter().find(|(unit, _)| seconds % unit == 0);
    let (unit, letter) = whole.unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

/// A time as a field holds it, in UTC.
fn field_value(at: OffsetDateTime) -> Result<String, Error> {
    let shape = format_description!("[year]-[month]-[day]T[hour]:[minute]");
    at.to_offset(UtcOffset::UTC).format(shape).map_err(Error::internal)
}

async fn cancel(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(id): Path<String>,
    Form(fields): Form,
) -> Answer {
    match bookings::cancel(&visitor.op, &hub, &id).await {
        Ok(booking) => back(&fields, &format!("The booking of {} is cancelled.", booking.place)),
        Err(error) => {
            let forms = Forms { book: Filled::refused(&fields, &error), ..Forms::default() };
            again(&visitor, &hub, &boards, &fields, forms, &error).await
        }
    }
}

/// To the page on which the form was.
fn back(fields: &Fields, words: &str) -> Result<Response, PageError> {
    let from_list = fields.one("from")? == "reservations";
    let path = if from_list { PATH.to_owned() } else { path_of(fields.one("place")?) };
    Ok(done(&path, words))
}

/// The place's page, with what is wrong with a form.
async fn again(
    visitor: &Visitor,
    hub: &Shared,
    boards: &Fleet,
    fields: &Fields,
    forms: Forms,
    error: &Error,
) -> Answer {
    let view = place::view_of(visitor, hub, boards, fields.one("place")?, forms).await?;
    Ok(refuse(&view, error))
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn a_length_of_time_is_typed_in_whole_units() {
        let all = [172_800, 36_000, 5_400, 90].map(typed);
        assert_eq!(all, ["2d", "10h", "90m", "90s"]);
    }
}
