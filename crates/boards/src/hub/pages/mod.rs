//! The fleet's pages in the console: the farm, one place, reservations and the queue. What they do is the services'.

mod farm;
mod mine;
mod place;
mod queue;
mod reserve;
mod terminal;
mod told;
mod usage;
pub mod views;

use axum::Extension;
use nave_core::api::Event;
use nave_core::hub::config::Period;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::Routes;
use nave_core::hub::op::Op;
use nave_web::form::Fields;
use nave_web::section::{Entry, Figure, Section, Told};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use self::views::{Counts, Tab};
use super::{Boards, NAME, READ};
use crate::api::{FarmPlace, Waiter};

type Fleet = Extension<Boards>;

/// How many minutes a clock can be away from UTC.
const MOST_AHEAD: i64 = 24 * 60;

impl Section for Boards {
    fn entry(&self) -> Entry {
        Entry { name: "Boards", path: "/boards", icon: "boards", action: READ, topic: NAME, further: &[] }
    }

    fn routes(&self, routes: Routes) -> Routes {
        let pages = [
            farm::routes,
            queue::routes,
            usage::routes,
            mine::routes,
            reserve::routes,
            place::routes,
            terminal::routes,
        ];
        let pages = pages.into_iter().fold(Routes::default(), |routes, declare| declare(routes));
        routes.merge(pages.with(Extension(self.clone())))
    }

    fn tell(&self, event: &Event) -> Option<Told> {
        told::tell(event)
    }

    fn figures(&self, op: &Op, hub: &Hub) -> Result<Vec<Figure>> {
        let counts = Counts::of(&super::farm::list(op, hub, self)?, super::farm::queue(op, hub)?.len());
        let figure = |label, value, dot, path| Figure { label, value, dot, path };
        Ok(vec![
            figure("Free", counts.free, "good", "/boards?status=free"),
            figure("Reserved", counts.reserved, "busy", "/boards?status=reserved"),
            figure("Out of service", counts.closed, "bad", "/boards?status=closed"),
            figure("Waiting", counts.waiting, "warn", "/boards/queue"),
        ])
    }
}

/// The fleet's pages, one beside the other.
fn tabs(farm: &[FarmPlace], queue: &[Waiter], here: &str) -> Vec<Tab> {
    let mine = farm.iter().filter(|place| views::is_mine(place)).count();
    let tab = |label, count, path: &'static str| Tab { label, count, path, here: path == here };
    vec![
        tab("Places", farm.len(), "/boards"),
        tab("My reservations", mine, "/boards/reservations"),
        tab("Queue", queue.len(), "/boards/queue"),
        tab("Usage", 0, "/boards/usage"),
    ]
}

/// What whoever reserved a place is told.
fn yours(boards: &Boards, place: &str) -> String {
    let is_ready = boards.places().by_name(place).is_none_or(|place| place.gate.running().is_none());
    if is_ready { format!("{place} is yours.") } else { format!("{place} is yours as soon as it is ready.") }
}

/// For how long, as somebody typed it, in seconds.
fn seconds(fields: &Fields, name: &'static str) -> Result<u64> {
    let text = fields.one(name)?.trim();
    let period: Period = text
        .parse()
        .map_err(|_| Error::invalid(name, format!("{text:?} is no length of time: write 90m, 2h or 3d")))?;
    Ok(period.0.as_secs())
}

/// From when, as a browser sends what somebody picked: by a clock that is some minutes ahead of UTC, or in UTC where it
/// does not say so. `None` when it was left empty.
fn start(fields: &Fields) -> Result<Option<OffsetDateTime>> {
    let name = "from";
    let Some(text) = fields.filled(name)? else { return Ok(None) };
    let shapes = [
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]"),
        format_description!("[year]-[month]-[day]T[hour]:[minute]"),
        format_description!("[year]-[month]-[day] [hour]:[minute]"),
    ];
    let read = shapes.into_iter().find_map(|shape| PrimitiveDateTime::parse(text.trim(), shape).ok());
    let start =
        read.ok_or_else(|| Error::invalid(name, format!("{text:?} is no time: write 2026-12-01 14:00")))?;
    let ahead: i64 = match fields.filled("from_ahead")?.map(str::parse) {
        None => 0,
        Some(Ok(minutes)) if (-MOST_AHEAD..=MOST_AHEAD).contains(&minutes) => minutes,
        Some(_) => {
            return Err(Error::invalid(
                name,
                "comes from a clock that is more than a day ahead of UTC or behind it",
            ));
        }
    };
    let start = start.assume_utc().checked_sub(time::Duration::minutes(ahead));
    Ok(Some(start.ok_or_else(|| Error::invalid(name, "is no time that can be reckoned with"))?))
}

/// An error of a service beside the field of a form that it is about.
fn beside(error: Error, field: &'static str) -> Error {
    match error {
        Error::Invalid { field: at, problem } if at == "seconds" => {
            Error::Invalid { field: field.to_owned(), problem }
        }
        Error::Invalid { field: at, problem } if at == "starts_at" => {
            Error::Invalid { field: "from".to_owned(), problem }
        }
        Error::NotFound { kind: kind @ ("person" | "node"), name } => {
            Error::invalid(field, Error::NotFound { kind, name }.to_string())
        }
        other => other,
    }
}
