//! `/audit`: the audit log, and the same rows as a file.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::header;
use nave_core::api::{Event, EventFilter};
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event::{self, MAX_PAGE, READ};
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::op::Op;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::{Answer, Shared, shell, show};
use crate::form::Fields;
use crate::page;
use crate::ui::Filled;
use crate::views::audit::{Audit, Row};
use crate::views::listing::Listing;
use crate::visitor::Visitor;
use crate::words;

/// How many rows a page has.
const ROWS: usize = 100;
const FILTERS: [&str; 6] = ["actor", "action", "object", "since", "until", "before"];

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.get("/audit", Access::Page(READ), list).get("/audit/{file}", Access::Page(READ), export)
}

async fn list(visitor: Visitor, hub: Shared, RawQuery(query): RawQuery) -> Answer {
    nave_core::hub::access::require(&visitor.op, READ)?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let mut values = Vec::with_capacity(FILTERS.len());
    for name in FILTERS {
        values.push((name, query.one(name)?));
    }
    let listing = Listing::new("/audit", &values);
    let limit = u32::try_from(ROWS + 1).unwrap_or(MAX_PAGE);
    let (events, filled) = match filter(&query) {
        Ok(filter) => {
            let filter = EventFilter { limit: Some(limit), ..filter };
            (event::list(&visitor.op, &hub.store, &filter).await?, Filled::with(values))
        }
        Err(error) => (Vec::new(), Filled::refused(&query, &error)),
    };
    let more = events.len() > ROWS;
    let rows: Vec<Row> = events
        .into_iter()
        .take(ROWS)
        .map(|event| Row { said: visitor.sections.tell(&event), event })
        .collect();
    let older = rows.last().filter(|_| more).map(|row| listing.with("before", &row.event.id.to_string()));
    let newest = (!listing.get("before").is_empty()).then(|| listing.with("before", ""));
    let kept = words::span(hub.settings.keep_events.as_secs());
    let shell = shell(&visitor, &hub, "Audit", "/audit").await?;
    let view = Audit { shell, listing, filter: filled, rows, newest, older, kept };
    Ok(show(&view, &view.shell))
}

fn filter(query: &Fields) -> Result<EventFilter> {
    let text = |name| Ok::<_, Error>(query.filled(name)?.map(ToOwned::to_owned));
    let before = query.filled("before")?.map(|text| {
        text.parse::<i64>().map_err(|_| Error::invalid("before", "must be the number of an event"))
    });
    Ok(EventFilter {
        before: before.transpose()?,
        since: query.filled("since")?.map(|text| moment("since", text)).transpose()?,
        until: query.filled("until")?.map(|text| moment("until", text)).transpose()?,
        action: text("action")?,
        actor: text("actor")?,
        object: text("object")?,
        ..EventFilter::default()
    })
}

/// A time as browsers send it, or in full.
fn moment(name: &'static str, text: &str) -> Result<OffsetDateTime> {
    let short = format_description!("[year]-[month]-[day]T[hour]:[minute]");
    OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| time::PrimitiveDateTime::parse(text, &short).map(time::PrimitiveDateTime::assume_utc))
        .map_err(|_| Error::invalid(name, "is no time: write it as 2026-08-04T12:00"))
}

/// The form of a file.
#[derive(Clone, Copy)]
enum Form {
    Csv,
    Json,
}

/// How far an export has come.
struct Export {
    op: Op,
    hub: Arc<Hub>,
    filter: EventFilter,
    form: Form,
    after: i64,
    begun: bool,
}

async fn export(
    visitor: Visitor,
    hub: Shared,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    nave_core::hub::access::require(&visitor.op, READ)?;
    let form = match file.as_str() {
        "export.csv" => Form::Csv,
        "export.json" => Form::Json,
        _ => return Err(Error::not_found("file", file).into()),
    };
    let filter = filter(&Fields::parse(query.unwrap_or_default().as_bytes())?)?;
    let hub = Arc::clone(&hub);
    let state = Some(Export { op: visitor.op, hub, filter, form, after: 0, begun: false });
    // Page by page, the oldest first: the log may be larger than what one wants in memory.
    let body = stream::unfold(state, |state| async { next(state?).await });
    let (kind, name) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"audit.csv\""),
        Form::Json => ("application/json", "attachment; filename=\"audit.json\""),
    };
    let response = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_DISPOSITION, name)
        .body(Body::from_stream(body))
        .map_err(Error::internal)?;
    Ok(page::secured(response))
}

type Chunk = (std::result::Result<Bytes, Error>, Option<Export>);

async fn next(mut export: Export) -> Option<Chunk> {
    let filter = EventFilter { after: Some(export.after), limit: Some(MAX_PAGE), ..export.filter.clone() };
    let events = match event::list(&export.op, &export.hub.store, &filter).await {
        Ok(events) => events,
        Err(error) => return Some((Err(error), None)),
    };
    let mut text = String::new();
    if !export.begun {
        text.push_str(match export.form {
            Form::Csv => "id,at,actor_kind,actor_id,actor,source,request,action,object_kind,object_id,object,detail\r\n",
            Form::Json => "[",
        });
    }
    let last = events.last().map(|event| event.id);
    for event in &events {
        match export.form {
            Form::Csv => text.push_str(&csv(event)),
            Form::Json => {
                text.push_str(if export.begun { ",\n" } else { "\n" });
                export.begun = true;
                text.push_str(&serde_json::to_string(event).unwrap_or_default());
            }
        }
    }
    export.begun = true;
    if let Some(last) = last {
        export.after = last;
        return Some((Ok(text.into()), Some(export)));
    }
    if matches!(export.form, Form::Json) {
        text.push_str("\n]\n");
    }
    Some((Ok(text.into()), None))
}

fn csv(event: &Event) -> String {
    let (id, at) = (event.id.to_string(), event.at.format(&Rfc3339).unwrap_or_default());
    let detail = if event.detail.is_null() { String::new() } else { event.detail.to_string() };
    let cells = [
        id.as_str(),
        &at,
        &event.actor_kind,
        &event.actor_id,
        &event.actor,
        event.source.as_deref().unwrap_or_default(),
        &event.request,
        &event.action,
        &event.object_kind,
        &event.object_id,
        &event.object,
        &detail,
    ];
    cells.map(cell).join(",") + "\r\n"
}

/// A cell (RFC 4180). What a spreadsheet would run as a formula begins with an apostrophe, so that it does not.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_anything_and_run_nothing() {
        assert_eq!(cell("lab"), "lab");
        assert_eq!(cell("a,\"b\"\nc"), "\"a,\"\"b\"\"\nc\"");
        assert_eq!(cell("=cmd()"), "\"'=cmd()\"");
    }

    #[test]
    fn times_are_read_as_browsers_send_them() {
        assert_eq!(
            moment("since", "2026-08-04T12:00").unwrap(),
            moment("since", "2026-08-04T12:00:00Z").unwrap()
        );
        assert!(moment("since", "yesterday").is_err());
    }
}
