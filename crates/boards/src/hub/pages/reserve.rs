//! `/boards/reserve`: any place that has what is wanted, or several of them at once.

use axum::extract::RawQuery;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes};
use nave_web::form::{Fields, Form};
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, refuse, shell, show};
use time::OffsetDateTime;

use super::views::{ReserveAny, path_of};
use super::{Fleet, beside, seconds, start, yours};
use crate::api::{BookRequest, Booking, ReserveSetRequest, WantedPart, WantedPlace};
use crate::hub::{RESERVE, bookings, wish};

const PATH: &str = "/boards/reserve";
const TITLE: &str = "Reserve a place";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Access::Page(RESERVE), form).post(PATH, Access::Page(RESERVE), reserve)
}

async fn form(visitor: Visitor, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let form = Filled::with([("tags", query.one("tag")?), ("count", "1"), ("time", "10h")]);
    let shell = shell(&visitor, &hub, TITLE, "/boards").await?;
    let view = ReserveAny { shell, form };
    Ok(show(&view, &view.shell))
}

async fn reserve(visitor: Visitor, hub: Shared, boards: Fleet, Form(fields): Form) -> Answer {
    let reserved = async {
        if let Some(starts_at) = start(&fields)? {
            let booking = book(&visitor, &hub, &boards, &fields, starts_at).await?;
            return Ok((path_of(&booking.place), format!("{} is booked for you.", booking.place)));
        }
        let request = ReserveSetRequest {
            wants: wants(&fields)?,
            seconds: seconds(&fields, "time")?,
            ..ReserveSetRequest::default()
        };
        let reserved = wish::reserve_set_and_look(&visitor.op, &hub, &boards, request).await?;
        if let [only] = reserved.as_slice() {
            return Ok((path_of(&only.place), yours(&boards, &only.place)));
        }
        let names: Vec<&str> = reserved.iter().map(|one| one.place.as_str()).collect();
        Ok(("/boards/reservations".to_owned(), format!("{} are yours.", names.join(", "))))
    };
    match reserved.await {
        Ok((path, words)) => Ok(done(&path, &words)),
        Err(error) => {
            let error = beside(error, "time");
            let shell = shell(&visitor, &hub, TITLE, "/boards").await?;
            Ok(refuse(&ReserveAny { shell, form: Filled::refused(&fields, &error) }, &error))
        }
    }
}

async fn book(
    visitor: &Visitor,
    hub: &Shared,
    boards: &Fleet,
    fields: &Fields,
    starts_at: OffsetDateTime,
) -> Result<Booking> {
    let mut wants = wants(fields)?;
    let (Some(WantedPlace { places, parts, name }), true) = (wants.pop(), wants.is_empty()) else {
        return Err(Error::invalid("count", "must be 1: places are booked one by one"));
    };
    let request = BookRequest { places, parts, name, starts_at, seconds: seconds(fields, "time")? };
    bookings::book(&visitor.op, hub, boards, request).await
}

/// As many alike as somebody asks for; of several, each has a number after its name.
fn wants(fields: &Fields) -> Result<Vec<WantedPlace>> {
    let compatible: Vec<String> = fields.one("tags")?.split_whitespace().map(ToOwned::to_owned).collect();
    let part = (!compatible.is_empty()).then(|| WantedPart { compatible, ..WantedPart::default() });
    let parts: Vec<WantedPart> = part.into_iter().collect();
    let name = fields.one("name")?.trim();
    let text = fields.one("count")?.trim();
    let count: usize = match text.parse() {
        Ok(count) if (1..=wish::MOST).contains(&count) => count,
        _ => return Err(Error::invalid("count", format!("must be from 1 to {}", wish::MOST))),
    };
    let named = |at: usize| match (name, count) {
        ("", _) | (_, 1) => name.to_owned(),
        _ => format!("{name} {at}"),
    };
    let want = |at| WantedPlace { places: Vec::new(), parts: parts.clone(), name: named(at) };
    Ok((1..=count).map(want).collect())
}
