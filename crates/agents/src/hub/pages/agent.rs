//! `/agents/named/{agent}`: one agent, its log that follows, its sessions, what it costs.

use axum::extract::{Path, RawQuery};
use axum::response::IntoResponse as _;
use http::StatusCode;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes};
use nave_web::error::PageError;
use nave_web::form::Fields;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, may, page, shell, show};

use super::views::{AgentCosts, AgentPage, Forms, LogPart, LogView, Tab, is_human, lines, page_of};
use super::{Fleet, asked, costs};
use crate::api::{Agent, AgentState, LogFilter};
use crate::hub::{MANAGE, READ, budgets, hosts, roster, runs};

/// How many lines are shown at once.
const LINES: u32 = 200;
/// How many sessions are shown.
const SESSIONS: u32 = 30;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/agents/named/{agent}", Access::Page(READ), detail)
        .get("/agents/named/{agent}/log", Access::Page(READ), log)
        .get("/agents/named/{agent}/costs", Access::Page(READ), cost)
}

/// The pages of one agent.
pub(super) fn tabs(visitor: &Visitor, agent: &Agent, here: &str) -> Vec<Tab> {
    let path = page_of(agent);
    let mail = format!("/agents/mail?{}", super::views::query(&[("agent", &agent.name)]));
    let tab = |label, path: String, may: bool| may.then(|| Tab { label, here: label == here, path });
    let all = [
        tab("Now", path.clone(), true),
        tab("Configuration", format!("{path}/config"), true),
        tab("Costs", format!("{path}/costs"), !is_human(agent)),
        tab("Mail", mail, may(&visitor.op, MANAGE) && agent.state != AgentState::Archived),
    ];
    all.into_iter().flatten().collect()
}

async fn detail(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let view = view_of(&visitor, &hub, &agents, &name, &query, Forms::default()).await?;
    Ok(show(&view, &view.shell))
}

pub(super) async fn view_of(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    name: &str,
    query: &str,
    forms: Forms,
) -> Result<AgentPage, PageError> {
    let op = &visitor.op;
    let found = roster::show(op, agents, name)?;
    let agent = found.agent;
    let query = Fields::parse(query.as_bytes())?;
    let log = read_log(visitor, hub, agents, name, &agent, &query).await?;
    let sessions = runs::sessions(op, hub, agents, name, None, SESSIONS).await?;
    let all = roster::list(op, agents, false)?;
    let own =
        budgets::list(op, agents)?.into_iter().find(|budget| budget.agent.as_ref() == Some(&agent.name));
    let forms = forms.filled(&agent, &found.config);
    Ok(AgentPage {
        shell: shell(visitor, hub, agent.name.clone(), "/agents").await?,
        tabs: tabs(visitor, &agent, "Now"),
        has_admin: all.iter().any(|agent| agent.name.eq_ignore_ascii_case(roster::ADMIN)),
        leads: all.into_iter().map(|agent| agent.name).filter(|name| *name != agent.name).collect(),
        hosts: hosts::list(op, agents)?,
        window: own.and_then(|budget| budget.window),
        may: may(op, MANAGE),
        agent,
        log,
        sessions,
        forms,
    })
}

/// Lines of a log: the last ones, those before one, or those after one.
async fn read_log(
    visitor: &Visitor,
    hub: &Shared,
    agents: &Fleet,
    name: &str,
    agent: &Agent,
    query: &Fields,
) -> Result<LogView> {
    let (run, session): (Option<i64>, Option<i64>) = (asked(query, "run")?, asked(query, "session")?);
    let (before, after): (Option<i64>, Option<i64>) = (asked(query, "before")?, asked(query, "after")?);
    let seen = query.filled("seen")?.and_then(|seen| {
        let (run, session) = seen.split_once('.')?;
        Some((run.parse().ok()?, session.parse().ok()?))
    });
    let filter = LogFilter { run, session, before, after, limit: Some(LINES) };
    let found = runs::log(&visitor.op, hub, agents, name, &filter).await?;
    let of = |line: &crate::api::LogLine| (line.key.run, line.key.session);
    let last = found.lines.last().map(|line| line.id).or(after).unwrap_or(0);
    let key = found.lines.last().map(of).or(seen);
    let first = found.lines.first().map(|line| line.id);
    Ok(LogView {
        path: page_of(agent),
        of: run.map(|run| (run, session.unwrap_or(1))),
        older: first.filter(|_| found.more && after.is_none()),
        lines: lines(found.lines, seen.filter(|_| after.is_some())),
        follows: before.is_none(),
        more: found.more && after.is_some(),
        last,
        key,
    })
}

/// A part of a log, for the page that shows it already.
async fn log(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let agent = roster::show(&visitor.op, &agents, &name)?.agent;
    let log = read_log(&visitor, &hub, &agents, &name, &agent, &query).await?;
    if log.lines.is_empty() && log.follows {
        return Ok(page::secured(StatusCode::NO_CONTENT.into_response()));
    }
    Ok(page::html(StatusCode::OK, &LogPart { log }))
}

async fn cost(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let agent = roster::show(&visitor.op, &agents, &name)?.agent;
    if is_human(&agent) {
        return Err(Error::not_found("costs of a person", agent.name).into());
    }
    let (days, chart) = costs::chart(&visitor.op, &hub, &agents, &query, Some(&agent.name), false).await?;
    let path = format!("{}/costs", page_of(&agent));
    let choices = costs::choices(days, |days| format!("{path}?days={days}"));
    let shell = shell(&visitor, &hub, format!("Costs of {}", agent.name), "/agents").await?;
    let tabs = tabs(&visitor, &agent, "Costs");
    let view = AgentCosts { shell, tabs, agent, choices, chart, by_agent: false };
    Ok(show(&view, &view.shell))
}
