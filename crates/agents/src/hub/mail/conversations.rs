//! Conversations as those see them who watch over all agents: who writes with whom, and who has not read what.

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::op::Op;

use super::store::{self, conversations};
use super::{complete, search};
use crate::api::{Conversation, Letter};
use crate::hub::{Agents, MANAGE};

/// The conversations in which something was written last, the newest first: all of them, or those of one agent, without what
/// it put away. `before` is the number of the last message of the one after which to go on.
pub(in crate::hub) async fn list(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    mailbox: Option<i64>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Conversation>> {
    access::require(op, MANAGE)?;
    let mut reader = hub.store.read().await?;
    let before = before.unwrap_or(i64::MAX);
    let tallies = match mailbox {
        Some(agent) => conversations::of_agent(&mut reader, agent, before, limit).await?,
        None => conversations::of_all(&mut reader, before, limit).await?,
    };
    let last: Vec<i64> = tallies.iter().map(|tally| tally.last).collect();
    let mut heads = conversations::heads(&mut reader, &last).await?;
    let rows = agents.directory().read();
    let told = |tally: conversations::Tally| {
        let head = heads.remove(&tally.last)?;
        Some(Conversation {
            participants: head.participants,
            last: tally.last,
            count: tally.count,
            unread: tally.unread,
            kind: head.kind,
            from: rows.agent(head.from).map(|row| row.name().to_owned()).unwrap_or_default(),
            subject: head.subject,
            begins: head.begins,
            created_at: head.created_at,
        })
    };
    Ok(tallies.into_iter().filter_map(told).collect())
}

/// The messages of a conversation, the newest first.
pub(in crate::hub) async fn show(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    participants: &str,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Letter>> {
    access::require(op, MANAGE)?;
    let mut reader = hub.store.read().await?;
    let rows = conversations::of(&mut reader, participants, before.unwrap_or(i64::MAX), limit).await?;
    letters(&mut reader, agents, rows).await
}

/// The newest messages of everybody in which words stand.
pub(in crate::hub) async fn find(
    op: &Op,
    hub: &Hub,
    agents: &Agents,
    mailbox: Option<i64>,
    terms: &str,
    limit: u32,
) -> Result<Vec<Letter>> {
    access::require(op, MANAGE)?;
    let mut reader = hub.store.read().await?;
    let limit = i64::from(limit);
    let ids = search::find(&mut reader, hub.store.engine(), mailbox, terms, true, false, limit).await?;
    let rows = conversations::by_ids(&mut reader, &ids).await?;
    letters(&mut reader, agents, rows).await
}

async fn letters(
    reader: &mut nave_core::hub::store::Reader,
    agents: &Agents,
    rows: Vec<store::MailRow>,
) -> Result<Vec<Letter>> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mails = complete(reader, agents, rows).await?;
    let mut unread = conversations::unread_by(reader, &ids).await?;
    let mut heads = conversations::heads(reader, &ids).await?;
    let rows = agents.directory().read();
    let named = |mail: crate::api::Mail| {
        let unread = unread.remove(&mail.head.id).unwrap_or_default().into_iter();
        Letter {
            participants: heads.remove(&mail.head.id).map(|head| head.participants).unwrap_or_default(),
            unread_by: unread.filter_map(|id| rows.agent(id)).map(|row| row.name().to_owned()).collect(),
            mail,
        }
    };
    Ok(mails.into_iter().map(named).collect())
}
