//! `/boards/queue`: who waits, and what is booked.

use axum::extract::RawQuery;
use nave_core::hub::http::{Access, Routes};
use nave_web::form::Fields;
use nave_web::views::listing::{Listing, Pager};
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, may, shell, show};

use super::views::{May, Queue};
use super::{Fleet, tabs};
use crate::hub::{MANAGE, READ, RESERVE, bookings, farm};

const PATH: &str = "/boards/queue";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Access::Page(READ), list)
}

async fn list(visitor: Visitor, hub: Shared, boards: Fleet, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let listing = Listing::new(PATH, &[("page", query.one("page")?)]);
    let queue = farm::queue(&visitor.op, &hub)?;
    let tabs = tabs(&farm::list(&visitor.op, &hub, &boards)?, &queue, PATH);
    let (waiters, pager) = Pager::cut(&listing, queue);
    let shell = shell(&visitor, &hub, "Queue", "/boards").await?;
    let bookings = bookings::list(&visitor.op, &hub)?;
    let may = May { reserve: may(&visitor.op, RESERVE), change: false, close: may(&visitor.op, MANAGE) };
    let view = Queue { shell, tabs, listing, waiters, bookings, may, pager };
    Ok(show(&view, &view.shell))
}
