//! `/boards`: every place, with who has it.

use std::cmp::Ordering;
use std::collections::HashMap;

use axum::extract::RawQuery;
use nave_core::hub::http::{Access, Routes};
use nave_web::form::Fields;
use nave_web::views::listing::{Listing, Pager};
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, may, shell, show};

use super::views::{Choice, Counts, Farm, Mosaic, State, is_mine, tags};
use super::{Fleet, tabs};
use crate::api::FarmPlace;
use crate::hub::{READ, RESERVE, farm};

/// How many tags are offered to choose from.
const TAGS: usize = 10;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/boards", Access::Page(READ), list)
}

/// A part of the list: how the address calls it, its words, and what belongs to it.
type Part = (&'static str, &'static str, fn(&FarmPlace) -> bool);

const PARTS: [Part; 7] = [
    ("", "All", |_| true),
    ("free", "Free", |place| State::of(place) == State::Free),
    ("reserved", "Reserved", |place| place.reservation.is_some()),
    ("mine", "Mine", is_mine),
    ("waited", "Waited for", |place| place.waiting > 0),
    ("closed", "Out of service", |place| place.maintenance.is_some()),
    ("away", "Away", |place| !place.here),
];

async fn list(visitor: Visitor, hub: Shared, boards: Fleet, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let mut values = Vec::new();
    for name in ["q", "tag", "status", "sort", "page"] {
        values.push((name, query.one(name)?));
    }
    let listing = Listing::new("/boards", &values);
    let all = farm::list(&visitor.op, &hub, &boards)?;
    let queue = farm::queue(&visitor.op, &hub)?;
    let tabs = tabs(&all, &queue, "/boards");
    let counts = Counts::of(&all, queue.len());
    let mosaic = Mosaic::of(&all);
    let (tag, status) = (listing.get("tag"), listing.get("status"));
    let common = common_tags(&all, &listing);
    let tagged: Vec<FarmPlace> =
        all.into_iter().filter(|place| tag.is_empty() || tags(place).contains(&tag)).collect();
    let choices = PARTS.iter().map(|(name, label, belongs)| Choice {
        label: (*label).to_owned(),
        count: tagged.iter().filter(|place| belongs(place)).count(),
        path: listing.with("status", name),
        here: status == *name,
    });
    let choices = choices.filter(|choice| choice.here || choice.count > 0 || choice.label == "All").collect();
    let belongs = PARTS.iter().find(|(name, _, _)| *name == status).map_or(PARTS[0].2, |part| part.2);
    let words: Vec<String> = listing.get("q").split_whitespace().map(str::to_lowercase).collect();
    let mut places: Vec<FarmPlace> =
        tagged.into_iter().filter(|place| belongs(place) && matches_all(place, &words)).collect();
    sort(&mut places, listing.get("sort"));
    let (places, pager) = Pager::cut(&listing, places);
    let shell = shell(&visitor, &hub, "Boards", "/boards").await?;
    let may_reserve = may(&visitor.op, RESERVE);
    let view =
        Farm { shell, tabs, listing, counts, mosaic, choices, tags: common, places, pager, may_reserve };
    Ok(show(&view, &view.shell))
}

/// The tags that most places have, and the one that the list is narrowed to.
fn common_tags(all: &[FarmPlace], listing: &Listing) -> Vec<Choice> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for tag in all.iter().flat_map(tags) {
        *counts.entry(tag).or_default() += 1;
    }
    let narrowed = listing.get("tag");
    let mut common: Vec<(&str, usize)> = counts.into_iter().collect();
    common.sort_by(|a, b| (b.0 == narrowed, b.1, a.0).cmp(&(a.0 == narrowed, a.1, b.0)));
    common.truncate(TAGS);
    let choice = |(tag, count): (&str, usize)| Choice {
        label: tag.to_owned(),
        count,
        path: listing.with("tag", if tag == narrowed { "" } else { tag }),
        here: tag == narrowed,
    };
    common.into_iter().map(choice).collect()
}

fn matches_all(place: &FarmPlace, words: &[String]) -> bool {
    words.iter().all(|word| {
        let has = |text: &str| text.to_lowercase().contains(word);
        has(&place.name)
            || place.node.as_deref().is_some_and(has)
            || place.reservation.as_ref().is_some_and(|held| has(&held.holder) || has(&held.name))
            || place.maintenance.as_ref().is_some_and(|closed| has(&closed.reason))
            || place.parts.iter().any(|part| {
                let interfaces = part.usb.keys().chain(part.tcp.keys());
                part.compatible.iter().chain(interfaces).any(|text| has(text))
            })
    })
}

/// The services list by name; everything else is sorted here, names deciding where it is the same.
fn sort(places: &mut [FarmPlace], by: &str) {
    let (key, down) = by.strip_prefix('-').map_or((by, false), |key| (key, true));
    // Places that nobody has come last.
    let holder = |place: &FarmPlace| {
        place.reservation.as_ref().map_or((true, String::new()), |held| (false, held.holder.to_lowercase()))
    };
    let until = |place: &FarmPlace| {
        place.reservation.as_ref().map_or((2, None), |held| (u8::from(held.until.is_none()), held.until))
    };
    let order = |a: &FarmPlace, b: &FarmPlace| match key {
        "holder" => holder(a).cmp(&holder(b)),
        "until" => until(a).cmp(&until(b)),
        "waiting" => b.waiting.cmp(&a.waiting),
        "name" => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        _ => Ordering::Equal,
    };
    places.sort_by(|a, b| if down { order(b, a) } else { order(a, b) });
}
