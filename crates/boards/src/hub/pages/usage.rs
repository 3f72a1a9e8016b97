//! `/boards/usage`: how the farm was used in the last weeks.

use axum::extract::RawQuery;
use nave_core::hub::http::{Access, Routes};
use nave_web::form::Fields;
use nave_web::views::listing::{Listing, Pager};
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, shell, show};

use super::views::{Chart, Choice, UsagePage};
use super::{Fleet, tabs};
use crate::hub::usage::{self, FarmUsage, Of};
use crate::hub::{READ, farm};

const PATH: &str = "/boards/usage";
/// How many weeks may be looked at.
const WEEKS: [usize; 3] = [4, 12, 52];
/// How many without saying so.
const USUAL: usize = 12;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Access::Page(READ), look)
}

async fn look(visitor: Visitor, hub: Shared, boards: Fleet, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let mut values = Vec::new();
    for name in ["weeks", "tag", "place", "page"] {
        values.push((name, query.one(name)?));
    }
    let listing = Listing::new(PATH, &values);
    let weeks = listing.get("weeks").parse().ok().filter(|weeks| WEEKS.contains(weeks)).unwrap_or(USUAL);
    let asked = |name: &str| Some(listing.get(name).to_owned()).filter(|value| !value.is_empty());
    let of = Of { tag: asked("tag"), place: asked("place") };
    let usage = usage::show(&visitor.op, &hub, &boards, weeks, &of).await?;
    let tabs = tabs(&farm::list(&visitor.op, &hub, &boards)?, &farm::queue(&visitor.op, &hub)?, PATH);
    let choices = WEEKS.iter().map(|count| Choice {
        label: format!("{count} weeks"),
        count: *count,
        path: listing.with("weeks", &if *count == USUAL { String::new() } else { count.to_string() }),
        here: *count == weeks,
    });
    let choices = choices.collect();
    let shell = shell(&visitor, &hub, "Usage", "/boards").await?;
    let FarmUsage { weeks, whole, tags, places } = usage;
    let (taken, waits) = (Chart::taken(&weeks), Chart::waits(&weeks));
    let (places, pager) = Pager::cut(&listing, places);
    let view =
        UsagePage { shell, tabs, listing, of, choices, weeks, whole, taken, waits, tags, places, pager };
    Ok(show(&view, &view.shell))
}
