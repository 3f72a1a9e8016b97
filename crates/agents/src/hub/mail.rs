//! Mail and chat between agents: sending, reading, putting away, finding. Each sees only what is its own.

pub(super) mod conversations;
mod rates;
mod search;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::Op;
use nave_core::hub::store::{Act, Store, WriteGroup};
use time::OffsetDateTime;

pub(super) use self::rates::Rates;
pub(super) use self::search::{AT_ONCE, WordIndex, take_up};
pub(super) use self::store::MIGRATIONS;
use super::live::Happening;
use super::{Agents, MANAGE, hosts, kept};
use crate::api::{Attachment, Mail, MailHead, MailKind};

/// The most recipients of one message.
const MOST_RECIPIENTS: usize = 1000;
/// The longest subject, in bytes.
const LONGEST_SUBJECT: usize = 10_000;

/// A message that is to be sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Post {
    pub(super) from: i64,
    pub(super) to: Vec<i64>,
    pub(super) kind: MailKind,
    pub(super) subject: String,
    pub(super) body: String,
    /// Numbers of files that were brought before.
    pub(super) attachments: Vec<i64>,
    /// The host that it comes from.
    pub(super) host: Option<i64>,
}

/// A message that was sent.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) id: i64,
    pub(super) post: Post,
    pub(super) participants: String,
    pub(super) attachments: Vec<Attachment>,
    pub(super) created_at: OffsetDateTime,
}

/// Reads the greatest numbers, and finds again what the index of words has lost.
pub(super) async fn begin(op: &Op, hub: &Hub, agents: &Agents) -> Result<()> {
    access::require(op, MANAGE)?;
    let mut reader = hub.store.read().await?;
    agents.counters().mail.set(store::last_mail(&mut reader).await?);
    for (agent, kind, latest) in store::latest(&mut reader).await? {
        agents.live().set_latest(agent, |known| match kind {
            MailKind::Mail => known.mail = latest,
            MailKind::Chat => known.chat = latest,
        });
    }
    drop(reader);
    agents.word_index().set_behind();
    let taken = take_up(op, hub, agents, AT_ONCE).await?;
    if agents.word_index().is_behind() {
        tracing::warn!(taken, "many mails are not in the index of words: it is made while the hub runs");
    }
    Ok(())
}

/// Sends a message. When this returns, it is durable.
pub(super) async fn send(op: &Op, hub: &Hub, agents: &Agents, mut post: Post) -> Result<Arc<Posted>> {
    hosts::require_for(op, agents, post.from)?;
    let mut seen = BTreeSet::new();
    post.to.retain(|agent| seen.insert(*agent));
    if post.to.is_empty() || post.to.len() > MOST_RECIPIENTS {
        return Err(Error::invalid("to", format!("must name 1 to {MOST_RECIPIENTS} agents")));
    }
    if post.subject.len() > LONGEST_SUBJECT {
        return Err(Error::invalid("subject", format!("must be at most {LONGEST_SUBJECT} bytes")));
    }
    post.subject = kept(&post.subject).into_owned();
    post.body = kept(&post.body).into_owned();
    let participants = {
        let rows = agents.directory().read();
        let mut names = BTreeSet::new();
        for id in post.to.iter().chain([&post.from]) {
            let row = rows.agent(*id).ok_or_else(|| Error::not_found("agent", id.to_string()))?;
            names.insert(row.name().to_owned());
        }
        names.into_iter().collect::<Vec<_>>().join(",")
    };
    let mut attachments = store::attachments(&mut hub.store.read().await?, &post.attachments).await?;
    // Numbers can be guessed: what somebody else brought is not there.
    attachments.retain(|(_, whose, _)| hosts::require_for(op, agents, *whose).is_ok());
    let missing: Vec<String> = post
        .attachments
        .iter()
        .filter(|id| !attachments.iter().any(|(known, ..)| known == *id))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        return Err(Error::invalid("attachments", format!("Attachments not found: {}", missing.join(", "))));
    }
    agents.rates().take(agents, post.from, "mails", op.clock.now())?;
    let posted = Arc::new(Posted {
        id: agents.counters().mail.next(),
        participants,
        attachments: attachments.into_iter().map(|(.., attachment)| attachment).collect(),
        created_at: op.clock.now(),
        post,
    });
    let writer = Writer { store: hub.store.clone(), agents: agents.clone() };
    agents.0.posts.write(&hub.tasks, writer, Arc::clone(&posted)).await?;
    Ok(posted)
}

struct Writer {
    store: Store,
    agents: Agents,
}

impl WriteGroup<Arc<Posted>> for Writer {
    fn begin(&self) -> BoxFuture<'_, Result<Act>> {
        self.store.begin().boxed()
    }

    fn write<'a>(&'a self, mut act: Act, group: &'a [Arc<Posted>]) -> BoxFuture<'a, Result<()>> {
        async move {
            store::insert(&mut act, group).await?;
            search::insert(&mut act, &self.agents, group).await?;
            let (agents, group) = (self.agents.clone(), group.to_vec());
            act.after_commit(move || {
                for posted in group {
                    for agent in &posted.post.to {
                        agents.live().set_latest(*agent, |latest| match posted.post.kind {
                            MailKind::Mail => latest.mail = posted.id,
                            MailKind::Chat => latest.chat = posted.id,
                        });
                    }
                    agents.live().tell(&Happening::Status);
                    agents.live().tell(&Happening::Mail(posted));
                }
            });
            act.commit().await
        }
        .boxed()
    }
}

/// Which messages of an agent are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) kind: Option<MailKind>,
    /// Those that it was sent, or those that it sent.
    pub(super) direction: Option<Direction>,
    pub(super) unread: bool,
    pub(super) archived: bool,
    /// Those in which exactly these take part, by their names as [`Posted::participants`] has them.
    pub(super) participants: Option<String>,
    pub(super) before: Option<i64>,
    pub(super) after: Option<i64>,
    pub(super) skip: i64,
    pub(super) limit: i64,
    /// The oldest first.
    pub(super) oldest_first: bool,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the agent.
    Received,
    /// From the agent.
    Sent,
}

/// Messages of an agent.
pub(super) async fn list(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    agent: i64,
    wanted: &Wanted,
) -> Result<Vec<Mail>> {
    hosts::require_for(op, agents, agent)?;
    let mut reader = hub.store.read().await?;
    let rows = store::list(&mut reader, agent, wanted).await?;
    complete(&mut reader, agents, rows).await
}

/// A message of an agent.
pub(super) async fn peek(op: &Op, hub: &Hub, agents: &Agents, agent: i64, id: i64) -> Result<Mail> {
    hosts::require_for(op, agents, agent)?;
    let mut reader = hub.store.read().await?;
    let rows = store::by_ids(&mut reader, agent, &[id]).await?;
    complete(&mut reader, agents, rows).await?.pop().ok_or_else(|| not_found(id))
}

fn not_found(id: i64) -> Error {
    Error::NotFound { kind: "message", name: id.to_string() }
}

/// Messages of an agent in which words stand, the newest first.
#[expect(clippy::too_many_arguments, reason = "what a search names")]
pub(super) async fn find(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    agent: i64,
    terms: &str,
    archived: bool,
    subject_only: bool,
    limit: i64,
) -> Result<Vec<Mail>> {
    hosts::require_for(op, agents, agent)?;
    let mut reader = hub.store.read().await?;
    let ids =
        search::find(&mut reader, hub.store.engine(), Some(agent), terms, archived, subject_only, limit)
            .await?;
    let rows = store::by_ids(&mut reader, agent, &ids).await?;
    complete(&mut reader, agents, rows).await
}

/// Adds recipients and files.
async fn complete(
    reader: &mut nave_core::hub::store::Reader,
    agents: &Agents,
    rows: Vec<store::MailRow>,
) -> Result<Vec<Mail>> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let recipients = store::recipients(reader, &ids).await?;
    let mut files = store::attachments_of(reader, &ids).await?;
    let directory = agents.directory().read();
    let name = |id: i64| directory.agent(id).map(|row| row.name().to_owned()).unwrap_or_default();
    let mail = |row: store::MailRow| Mail {
        head: MailHead {
            id: row.id,
            kind: row.kind,
            from: name(row.from),
            from_title: directory.agent(row.from).map(|row| row.config.title.clone()).unwrap_or_default(),
            to: recipients.get(&row.id).into_iter().flatten().map(|id| name(*id)).collect(),
            subject: row.subject,
            created_at: row.created_at,
            unread: row.unread,
            attachments: files.remove(&row.id).unwrap_or_default(),
        },
        body: row.body,
    };
    Ok(rows.into_iter().map(mail).collect())
}

/// Notes that an agent has read messages.
pub(super) async fn mark_read(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    agent: i64,
    ids: &[i64],
    kind: MailKind,
) -> Result<()> {
    hosts::require_for(op, agents, agent)?;
    let mut act = hub.store.begin().await?;
    let changed = store::mark_read(&mut act, agent, ids, op.clock.now()).await?;
    let participants = if changed > 0 { store::participants(&mut act, ids).await? } else { Vec::new() };
    act.commit().await?;
    if changed > 0 {
        let (ids, participants) = (ids.into(), participants.into());
        agents.live().tell(&Happening::MailRead { agent, ids, kind, participants });
    }
    Ok(())
}

/// Puts messages away; which were put away. The first that the agent does not have ends it, and those before it stay put
/// away.
pub(super) async fn archive(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    agent: i64,
    ids: &[i64],
) -> Result<(Vec<i64>, Option<Error>)> {
    hosts::require_for(op, agents, agent)?;
    let mut act = hub.store.begin().await?;
    let mut done = Vec::with_capacity(ids.len());
    let mut problem = None;
    for id in ids {
        if !store::archive(&mut act, agent, *id, op.clock.now()).await? {
            problem = Some(not_found(*id));
            break;
        }
        done.push(*id);
    }
    act.commit().await?;
    Ok((done, problem))
}

/// The agents that may run and have something to read.
pub(super) async fn unread(op: &Op, hub: &Hub) -> Result<Vec<i64>> {
    access::require(op, MANAGE)?;
    store::unread(&mut hub.store.read().await?).await
}
