//! `/agents/costs`: what was spent, by whom and with which models; what may be; and who may spend nothing any more.

use axum::extract::RawQuery;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::op::Op;
use nave_web::error::PageError;
use nave_web::form::{Fields, Form};
use nave_web::ui::Filled;
use nave_web::views::listing::Listing;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, may, refuse, shell, show};
use time::Duration;

use super::views::{Chart, Choice, CostsPage};
use super::{Fleet, acts, asked, tabs};
use crate::api::CostSum;
use crate::hub::{Agents, MANAGE, READ, budgets, runs};

const PATH: &str = "/agents/costs";
/// How many days may be looked at, each with how many bars and their hours.
const DAYS: [(i64, usize, i64); 4] = [(1, 24, 1), (7, 28, 6), (30, 30, 24), (90, 45, 48)];
/// How many without saying so.
const USUAL: i64 = 7;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Access::Page(READ), look).post(PATH, Access::Page(MANAGE), limit)
}

/// For how many days, and what was spent in them; all of it, or what one agent spent; by agent, or by model.
pub(super) async fn chart(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    query: &Fields,
    agent: Option<&str>,
    by_agent: bool,
) -> Result<(i64, Chart)> {
    let wanted: Option<i64> = asked(query, "days")?;
    let wanted = wanted.and_then(|days| DAYS.into_iter().find(|(known, _, _)| *known == days));
    let (days, spans, hours) = wanted.unwrap_or(DAYS[1]);
    let span = Duration::hours(hours);
    // Bars end with the hour that is not over yet, so that they do not move while somebody looks.
    let now = op.clock.now();
    let hour = Duration::seconds(now.unix_timestamp().rem_euclid(3600));
    let until = (now - hour).replace_nanosecond(0).map_err(Error::internal)? + Duration::HOUR;
    let from = until - Duration::days(days);
    let mut sums = runs::cost_sums(op, hub, agents, from, until, span).await?;
    sums.retain(|sum| agent.is_none_or(|agent| sum.agent == agent));
    let name: fn(&CostSum) -> &str = if by_agent { |sum| &sum.agent } else { |sum| &sum.model };
    Ok((days, Chart::of(&sums, from, span, spans, name)))
}

/// For how many days may be looked, each with its address.
pub(super) fn choices(days: i64, path: impl Fn(i64) -> String) -> Vec<Choice> {
    let choice = |(known, _, _): (i64, usize, i64)| Choice {
        label: if known == 1 { "24 hours".to_owned() } else { format!("{known} days") },
        count: 0,
        path: path(known),
        here: known == days,
    };
    DAYS.into_iter().map(choice).collect()
}

async fn look(visitor: Visitor, hub: Shared, agents: Fleet, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let view = view_of(&visitor, &hub, &agents, &query, None).await?;
    Ok(show(&view, &view.shell))
}

async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    query: &Fields,
    refused: Option<Filled>,
) -> Result<CostsPage, PageError> {
    let op = &visitor.op;
    let listing = Listing::new(PATH, &[("days", query.one("days")?), ("by", query.one("by")?)]);
    let by_agent = listing.get("by") != "model";
    let (days, chart) = chart(op, hub, agents, query, None, by_agent).await?;
    let said = |days: i64| if days == USUAL { String::new() } else { days.to_string() };
    let by = |label: &str, word: &str, here| Choice {
        label: label.to_owned(),
        count: 0,
        path: listing.with("by", word),
        here,
    };
    let budgets = budgets::list(op, agents)?;
    let global =
        budgets.iter().find(|budget| budget.agent.is_none()).and_then(|budget| budget.window.clone());
    let form = refused.unwrap_or_else(|| {
        let window = global.as_ref();
        let dollars = window.map(|window| window.limit.dollars().to_string()).unwrap_or_default();
        let hours = window.and_then(|window| Some((window.until? - window.from?).as_seconds_f64() / 3600.0));
        let hours = hours.map(|hours| hours.to_string()).unwrap_or_default();
        Filled::with([("dollars", dollars.as_str()), ("hours", hours.as_str())])
    });
    Ok(CostsPage {
        shell: shell(visitor, hub, "Costs", "/agents").await?,
        tabs: tabs(op, PATH),
        choices: choices(days, |days| listing.with("days", &said(days))),
        ways: vec![by("By agent", "", by_agent), by("By model", "model", !by_agent)],
        here: listing.here(),
        budgets: budgets.into_iter().filter(|budget| budget.agent.is_some()).collect(),
        may: may(op, MANAGE),
        chart,
        by_agent,
        global,
        form,
    })
}

async fn limit(visitor: Visitor, hub: Shared, agents: Fleet, Form(fields): Form) -> Answer {
    let limited = async {
        let change = acts::limit(&fields)?;
        budgets::change(&visitor.op, &hub, &agents, None, change.clone()).await?;
        Ok::<_, Error>(change)
    };
    match limited.await {
        Ok(change) if change.dollars == Some(0.0) => {
            Ok(done(PATH, "Nothing limits what all agents spend together."))
        }
        Ok(_) => Ok(done(PATH, "What all agents may spend together is limited.")),
        Err(error) => {
            let form = Some(Filled::refused(&fields, &error));
            let view = view_of(&visitor, &hub, &agents, &Fields::default(), form).await?;
            Ok(refuse(&view, &error))
        }
    }
}
