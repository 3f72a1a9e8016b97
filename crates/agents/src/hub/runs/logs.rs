//! The lines of logs: written batch by batch, read page by page.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::Op;
use nave_core::hub::store::{Act, Store, WriteGroup};
use time::OffsetDateTime;

use super::store;
use crate::api::{Attachment, LogFilter, LogLine, LogPage, NewLogLine, RunKey};
use crate::hub::live::Happening;
use crate::hub::{Agents, READ, hosts, kept, keys};

/// The most lines of one batch.
const MOST: usize = 10_000;

/// A line with its number.
#[derive(Clone, Debug)]
pub(in crate::hub) struct NumberedLine {
    pub(in crate::hub) id: i64,
    pub(in crate::hub) line: NewLogLine,
}

/// What a host brought in one message.
#[derive(Clone, Debug)]
pub(in crate::hub) struct LogBatch {
    pub(in crate::hub) host: Option<i64>,
    pub(in crate::hub) lines: Vec<NumberedLine>,
    /// The files that its lines name.
    pub(in crate::hub) files: HashMap<i64, Attachment>,
    /// When it came.
    pub(in crate::hub) at: OffsetDateTime,
    hash: String,
}

/// Writes a batch. Lines of agents for which whoever asks may not write are left out; how many that were is the answer.
pub(in crate::hub) async fn write_logs(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    host: Option<i64>,
    lines: Vec<NewLogLine>,
) -> Result<usize> {
    access::require(op, super::super::RUN)?;
    if lines.len() > MOST {
        return Err(Error::invalid("entries", format!("must be at most {MOST}")));
    }
    let mut may = BTreeMap::new();
    for line in &lines {
        let agent = line.key.agent;
        may.entry(agent).or_insert_with(|| hosts::require_to_run(op, agents, agent).is_ok());
    }
    let (lines, left_out): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| may[&line.key.agent]);
    if lines.is_empty() {
        return Ok(left_out.len());
    }
    let files: Vec<i64> = lines.iter().filter_map(|line| line.attachment).collect();
    let files = if files.is_empty() {
        HashMap::new()
    } else {
        store::files(&mut hub.store.read().await?, &files).await?
    };
    let hash = hash(&lines);
    let number = |mut line: NewLogLine| {
        line.message = kept(&line.message).into_owned();
        NumberedLine { id: agents.counters().line.next(), line }
    };
    let lines = lines.into_iter().map(number).collect();
    let batch = Arc::new(LogBatch { host, lines, files, at: op.clock.now(), hash });
    let writer = Writer { store: agents.bulk(hub).clone(), agents: agents.clone() };
    agents.0.logs.write(&hub.tasks, writer, batch).await?;
    Ok(left_out.len())
}

/// What makes two batches one.
fn hash(lines: &[NewLogLine]) -> String {
    let mut digest = Context::new(&SHA256);
    for line in lines {
        let RunKey { agent, run, session } = line.key;
        for number in [agent, run, session, line.created_at.unix_timestamp(), line.attachment.unwrap_or(-1)] {
            digest.update(&number.to_be_bytes());
        }
        digest.update(&line.created_at.nanosecond().to_be_bytes());
        digest.update(&(line.message.len() as u64).to_be_bytes());
        digest.update(line.message.as_bytes());
    }
    hex::encode(digest.finish())
}

struct Writer {
    store: Store,
    agents: Agents,
}

impl WriteGroup<Arc<LogBatch>> for Writer {
    fn begin(&self) -> BoxFuture<'_, Result<Act>> {
        self.store.begin().boxed()
    }

    fn write<'a>(&'a self, mut act: Act, group: &'a [Arc<LogBatch>]) -> BoxFuture<'a, Result<()>> {
        async move {
            let mut hashes = store::batch_hashes(&mut act, group).await?;
            let mut new: Vec<Arc<LogBatch>> = Vec::with_capacity(group.len());
            for batch in group {
                // What comes twice after a broken connection is there once.
                let again = batch.host.is_some_and(|host| {
                    hashes.insert(host, batch.hash.clone()).as_deref() == Some(batch.hash.as_str())
                });
                if !again {
                    new.push(Arc::clone(batch));
                }
            }
            store::insert_lines(&mut act, &new).await?;
            store::put_batch_hashes(&mut act, &hashes).await?;
            let agents = self.agents.clone();
            act.after_commit(move || {
                for batch in &new {
                    for line in &batch.lines {
                        agents.live().set_latest(line.line.key.agent, |latest| latest.log = line.id);
                    }
                    agents.live().tell(&Happening::Logs(Arc::clone(batch)));
                }
                agents.live().tell(&Happening::Status);
            });
            act.commit().await
        }
        .boxed()
    }
}

/// Lines of an agent's log, of one session or of all: the last ones before `before`, or the first ones after `after`.
pub async fn log(op: &Op, hub: &Hub, agents: &Agents, agent: &str, filter: &LogFilter) -> Result<LogPage> {
    access::require(op, READ)?;
    let id = agents.directory().read().agent_named(agent)?.id;
    log_of(op, hub, agents, id, filter).await
}

/// As [`log`], for the agent of a number.
pub(in crate::hub) async fn log_of(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    id: i64,
    filter: &LogFilter,
) -> Result<LogPage> {
    if keys::asking(op) != Some(id) {
        hosts::require_to_read(op, agents, id)?;
    }
    let limit = filter.limit.unwrap_or(200);
    if !(1..=1000).contains(&limit) {
        return Err(Error::invalid("limit", "must be from 1 to 1000"));
    }
    let session = filter.run.map(|run| (run, filter.session.unwrap_or(1)));
    let mut lines = {
        let mut reader = agents.bulk(hub).read().await?;
        store::lines(&mut reader, id, session, filter.before, filter.after, limit + 1).await?
    };
    let more = lines.len() > limit as usize;
    lines.truncate(limit as usize);
    if filter.after.is_none() {
        lines.reverse();
    }
    let files: Vec<i64> = lines.iter().filter_map(|(_, file)| *file).collect();
    let files = store::files(&mut hub.store.read().await?, &files).await?;
    let name = |(mut line, file): (LogLine, Option<i64>)| {
        line.attachment = file.and_then(|file| files.get(&file).map(|file| file.id.clone()));
        line
    };
    Ok(LogPage { lines: lines.into_iter().map(name).collect(), more })
}
