//! What clients are told without having asked. Lists are told after a short while, so that a thousand changes are told once;
//! mail, logs and the like at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use nave_core::hub::error::Result;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::super::socket_io::{Prepared, Socket};
use super::wire::{files, stamp};
use super::{Inner, Naisys};
use crate::api::{LogSource, LogType, MailKind, RunKey};
use crate::hub::live::{Happening, Hears};
use crate::hub::mail::Posted;
use crate::hub::runs::{LogBatch, Opened, line_count};

/// How long changes of lists are gathered, and for how much longer for each connection: all of them are told of each host, so
/// that a farm which comes back at once would otherwise hear of nothing else.
const GATHER: Duration = Duration::from_millis(200);
const GATHER_FOR_EACH: Duration = Duration::from_millis(3);
/// How long changes of what runs where are gathered, as the original does.
const GATHER_STATUS: Duration = Duration::from_millis(500);
/// How many sessions' last lines are known; supervisors ask for what they miss.
const MOST_SESSIONS: usize = 100_000;

/// What is to be told.
#[derive(Default)]
pub(super) struct Pushes {
    hosts: AtomicBool,
    variables: AtomicBool,
    models: AtomicBool,
    agents: AtomicBool,
    status: AtomicBool,
    changed: Arc<Notify>,
    /// The last line of each session that supervisors were told.
    last_lines: Mutex<HashMap<RunKey, i64>>,
}

impl Pushes {
    fn mark(&self, what: &AtomicBool) {
        what.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

impl Hears for Naisys {
    fn hear(&self, happening: &Happening) {
        let pushes = &self.0.pushes;
        match happening {
            Happening::Agents => {
                pushes.mark(&pushes.agents);
                // A restricted host needs other variables with other agents.
                pushes.mark(&pushes.variables);
            }
            Happening::Hosts => pushes.mark(&pushes.hosts),
            Happening::Variables => {
                self.0.lists.forget_settings();
                pushes.mark(&pushes.variables);
            }
            Happening::Models => {
                self.0.lists.forget_settings();
                pushes.mark(&pushes.models);
                pushes.mark(&pushes.variables);
            }
            Happening::Status => pushes.mark(&pushes.status),
            Happening::Mail(posted) => self.push_mail(posted),
            Happening::MailRead { agent, ids, kind, participants } => {
                let push = json!({
                    "messageIds": &**ids,
                    "userId": agent,
                    "kind": kind.word(),
                    "participants": &**participants,
                });
                self.to_supervisors("mail_read_push", || push);
            }
            Happening::Logs(batch) => self.push_logs(batch),
            Happening::Costs(sums) => self.to_supervisors("cost_push", || {
                let entry = |(key, sum): &(RunKey, crate::api::Nanodollars)| {
                    let RunKey { agent, run, session } = key;
                    json!({ "userId": agent, "runId": run, "sessionId": session, "costDelta": sum.dollars() })
                };
                json!({ "entries": sums.iter().map(entry).collect::<Vec<_>>() })
            }),
            Happening::Session(opened) => self.to_supervisors("session_push", || session(opened)),
            Happening::Budget { agent, enabled, reason } => {
                for host in self.0.agents.live().hosts_of(*agent) {
                    let socket = self.connected().hosts.get(&host).map(|there| there.socket.clone());
                    if let Some(socket) = socket {
                        Self::cost_control(&socket, *agent, *enabled, reason);
                    }
                }
            }
        }
    }
}

fn session(opened: &Opened) -> Value {
    let at = stamp(opened.created_at);
    json!({ "session": {
        "userId": opened.key.agent, "runId": opened.key.run, "sessionId": opened.key.session,
        "modelName": opened.model, "createdAt": at, "lastActive": at,
        "latestLogId": 0, "totalLines": 0, "totalCost": 0,
    } })
}

impl Naisys {
    /// Tells an agent's host whether it may spend something. Who has ended misses nothing: it is told when it comes again.
    pub(super) fn cost_control(socket: &Socket, agent: i64, enabled: bool, reason: &str) {
        let _ =
            socket.emit("cost_control", &json!({ "userId": agent, "enabled": enabled, "reason": reason }));
    }

    /// Tells all supervisors, if there are any.
    fn to_supervisors(&self, event: &str, payload: impl FnOnce() -> Value) {
        let supervisors: Vec<Socket> =
            self.connected().supervisors.values().map(|there| there.socket.clone()).collect();
        if supervisors.is_empty() {
            return;
        }
        let prepared = Prepared::new(event, &payload());
        for socket in supervisors {
            let _ = socket.emit_prepared(&prepared);
        }
    }

    fn push_mail(&self, posted: &Posted) {
        let live = self.0.agents.live();
        let hosts: std::collections::BTreeSet<i64> =
            posted.post.to.iter().flat_map(|agent| live.hosts_of(*agent)).collect();
        if !hosts.is_empty() {
            let received = json!({ "recipientUserIds": posted.post.to, "kind": posted.post.kind.word() });
            let received = Prepared::new("mail_received", &received);
            let connected = self.connected();
            for there in hosts.iter().filter_map(|host| connected.hosts.get(host)) {
                let _ = there.socket.emit_prepared(&received);
            }
        }
        self.to_supervisors("mail_push", || {
            let mut push = json!({
                "recipientUserIds": posted.post.to,
                "fromUserId": posted.post.from,
                "kind": posted.post.kind.word(),
                "messageId": posted.id,
                "body": posted.post.body,
                "createdAt": stamp(posted.created_at),
                "participants": posted.participants,
            });
            if posted.post.kind == MailKind::Mail {
                push["subject"] = posted.post.subject.as_str().into();
            }
            if let Some(files) = files(&posted.attachments) {
                push["attachments"] = json!(files);
            }
            push
        });
    }

    fn push_logs(&self, batch: &LogBatch) {
        let supervisors: Vec<Socket> =
            self.connected().supervisors.values().map(|there| there.socket.clone()).collect();
        let mut last = self.0.pushes.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() > MOST_SESSIONS {
            last.clear();
        }
        let mut updates: BTreeMap<RunKey, (i64, i64)> = BTreeMap::new();
        let mut entries = Vec::with_capacity(batch.lines.len());
        for numbered in &batch.lines {
            let line = &numbered.line;
            let previous = last.insert(line.key, numbered.id);
            let update = updates.entry(line.key).or_default();
            *update = (numbered.id, update.1 + line_count(&line.message));
            let mut entry = json!({
                "id": numbered.id,
                "previousId": previous,
                "userId": line.key.agent,
                "runId": line.key.run,
                "sessionId": line.key.session,
                "role": line.role.word(),
                "source": line.source.map(LogSource::word),
                "type": line.kind.map(LogType::word),
                "message": line.message,
                "createdAt": stamp(line.created_at),
            });
            if let Some(file) = line.attachment.and_then(|file| batch.files.get(&file)) {
                entry["attachmentId"] = file.id.as_str().into();
                entry["attachmentFilename"] = file.filename.as_str().into();
                entry["attachmentFileSize"] = file.size.into();
            }
            entries.push(entry);
        }
        drop(last);
        if supervisors.is_empty() {
            // Whoever comes later is told by the number before that it missed something.
            return;
        }
        let at = stamp(batch.at);
        let update = |(key, (latest, lines)): (RunKey, (i64, i64))| {
            json!({
                "userId": key.agent, "runId": key.run, "sessionId": key.session,
                "lastActive": at, "latestLogId": latest, "totalLinesDelta": lines,
            })
        };
        let updates: Vec<Value> = updates.into_iter().map(update).collect();
        let prepared = Prepared::new("log_push", &json!({ "entries": entries, "sessionUpdates": updates }));
        for socket in supervisors {
            let _ = socket.emit_prepared(&prepared);
        }
    }

    fn to_all(&self, prepared: &Prepared) {
        for (_, socket) in self.everybody() {
            let _ = socket.emit_prepared(prepared);
        }
    }

    /// All connections: hosts, and supervisors without one.
    fn everybody(&self) -> Vec<(Option<i64>, Socket)> {
        let connected = self.connected();
        let hosts = connected.hosts.iter().map(|(host, there)| (Some(*host), there.socket.clone()));
        hosts.chain(connected.supervisors.values().map(|there| (None, there.socket.clone()))).collect()
    }

    async fn push_lists(&self) -> Result<()> {
        let (hub, pushes) = (&self.hub()?, &self.0.pushes);
        let is_due = |what: &AtomicBool| what.swap(false, Ordering::AcqRel);
        if is_due(&pushes.hosts) {
            self.to_all(&self.hosts_list());
        }
        if is_due(&pushes.models) {
            self.to_all(&self.models_list(hub).await?);
        }
        if is_due(&pushes.variables) {
            // Most hosts are told the same.
            for (host, socket) in self.everybody() {
                let _ = socket.emit_prepared(&self.variables_list(hub, host).await?);
            }
        }
        if is_due(&pushes.agents) {
            let mut written: HashMap<Vec<i64>, Prepared> = HashMap::new();
            for (host, socket) in self.everybody() {
                let own = self.own_agents(host);
                let list = match written.get(&own) {
                    Some(list) => list.clone(),
                    None => self.agents_list_for(hub, &own).await?,
                };
                let _ = socket.emit_prepared(&list);
                written.insert(own, list);
            }
        }
        Ok(())
    }
}

/// Tells lists that changed, as long as the dialect is there.
pub(super) async fn push_changes(naisys: Weak<Inner>) {
    let Some(changed) = naisys.upgrade().map(|inner| Arc::clone(&inner.pushes.changed)) else { return };
    let mut told = String::new();
    let mut status_due = tokio::time::Instant::now();
    loop {
        changed.notified().await;
        let connections = naisys.upgrade().map_or(0, |inner| Naisys(inner).connections());
        tokio::time::sleep(GATHER + GATHER_FOR_EACH * connections).await;
        let Some(naisys) = naisys.upgrade().map(Naisys) else { return };
        if let Err(error) = naisys.push_lists().await {
            tracing::warn!(%error, "runners are not told of a change yet");
            changed.notify_one();
        }
        let is_due = &naisys.0.pushes.status;
        if !is_due.load(Ordering::Acquire) {
            continue;
        }
        if tokio::time::Instant::now() < status_due {
            changed.notify_one();
            continue;
        }
        is_due.store(false, Ordering::Release);
        status_due = tokio::time::Instant::now() + GATHER_STATUS;
        let status = naisys.status();
        let text = status.to_string();
        if text != told {
            told = text;
            naisys.to_all(&Prepared::new("agents_status", &status));
        }
    }
}
