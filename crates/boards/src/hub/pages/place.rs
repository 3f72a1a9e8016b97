//! `/boards/places/{place}`: one place, reserving it, switching its power, taking it out of service.

use axum::extract::Path;
use nave_core::api::Stream;
use nave_core::hub::error::Error;
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::streams;
use nave_web::error::PageError;
use nave_web::form::Form;
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, may, refuse, shell, show};

use super::views::{Forms, May, PlacePage, is_mine, path_of};
use super::{Fleet, beside, seconds, start, yours};
use crate::api::{BookRequest, FarmPlace, Occasion, PowerCommand, ReserveRequest, SetMaintenance};
use crate::hub::{MANAGE, READ, RESERVE, bookings, commands, farm, maintenance, wish};
use crate::link;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/boards/places/{place}", Access::Page(READ), detail)
        .post("/boards/places/{place}/reserve", Access::Page(RESERVE), reserve)
        .post("/boards/places/{place}/power", Access::Page(RESERVE), power)
        .post("/boards/places/{place}/book", Access::Page(RESERVE), book)
        .post("/boards/places/{place}/close", Access::Page(MANAGE), close)
        .post("/boards/places/{place}/open", Access::Page(MANAGE), open)
}

async fn detail(visitor: Visitor, hub: Shared, boards: Fleet, Path(name): Path<String>) -> Answer {
    let view = view_of(&visitor, &hub, &boards, &name, Forms::default()).await?;
    Ok(show(&view, &view.shell))
}

pub(super) async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    boards: &Fleet,
    name: &str,
    forms: Forms,
) -> Result<PlacePage, PageError> {
    let op = &visitor.op;
    let detail = farm::show(op, hub, boards, name).await?;
    let waiters =
        farm::queue(op, hub)?.into_iter().filter(|waiter| waiter.places.iter().any(|place| place == name));
    // Whoever may not see streams sees the place without them.
    let streams = streams::list(op, hub).unwrap_or_default();
    let may = May {
        reserve: may(op, RESERVE),
        change: detail.place.reservation.is_some()
            && (may(op, MANAGE) || (is_mine(&detail.place) && may(op, RESERVE))),
        close: may(op, MANAGE),
    };
    let switches = may.close || (is_mine(&detail.place) && may.reserve);
    let power = if switches { detail.place.power.clone() } else { Vec::new() };
    Ok(PlacePage {
        shell: shell(visitor, hub, name, "/boards").await?,
        waiters: waiters.collect(),
        streams: streams.into_iter().filter(|stream| leads_to(stream, &detail.place)).collect(),
        place: detail.place,
        past: detail.past,
        commands: detail.commands,
        power,
        bookings: detail.bookings,
        may,
        forms,
    })
}

/// Whether a stream leads to one of a place's services or devices.
fn leads_to(stream: &Stream, place: &FarmPlace) -> bool {
    place.node.as_ref() == Some(&stream.to)
        && link::targets(&place.parts).any(|target| target.to_string() == stream.target)
}

async fn reserve(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(name): Path<String>,
    Form(fields): Form,
) -> Answer {
    let reserved = async {
        let request = ReserveRequest {
            places: vec![name.clone()],
            name: fields.one("name")?.trim().to_owned(),
            seconds: seconds(&fields, "time")?,
            ..ReserveRequest::default()
        };
        wish::reserve_and_look(&visitor.op, &hub, &boards, request).await
    };
    match reserved.await {
        Ok(_) => Ok(done(&path_of(&name), &yours(&boards, &name))),
        Err(error) => {
            let error = beside(error, "time");
            let forms = Forms { reserve: Filled::refused(&fields, &error), ..Forms::default() };
            again(&visitor, &hub, &boards, &name, forms, &error).await
        }
    }
}

async fn power(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(name): Path<String>,
    Form(fields): Form,
) -> Answer {
    let switched = async {
        let word = fields.one("command")?;
        let command = PowerCommand::ALL.into_iter().find(|command| command.word() == word);
        let command = command.ok_or_else(|| Error::invalid("command", "must be on, off, cycle or status"))?;
        let run = commands::power(&visitor.op, &hub, &boards, &name, command).await?;
        match run.problem() {
            Some(problem) => Err(Error::Conflict(format!("{name}: {problem}."))),
            None => Ok(run),
        }
    };
    match switched.await {
        Ok(run) => {
            let said = run.output.lines().next().unwrap_or_default();
            let done_so = match run.occasion {
                Occasion::PowerOn => format!("The power of {name} is on."),
                Occasion::PowerOff => format!("The power of {name} is off."),
                Occasion::PowerStatus => format!("{name} says: {said}"),
                _ => format!("The power of {name} was off, and is on."),
            };
            Ok(done(&path_of(&name), &done_so))
        }
        Err(error) => {
            let forms = Forms { power: Filled::refused(&fields, &error), ..Forms::default() };
            again(&visitor, &hub, &boards, &name, forms, &error).await
        }
    }
}

async fn book(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(name): Path<String>,
    Form(fields): Form,
) -> Answer {
    let booked = async {
        let starts_at =
            start(&fields)?.ok_or_else(|| Error::invalid("from", "must be a time that lies ahead"))?;
        let request = BookRequest {
            places: vec![name.clone()],
            parts: Vec::new(),
            name: fields.one("name")?.trim().to_owned(),
            starts_at,
            seconds: seconds(&fields, "time")?,
        };
        bookings::book(&visitor.op, &hub, &boards, request).await
    };
    match booked.await {
        Ok(_) => Ok(done(&path_of(&name), &format!("{name} is booked for you."))),
        Err(error) => {
            let error = beside(error, "time");
            let forms = Forms { book: Filled::refused(&fields, &error), ..Forms::default() };
            again(&visitor, &hub, &boards, &name, forms, &error).await
        }
    }
}

async fn close(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(name): Path<String>,
    Form(fields): Form,
) -> Answer {
    let closed = async {
        let why = SetMaintenance { reason: fields.one("reason")?.to_owned() };
        maintenance::close(&visitor.op, &hub, &boards, &name, why).await
    };
    match closed.await {
        Ok(()) => Ok(done(&path_of(&name), &format!("{name} is out of service."))),
        Err(error) => {
            let forms = Forms { close: Filled::refused(&fields, &error), ..Forms::default() };
            again(&visitor, &hub, &boards, &name, forms, &error).await
        }
    }
}

async fn open(
    visitor: Visitor,
    hub: Shared,
    boards: Fleet,
    Path(name): Path<String>,
    Form(fields): Form,
) -> Answer {
    match maintenance::open(&visitor.op, &hub, &boards, &name).await {
        Ok(()) => Ok(done(&path_of(&name), &format!("{name} is in service again."))),
        Err(error) => {
            let forms = Forms { close: Filled::refused(&fields, &error), ..Forms::default() };
            again(&visitor, &hub, &boards, &name, forms, &error).await
        }
    }
}

async fn again(
    visitor: &Visitor,
    hub: &Shared,
    boards: &Fleet,
    name: &str,
    forms: Forms,
    error: &Error,
) -> Answer {
    let view = view_of(visitor, hub, boards, name, forms).await?;
    Ok(refuse(&view, error))
}
