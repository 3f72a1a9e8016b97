//! `/agents`: every agent, below whom it works for.

use axum::extract::RawQuery;
use nave_core::hub::http::{Access, Routes};
use nave_web::error::PageError;
use nave_web::form::Fields;
use nave_web::ui::Filled;
use nave_web::views::listing::{Listing, Pager};
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, may, shell, show};

use super::views::{Choice, Counts, ListPage, Row, tree};
use super::{Fleet, tabs};
use crate::api::{Agent, AgentState};
use crate::hub::{MANAGE, READ, hosts, roster};

pub(super) const PATH: &str = "/agents";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Access::Page(READ), list)
}

/// A part of the list: how the address calls it, its words, and what belongs to it.
type Kind = (&'static str, &'static str, fn(&Agent) -> bool);

const KINDS: [Kind; 8] = [
    ("", "All", |agent| agent.state != AgentState::Archived),
    ("active", "Active", |agent| agent.state == AgentState::Active),
    ("available", "Available", |agent| agent.state == AgentState::Available),
    ("suspended", "Suspended", |agent| agent.suspended.is_some()),
    ("failing", "With a problem", |agent| agent.problem.is_some()),
    ("offline", "Offline", |agent| agent.state == AgentState::Offline),
    ("disabled", "Disabled", |agent| agent.state == AgentState::Disabled),
    ("archived", "Archived", |agent| agent.state == AgentState::Archived),
];

async fn list(visitor: Visitor, hub: Shared, agents: Fleet, RawQuery(query): RawQuery) -> Answer {
    let view = view_of(&visitor, &hub, &agents, &query.unwrap_or_default(), Filled::blank()).await?;
    Ok(show(&view, &view.shell))
}

/// The list; `problem` is what was wrong with what was asked of an agent in it.
pub(super) async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    query: &str,
    problem: Filled,
) -> Result<ListPage, PageError> {
    let query = Fields::parse(query.as_bytes())?;
    let mut values = Vec::new();
    for name in ["q", "state", "page"] {
        values.push((name, query.one(name)?));
    }
    let listing = Listing::new(PATH, &values);
    let all = roster::list(&visitor.op, agents, true)?;
    let living: Vec<Agent> =
        all.iter().filter(|agent| agent.state != AgentState::Archived).cloned().collect();
    let counts = Counts::of(&living);
    let has_admin = living.iter().any(|agent| agent.name.eq_ignore_ascii_case(roster::ADMIN));
    let state = listing.get("state").to_owned();
    let choices = KINDS.iter().map(|(name, label, belongs)| Choice {
        label: (*label).to_owned(),
        count: all.iter().filter(|agent| belongs(agent)).count(),
        path: listing.with("state", name),
        here: state == *name,
    });
    let choices = choices.filter(|choice| choice.here || choice.count > 0 || choice.label == "All").collect();
    let belongs = KINDS.iter().find(|(name, _, _)| *name == state).map_or(KINDS[0].2, |kind| kind.2);
    let words: Vec<String> = listing.get("q").split_whitespace().map(str::to_lowercase).collect();
    let shown: Vec<Agent> =
        all.into_iter().filter(|agent| belongs(agent) && matches_all(agent, &words)).collect();
    let rows: Vec<Row> = tree(shown);
    let (rows, pager) = Pager::cut(&listing, rows);
    Ok(ListPage {
        shell: shell(visitor, hub, "Agents", PATH).await?,
        tabs: tabs(&visitor.op, PATH),
        hosts: hosts::list(&visitor.op, agents)?.len(),
        listing,
        counts,
        choices,
        rows,
        pager,
        may: may(&visitor.op, MANAGE),
        has_admin,
        problem,
    })
}

fn matches_all(agent: &Agent, words: &[String]) -> bool {
    words.iter().all(|word| {
        let has = |text: &str| text.to_lowercase().contains(word);
        has(&agent.name)
            || has(&agent.title)
            || has(&agent.model)
            || agent.lead.as_deref().is_some_and(has)
            || agent.hosts.iter().chain(&agent.assigned).any(|host| has(host))
    })
}
