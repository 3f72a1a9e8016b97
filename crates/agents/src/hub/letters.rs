//! Mail as people and the API speak of it: by names, where `mail` has numbers.

use std::sync::Arc;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event::Event;
use nave_core::hub::op::{Actor, Op};
use serde_json::json;

use super::dispatch::Start;
use super::live::Answer;
use super::mail::{self, Direction, Post, Wanted};
use super::{Agents, MANAGE, dispatch, files, hosts, keys, roster, wake};
use crate::api::{Mail, MailFilter, NewMail, Started};
use crate::api::{Peek, StartRequest, StopRequest};

/// Messages of an agent, the newest first.
pub async fn list(op: &Op, hub: &Hub, agents: &Agents, filter: &MailFilter) -> Result<Vec<Mail>> {
    let agent = agents.directory().read().agent_named(&filter.agent)?.id;
    let limit = i64::from(filter.limit.unwrap_or(50));
    if !(1..=200).contains(&limit) {
        return Err(Error::invalid("limit", "must be from 1 to 200"));
    }
    if let Some(terms) = filter.search.as_deref().filter(|terms| !terms.trim().is_empty()) {
        return mail::find(op, hub, agents, agent, terms, filter.archived, false, limit).await;
    }
    let direction = match filter.direction.as_deref() {
        None | Some("") => None,
        Some("received") => Some(Direction::Received),
        Some("sent") => Some(Direction::Sent),
        Some(_) => return Err(Error::invalid("direction", "must be received or sent")),
    };
    let wanted = Wanted {
        kind: filter.kind,
        direction,
        unread: filter.unread,
        archived: filter.archived,
        before: filter.before,
        limit,
        ..Wanted::default()
    };
    mail::list(op, hub, agents, agent, &wanted).await
}

/// A message of an agent, which is read by this if the agent itself, or a person on its behalf, says so.
pub async fn read(op: &Op, hub: &Hub, agents: &Agents, agent: &str, id: i64, marks: bool) -> Result<Mail> {
    let agent = agents.directory().read().agent_named(agent)?.id;
    let read = mail::peek(op, hub, agents, agent, id).await?;
    if marks && read.head.unread {
        mail::mark_read(op, hub, agents, agent, &[id], read.head.kind).await?;
    }
    Ok(read)
}

/// Puts messages of an agent away.
pub async fn archive(op: &Op, hub: &Hub, agents: &Agents, agent: &str, id: i64) -> Result<()> {
    let agent = agents.directory().read().agent_named(agent)?.id;
    match mail::archive(op, hub, agents, agent, &[id]).await? {
        (_, Some(problem)) => Err(problem),
        _ => Ok(()),
    }
}

/// Sends a message. A person writes as the agent `admin` unless it names another.
pub async fn send(op: &Op, hub: &Arc<Hub>, agents: &Agents, new: NewMail) -> Result<Mail> {
    let writer = keys::asking(op).map_or_else(|| roster::ADMIN.to_owned(), |agent| agent.to_string());
    let (from, to) = {
        let rows = agents.directory().read();
        let from =
            rows.agent_named(new.from.as_deref().unwrap_or(&writer)).map_err(|error| match new.from {
                Some(_) => error,
                None => Error::invalid(
                    "from",
                    "there is no agent named admin on this hub: name the one who writes",
                ),
            })?;
        let to =
            new.to.iter().map(|name| rows.agent_named(name).map(|row| row.id)).collect::<Result<Vec<_>>>()?;
        (from.id, to)
    };
    hosts::require_for(op, agents, from)?;
    let mut attachments = Vec::with_capacity(new.attachments.len());
    for file in &new.attachments {
        attachments.push(files::number_of(hub, file).await?);
    }
    let post =
        Post { from, to, kind: new.kind, subject: new.subject, body: new.body, attachments, host: None };
    let posted = mail::send(op, hub, agents, post).await?;
    if let Actor::Person(_) | Actor::Operator { .. } = op.actor {
        // An agent's mail is its own affair; a person's is an act of steering.
        let mut act = hub.store.begin().await?;
        let event = Event {
            action: "mail.sent",
            object_kind: "mail",
            object_id: posted.id.to_string(),
            object_name: posted.participants.clone(),
            detail: json!({ "subject": posted.post.subject }),
        };
        hub.record(&mut act, op, event).await?;
        act.commit().await?;
    }
    wake::soon(hub);
    mail::peek(op, hub, agents, from, posted.id).await
}

/// Starts an agent.
pub async fn start(
    op: &Op,
    hub: &Arc<Hub>,
    agents: &Agents,
    agent: &str,
    request: StartRequest,
) -> Result<Started> {
    access::require(op, MANAGE)?;
    let (id, admin) = {
        let rows = agents.directory().read();
        (rows.agent_named(agent)?.id, rows.agent_named(roster::ADMIN).map(|row| row.id).ok())
    };
    if request.task.is_some() && admin.is_none() {
        return Err(Error::Conflict(
            "a task is a mail from the agent admin, and there is none: make one".to_owned(),
        ));
    }
    let wanted = Start { agent: id, requester: admin, task: request.task, ..Start::default() };
    let answer = done(dispatch::start(op, hub, agents, wanted).await?)?;
    Ok(Started { host: answer.host.unwrap_or_default() })
}

/// Stops an agent; this takes as long as its last step.
pub async fn stop(op: &Op, hub: &Arc<Hub>, agents: &Agents, agent: &str, request: StopRequest) -> Result<()> {
    let id = agents.directory().read().agent_named(agent)?.id;
    let reason = request.reason.unwrap_or_else(|| format!("Stopped by {}", op.actor.name()));
    done(dispatch::stop(op, hub, agents, id, &reason, None).await?)?;
    Ok(())
}

/// What an agent has before it.
pub async fn peek(
    op: &Op,
    agents: &Agents,
    agent: &str,
    skip: Option<i64>,
    take: Option<i64>,
) -> Result<Peek> {
    let id = agents.directory().read().agent_named(agent)?.id;
    let answer = done(dispatch::peek(op, agents, id, skip, take, None).await?)?;
    let lines = answer.lines.unwrap_or_default();
    let total = answer.total.unwrap_or_else(|| i64::try_from(lines.len()).unwrap_or(i64::MAX));
    Ok(Peek { lines, total })
}

/// What a host did not do is an error here.
fn done(answer: Answer) -> Result<Answer> {
    if answer.success {
        return Ok(answer);
    }
    Err(Error::Conflict(
        answer.error.unwrap_or_else(|| "the host did not do it, and did not say why".to_owned()),
    ))
}
