//! What clients say: each event is read, done by a service, and answered in NAISYS's shape. What cannot be read is answered
//! with what is wrong with it; an event that wants no answer is then left out, and logged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::identity;
use nave_core::hub::op::Op;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::socket_io::Event;
use super::session::Session;
use super::wire::{self, Found, Listed, Message};
use super::{EVENTS, Naisys};
use crate::api::Nanodollars;
use crate::api::{CostEntry, NewLogLine, RunKey};
use crate::hub::directory::AgentRow;
use crate::hub::dispatch::{self, Refusal, Start};
use crate::hub::hosts;
use crate::hub::live::{Answer, Happening};
use crate::hub::mail::{self, Direction, Post, Wanted};
use crate::hub::runs::{self, CostBatch};
use crate::hub::wake;

/// How long the old key of a farm is good when a supervisor asks for a new one.
const GRACE: Duration = Duration::from_hours(24);
/// The most messages of one answer.
const MOST: i64 = 1000;

/// Reads what an event carries.
fn read<T: DeserializeOwned>(payload: Option<&RawValue>) -> Result<T> {
    let text = payload.map_or("null", RawValue::get);
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        Error::invalid(if path == "." { "payload".to_owned() } else { path }, error.inner().to_string())
    })
}

/// As a program of NAISYS reads it.
fn told(error: &Error) -> String {
    match error {
        Error::NotFound { kind: "message", name } => format!("Message {name} not found"),
        Error::Invalid { field, problem } if field == "attachments" => format!("Error: {problem}"),
        other => other.message(),
    }
}

/// Lets pass who may send this event at all. What it is about is the services' to look at.
fn may_say(op: &Op, name: &str) -> Result<()> {
    match EVENTS.iter().find(|(known, _)| *known == name) {
        Some((_, action)) => access::require(op, *action),
        // The original never answers what it does not know; here nobody waits for ever.
        None => Err(Error::invalid("event", format!("there is no event named {name:?}"))),
    }
}

fn failed(error: &Error) -> Value {
    json!({ "success": false, "error": told(error) })
}

impl Naisys {
    /// Does what an event asks for.
    pub(super) async fn hear(&self, session: &Session, event: Event) {
        let Ok(hub) = self.hub() else { return };
        let hub = &hub;
        let pause = session.allowance.lock().await.take(hub.clock.now());
        if let Some(pause) = pause {
            // Its connection is read no further meanwhile, so that nothing is lost and nobody else waits.
            tokio::time::sleep(pause).await;
        }
        let op = session.op(hub);
        let Event { name, payload, ack } = event;
        let payload = payload.as_deref();
        if let Err(error) = may_say(&op, &name) {
            if let Some(ack) = ack {
                ack.answer(&failed(&error));
            } else {
                tracing::warn!(host = session.name, event = name, %error, "an event was left out");
            }
            return;
        }
        // What takes as long as another host takes must hold up nothing else of this one.
        match name.as_str() {
            "agent_start" | "agent_stop" | "agent_peek" => {
                let asked = Relay::read(&name, payload);
                let (naisys, hub, host) = (self.clone(), Arc::clone(hub), session.host);
                let tasks = hub.tasks.clone();
                tasks.spawn(async move {
                    let answer = match asked {
                        Ok(asked) => naisys.relay(&op, &hub, host, asked).await,
                        Err(error) => Err(error),
                    };
                    if let Some(ack) = ack {
                        ack.answer(&answer.map_or_else(|error| failed(&error), |answer| answered(&answer)));
                    }
                });
                return;
            }
            _ => {}
        }
        let answer = match name.as_str() {
            "cost_write" => match self.costs(&op, hub, session, payload).await {
                Ok(answer) => Ok(Some(answer)),
                Err(error) => {
                    tracing::warn!(host = session.name, %error, "costs were not written");
                    Ok(Some(json!({ "budgets": [] })))
                }
            },
            "heartbeat" => self.heartbeat(session, payload).map(|()| None),
            "log_write" => self.logs(&op, hub, session, payload).await.map(|()| None),
            _ => self.ask(&op, hub, session, &name, payload).await,
        };
        match (answer, ack) {
            (Ok(Some(answer)), Some(ack)) => ack.answer(&answer),
            (Err(error), Some(ack)) => ack.answer(&failed(&error)),
            (Err(error), None) => {
                tracing::warn!(host = session.name, event = name, %error, "an event was left out");
            }
            (Ok(_), None) => {}
            (Ok(None), Some(ack)) => ack.answer(&json!({ "success": true })),
        }
    }

    /// Events that are answered at once.
    async fn ask(
        &self,
        op: &Op,
        hub: &Arc<Hub>,
        session: &Session,
        name: &str,
        payload: Option<&RawValue>,
    ) -> Result<Option<Value>> {
        let agents = &self.0.agents;
        let answer = match name {
            "session_create" => {
                let asked: wire::SessionCreate = read(payload)?;
                let key =
                    runs::open_run(op, hub, agents, asked.user_id, session.host, &asked.model_name).await?;
                json!({ "success": true, "runId": key.run, "sessionId": key.session })
            }
            "session_increment" => {
                let asked: wire::SessionIncrement = read(payload)?;
                let (agent, run) = (asked.user_id, asked.run_id);
                let key =
                    runs::open_session(op, hub, agents, agent, run, session.host, &asked.model_name).await?;
                json!({ "success": true, "sessionId": key.session })
            }
            "mail_send" => {
                let asked: wire::MailSend = read(payload)?;
                let post = Post {
                    from: asked.from_user_id,
                    to: asked.to_user_ids,
                    kind: asked.kind,
                    subject: asked.subject,
                    body: asked.body,
                    attachments: asked.attachment_ids.unwrap_or_default(),
                    host: session.host,
                };
                mail::send(op, hub, agents, post).await?;
                wake::soon(hub);
                json!({ "success": true })
            }
            "rotate_access_key" => {
                let key = identity::rotate(op, hub, GRACE).await?;
                json!({ "success": true, "newAccessKey": key.as_str() })
            }
            "users_changed" => self.changed(session, &Happening::Agents)?,
            "variables_changed" => self.changed(session, &Happening::Variables)?,
            "models_changed" => self.changed(session, &Happening::Models)?,
            "hosts_changed" => self.changed(session, &Happening::Hosts)?,
            _ => return self.ask_mail(op, hub, name, payload).await,
        };
        Ok(Some(answer))
    }

    /// Events about mail that is there.
    async fn ask_mail(
        &self,
        op: &Op,
        hub: &Hub,
        name: &str,
        payload: Option<&RawValue>,
    ) -> Result<Option<Value>> {
        let agents = &self.0.agents;
        let answer = match name {
            "mail_list" => {
                let asked: wire::MailList = read(payload)?;
                let wanted = Wanted {
                    kind: Some(asked.kind),
                    direction: asked.filter.map(|filter| match filter {
                        wire::MailListFilter::Received => Direction::Received,
                        wire::MailListFilter::Sent => Direction::Sent,
                    }),
                    participants: asked.with_user_ids.map(|with| self.participants(asked.user_id, &with)),
                    skip: asked.skip.unwrap_or_default().max(0),
                    limit: asked.take.unwrap_or(20).clamp(0, MOST),
                    ..Wanted::default()
                };
                let mails = mail::list(op, hub, agents, asked.user_id, &wanted).await?;
                let messages: Vec<Listed> = mails.into_iter().map(Listed::from).collect();
                json!({ "success": true, "messages": messages })
            }
            "mail_peek" => {
                let asked: wire::MailPeek = read(payload)?;
                let mail = mail::peek(op, hub, agents, asked.user_id, asked.message_id).await?;
                json!({ "success": true, "message": Message::from(mail) })
            }
            "mail_unread" => {
                let asked: wire::MailUnread = read(payload)?;
                if self.is_guest(op, asked.user_id) {
                    return Ok(Some(json!({ "success": true, "messages": [] })));
                }
                let wanted = Wanted {
                    kind: Some(asked.kind),
                    unread: true,
                    archived: true,
                    after: asked.after_id.filter(|after| *after > 0),
                    limit: MOST,
                    oldest_first: true,
                    ..Wanted::default()
                };
                let mails = mail::list(op, hub, agents, asked.user_id, &wanted).await?;
                let messages: Vec<Message> = mails.into_iter().map(Message::from).collect();
                json!({ "success": true, "messages": messages })
            }
            "mail_mark_read" => {
                let asked: wire::MailMarkRead = read(payload)?;
                mail::mark_read(op, hub, agents, asked.user_id, &asked.message_ids, asked.kind).await?;
                json!({ "success": true })
            }
            "mail_archive" => {
                let asked: wire::MailArchive = read(payload)?;
                match mail::archive(op, hub, agents, asked.user_id, &asked.message_ids).await? {
                    (_, Some(problem)) => failed(&problem),
                    (done, None) => json!({ "success": true, "archivedIds": done }),
                }
            }
            "mail_search" => {
                let asked: wire::MailSearch = read(payload)?;
                let (archived, subject) =
                    (asked.include_archived.unwrap_or(false), asked.subject_only.unwrap_or(false));
                let mails =
                    mail::find(op, hub, agents, asked.user_id, &asked.terms, archived, subject, 50).await?;
                let messages: Vec<Found> = mails.into_iter().map(Found::from).collect();
                json!({ "success": true, "messages": messages })
            }
            // It stands in the table, and here it does not.
            other => return Err(Error::internal(format!("nobody does what {other:?} asks for"))),
        };
        Ok(Some(answer))
    }

    /// Whether a host asks for a person whose mail is none of its affair. Every runner has one among its agents and asks for
    /// its mail, on a restricted host too, where it then has none.
    fn is_guest(&self, op: &Op, agent: i64) -> bool {
        let agents = &self.0.agents;
        let is_human = agents.directory().read().agent(agent).is_some_and(AgentRow::is_human);
        is_human && hosts::require_for(op, agents, agent).is_err()
    }

    /// The names of everybody in a conversation, as messages have them.
    fn participants(&self, agent: i64, with: &[i64]) -> String {
        let rows = self.0.agents.directory().read();
        let names = with.iter().chain([&agent]).filter_map(|id| rows.agent(*id));
        let names: std::collections::BTreeSet<&str> =
            names.map(crate::hub::directory::AgentRow::name).collect();
        names.into_iter().collect::<Vec<_>>().join(",")
    }

    /// A supervisor says that it changed something: everybody is told the lists again.
    fn changed(&self, session: &Session, what: &Happening) -> Result<Value> {
        if !session.is_supervisor() {
            return Err(Error::Forbidden("only a supervisor says that something was changed".to_owned()));
        }
        self.0.agents.live().tell(what);
        Ok(json!({ "success": true }))
    }

    fn heartbeat(&self, session: &Session, payload: Option<&RawValue>) -> Result<()> {
        let Some(host) = session.host else { return Ok(()) };
        let said = read::<wire::Heartbeat>(payload)?.agents();
        let agents = &self.0.agents;
        // It runs what it may run; whatever else it says gives it no right to anything.
        let allowed: Vec<i64> = {
            let rows = agents.directory().read();
            let may = |agent: &i64| {
                rows.agent(*agent).is_some_and(crate::hub::directory::AgentRow::is_human)
                    || rows.may_start_on(*agent, host)
                    || agents.live().is_active_on(*agent, host)
            };
            said.into_iter().filter(may).collect()
        };
        let (new, _) = agents.live().heartbeat(host, session.connection, &allowed);
        for agent in new {
            let suspended = agents.directory().read().agent(agent).and_then(|row| row.suspended.clone());
            if let Some(reason) = suspended {
                // It was suspended before it came here, or before the hub was started anew.
                Self::cost_control(&session.socket, agent, false, &reason);
            }
        }
        Ok(())
    }

    async fn logs(&self, op: &Op, hub: &Hub, session: &Session, payload: Option<&RawValue>) -> Result<()> {
        let batch: wire::Entries<wire::LogEntry> = read(payload)?;
        let line = |entry: wire::LogEntry| NewLogLine {
            key: RunKey { agent: entry.user_id, run: entry.run_id, session: entry.session_id },
            role: entry.role,
            source: entry.source,
            kind: entry.kind,
            message: entry.message,
            created_at: entry.created_at,
            attachment: entry.attachment_id,
        };
        let lines = batch.entries.into_iter().map(line).collect();
        let left_out = runs::write_logs(op, hub, &self.0.agents, session.host, lines).await?;
        if left_out > 0 {
            tracing::warn!(
                host = session.name,
                left_out,
                "lines of agents that do not run there were left out"
            );
        }
        Ok(())
    }

    async fn costs(
        &self,
        op: &Op,
        hub: &Arc<Hub>,
        session: &Session,
        payload: Option<&RawValue>,
    ) -> Result<Value> {
        let batch: wire::Entries<wire::CostEntry> = read(payload)?;
        let entry = |entry: wire::CostEntry| CostEntry {
            key: RunKey { agent: entry.user_id, run: entry.run_id, session: entry.session_id },
            source: entry.source,
            model: entry.model,
            cost: Nanodollars::from_dollars(entry.cost),
            input: entry.input_tokens,
            output: entry.output_tokens,
            cache_write: entry.cache_write_tokens,
            cache_read: entry.cache_read_tokens,
        };
        let batch = CostBatch {
            host: session.host,
            entries: batch.entries.into_iter().map(entry).collect(),
            number: None,
            may_be_again: session.may_be_again.load(Ordering::Relaxed),
        };
        let agents = &self.0.agents;
        let whose = runs::write_costs(op, hub, agents, batch).await?;
        session.may_be_again.store(false, Ordering::Relaxed);
        crate::hub::budgets::review_of(hub, agents, &whose).await?;
        for agent in &whose {
            let suspended =
                agents.directory().read().agent(*agent).is_some_and(|row| row.suspended.is_some());
            if suspended {
                Self::cost_control(&session.socket, *agent, false, "Spend limit exceeded");
            }
        }
        let left = |agent: &i64| {
            let left = agents.budgets().left(*agent).map(Nanodollars::dollars);
            json!({ "userId": agent, "budgetLeft": left })
        };
        Ok(json!({ "budgets": whose.iter().map(left).collect::<Vec<_>>() }))
    }

    async fn relay(&self, op: &Op, hub: &Arc<Hub>, host: Option<i64>, asked: Relay) -> Result<Answer> {
        let agents = &self.0.agents;
        match asked {
            Relay::Start(asked) => {
                let agent = asked.start_user_id;
                let Some(requester) = asked.requester_user_id.filter(|id| *id != 0) else {
                    return Err(Error::Conflict(format!(
                        "Missing requesterUserId in agent_start request for user {agent}"
                    )));
                };
                let start = Start {
                    agent,
                    requester: Some(requester),
                    task: asked.task_description,
                    from_host: host,
                    ..Start::default()
                };
                dispatch::start(op, hub, agents, start).await.map_err(worded)
            }
            Relay::Stop(asked) => {
                dispatch::stop(op, hub, agents, asked.user_id, &asked.reason, host).await.map_err(worded)
            }
            Relay::Peek(asked) => {
                dispatch::peek(op, agents, asked.user_id, asked.skip, asked.take, host).await.map_err(worded)
            }
        }
    }
}

/// In the words that NAISYS's hub has, and agents know.
fn worded(refusal: Refusal) -> Error {
    Error::Conflict(match refusal {
        Refusal::Disabled { agent, .. } => format!("Agent {agent} is disabled"),
        Refusal::Running { name } => format!("Agent '{name}' is already running"),
        Refusal::NoHost { agent, .. } => format!("No eligible hosts are online for user {agent}"),
        Refusal::NoRoom { agent, .. } => format!("No eligible host has room for user {agent}"),
        Refusal::Idle { agent, .. } => format!("Agent {agent} is not running on any known host"),
        Refusal::Lost { host } => format!("Failed to send to host {host}"),
        Refusal::Gone => "No target hosts are connected".to_owned(),
        Refusal::Other(error) => return error,
    })
}

/// What another host is asked for.
enum Relay {
    Start(wire::AgentStart),
    Stop(wire::AgentStop),
    Peek(wire::AgentPeek),
}

impl Relay {
    fn read(name: &str, payload: Option<&RawValue>) -> Result<Self> {
        match name {
            "agent_start" => read(payload).map(Self::Start),
            "agent_stop" => read(payload).map(Self::Stop),
            _ => read(payload).map(Self::Peek),
        }
    }
}

/// An answer, in NAISYS's shape.
fn answered(answer: &Answer) -> Value {
    let mut told = json!({ "success": answer.success });
    if let Some(error) = &answer.error {
        told["error"] = error.as_str().into();
    }
    if let Some(host) = &answer.host {
        told["hostname"] = host.as_str().into();
    }
    if let Some(lines) = &answer.lines {
        told["lines"] = json!(lines);
    }
    if let Some(total) = answer.total {
        told["totalLines"] = total.into();
    }
    told
}
