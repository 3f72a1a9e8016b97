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

use super::views::{Forms, Mine, path_of};
use super::{Fleet, beside, place, seconds, tabs};
use crate::api::{HandOver, ReservationChange};
use crate::hub::{READ, RESERVE, bookings, farm, wish};

const PATH: &str = "/boards/reservations";

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get(PATH, Access::Page(READ), list)
        .post("/boards/reservations/{reservation}/extend", Access::Page(RESERVE), extend)
        .post("/boards/reservations/{reservation}/hand-over", Access::Page(RESERVE), hand_over)
        .post("/boards/reservations/{reservation}/return", Access::Page(RESERVE), give_back)
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
