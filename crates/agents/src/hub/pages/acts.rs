//! What is done to an agent, from its page or from the list of all.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::http::{Access, Routes};
use nave_web::form::{Fields, Form};
use nave_web::ui::Filled;
use nave_web::visitor::Visitor;
use nave_web::{Answer, Shared, done, refuse};

use super::views::{Forms, key_of, path_of};
use super::{Fleet, agent, list, number};
use crate::api::{AgentChange, AgentConfig, Assignment, BudgetChange, NewAgent, StartRequest, StopRequest};
use crate::hub::{MANAGE, budgets, letters, roster};

/// How long a page waits for an agent to end. Its last step can take much longer.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .post("/agents/admin", Access::Page(MANAGE), make_admin)
        .post("/agents/named/{agent}/start", Access::Page(MANAGE), start)
        .post("/agents/named/{agent}/stop", Access::Page(MANAGE), stop)
        .post("/agents/named/{agent}/enable", Access::Page(MANAGE), enable)
        .post("/agents/named/{agent}/disable", Access::Page(MANAGE), disable)
        .post("/agents/named/{agent}/archive", Access::Page(MANAGE), archive)
        .post("/agents/named/{agent}/restore", Access::Page(MANAGE), restore)
        .post("/agents/named/{agent}/lead", Access::Page(MANAGE), lead)
        .post("/agents/named/{agent}/hosts", Access::Page(MANAGE), assign)
        .post("/agents/named/{agent}/budget", Access::Page(MANAGE), budget)
        .post("/agents/named/{agent}/reset", Access::Page(MANAGE), reset)
}

/// The page from which something was asked: the list, or the agent's own.
fn back(fields: &Fields, agent: &str) -> Result<String> {
    Ok(if fields.one("from")? == "list" { list::PATH.to_owned() } else { path_of(agent) })
}

/// What came of it: a message on the page from which it was asked, or that page with what is wrong.
async fn answer(
    (visitor, hub, agents): (&Visitor, &Shared, &Fleet),
    agent: &str,
    fields: &Fields,
    done_so: Result<String>,
    forms: impl FnOnce(Filled) -> Forms,
) -> Answer {
    let error = match done_so {
        Ok(words) => return Ok(done(&back(fields, agent)?, &words)),
        Err(error) => error,
    };
    if fields.one("from")? == "list" {
        let words = Error::Conflict(format!("{agent}: {}", error.message()));
        let problem = Filled::refused(fields, &words);
        return Ok(refuse(&list::view_of(visitor, hub, agents, "", problem).await?, &error));
    }
    let forms = forms(Filled::refused(fields, &error));
    Ok(refuse(&agent::view_of(visitor, hub, agents, agent, "", forms).await?, &error))
}

async fn make_admin(visitor: Visitor, hub: Shared, agents: Fleet, Form(_): Form) -> Answer {
    let config = AgentConfig::human(roster::ADMIN, "Admin");
    roster::create(&visitor.op, &hub, &agents, NewAgent { config, lead: None }).await?;
    Ok(done(list::PATH, "admin is there: people write and give tasks in its name."))
}

async fn start(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let started = async {
        let task = fields.filled("task")?.map(str::to_owned);
        let started = letters::start(&visitor.op, &hub, &agents, &agent, StartRequest { task }).await?;
        let host = if started.host.is_empty() { String::new() } else { format!(" on {}", started.host) };
        Ok(format!("{agent} has started{host}."))
    };
    let started = started.await;
    answer((&visitor, &hub, &agents), &agent, &fields, started, |start| Forms { start, ..Forms::default() })
        .await
}

async fn stop(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let stopped = async {
        let request = StopRequest { reason: fields.filled("reason")?.map(str::to_owned) };
        let (op, held, fleet, name) = (visitor.op.clone(), Arc::clone(&hub), agents.0.clone(), agent.clone());
        // Whoever asked goes on; the agent is stopped all the same.
        let stopping =
            hub.tasks.spawn(async move { letters::stop(&op, &held, &fleet, &name, request).await });
        match tokio::time::timeout(PATIENCE, stopping).await {
            Ok(stopped) => stopped.map_err(Error::internal)?.map(|()| format!("{agent} has stopped.")),
            Err(_) => Ok(format!("{agent} was told to stop, and does so after its last step.")),
        }
    };
    let stopped = stopped.await;
    answer((&visitor, &hub, &agents), &agent, &fields, stopped, |stop| Forms { stop, ..Forms::default() })
        .await
}

async fn change(
    (visitor, hub, agents): (Visitor, Shared, Fleet),
    agent: String,
    fields: Fields,
    change: AgentChange,
    words: &str,
) -> Answer {
    let changed = roster::change(&visitor.op, &hub, &agents, &agent, change).await;
    let agent = changed.as_ref().map_or(agent, |now| key_of(&now.agent));
    let changed = changed.map(|now| format!("{} {words}", now.agent.name));
    answer((&visitor, &hub, &agents), &agent, &fields, changed, |act| Forms { act, ..Forms::default() }).await
}

async fn enable(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let wanted = AgentChange { enabled: Some(true), ..AgentChange::default() };
    change((visitor, hub, agents), agent, fields, wanted, "may run again.").await
}

async fn disable(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let wanted = AgentChange { enabled: Some(false), ..AgentChange::default() };
    change((visitor, hub, agents), agent, fields, wanted, "may not run any more.").await
}

async fn archive(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let wanted = AgentChange { archived: Some(true), ..AgentChange::default() };
    change((visitor, hub, agents), agent, fields, wanted, "is archived; its name is free.").await
}

async fn restore(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let wanted = AgentChange { archived: Some(false), ..AgentChange::default() };
    change((visitor, hub, agents), agent, fields, wanted, "is back.").await
}

async fn lead(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let led = async {
        let lead = fields.one("lead")?.to_owned();
        let words = if lead.is_empty() {
            format!("{agent} works for nobody.")
        } else {
            format!("{agent} works for {lead}.")
        };
        let change = AgentChange { lead: Some(lead), ..AgentChange::default() };
        roster::change(&visitor.op, &hub, &agents, &agent, change).await?;
        Ok(words)
    };
    let led = led.await;
    answer((&visitor, &hub, &agents), &agent, &fields, led, |lead| Forms { lead, ..Forms::default() }).await
}

async fn assign(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let hosts: Vec<String> = fields.all("hosts").map(str::to_owned).collect();
    let words = if hosts.is_empty() {
        format!("{agent} runs on every host that is not restricted.")
    } else {
        format!("{agent} runs on {}.", hosts.join(", "))
    };
    let assigned = roster::assign(&visitor.op, &hub, &agents, &agent, Assignment { hosts }).await;
    let assigned = assigned.map(|_| words);
    answer((&visitor, &hub, &agents), &agent, &fields, assigned, |hosts| Forms { hosts, ..Forms::default() })
        .await
}

/// A limit as it was typed; an empty field takes it away.
pub(super) fn limit(fields: &Fields) -> Result<BudgetChange> {
    let dollars = number(fields, "dollars", "an amount in dollars, such as 2.50")?;
    let hours = number(fields, "hours", "a number of hours, such as 24")?;
    Ok(BudgetChange {
        dollars: Some(dollars.unwrap_or(0.0)),
        hours: Some(hours.unwrap_or(0.0)),
        reset: false,
    })
}

async fn budget(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let limited = async {
        let change = limit(&fields)?;
        let words = if change.dollars == Some(0.0) {
            format!("{agent} has no limit of its own.")
        } else {
            format!("What {agent} may spend is limited.")
        };
        budgets::change(&visitor.op, &hub, &agents, Some(&agent), change).await?;
        Ok(words)
    };
    let limited = limited.await;
    answer((&visitor, &hub, &agents), &agent, &fields, limited, |budget| Forms { budget, ..Forms::default() })
        .await
}

async fn reset(
    visitor: Visitor,
    hub: Shared,
    agents: Fleet,
    Path(agent): Path<String>,
    Form(fields): Form,
) -> Answer {
    let change = BudgetChange { reset: true, ..BudgetChange::default() };
    let reset = budgets::change(&visitor.op, &hub, &agents, Some(&agent), change).await;
    let reset = reset.map(|_| format!("What {agent} spent so far counts no more."));
    answer((&visitor, &hub, &agents), &agent, &fields, reset, |budget| Forms { budget, ..Forms::default() })
        .await
}
