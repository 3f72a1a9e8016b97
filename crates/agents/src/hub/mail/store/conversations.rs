//! Statements over mails by conversation, whoever is in them.

use std::collections::HashMap;

use nave_core::clock::from_millis;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::store::{Reader, in_sizes};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use time::OffsetDateTime;

use super::{MailRow, mail, numbers};
use crate::api::MailKind;

/// How much of a body is read to show how it begins.
const BEGINS: usize = 200;

/// How much there is in a conversation.
pub(in crate::hub::mail) struct Tally {
    /// Its last mail.
    pub(in crate::hub::mail) last: i64,
    pub(in crate::hub::mail) count: i64,
    /// How many of them the agent whose mailbox it is has still to read.
    pub(in crate::hub::mail) unread: i64,
}

/// The conversations of an agent, as far as it did not put them away.
pub(in crate::hub::mail) async fn of_agent(
    reader: &mut Reader,
    agent: i64,
    before: i64,
    limit: u32,
) -> Result<Vec<Tally>> {
    let rows = sqlx::query(
        "SELECT MAX(m.id), COUNT(*), \
         CAST(SUM(CASE WHEN r.role = 'to' AND r.read_at IS NULL THEN 1 ELSE 0 END) AS BIGINT) \
         FROM agents_recipients r JOIN agents_mails m ON m.id = r.mail_id \
         WHERE r.agent_id = $1 AND r.archived_at IS NULL GROUP BY m.participants \
         HAVING MAX(m.id) < $2 ORDER BY 1 DESC LIMIT $3",
    );
    let rows = rows.bind(agent).bind(before).bind(i64::from(limit)).fetch_all(&mut **reader).await?;
    rows.iter().map(tally).collect()
}

fn tally(row: &AnyRow) -> Result<Tally> {
    Ok(Tally { last: row.try_get(0)?, count: row.try_get(1)?, unread: row.try_get(2)? })
}

/// All conversations. Their names are found one after the other in the index, however many mails each of them has.
pub(in crate::hub::mail) async fn of_all(reader: &mut Reader, before: i64, limit: u32) -> Result<Vec<Tally>> {
    let rows = sqlx::query(
        "WITH RECURSIVE named (who) AS (SELECT MIN(participants) FROM agents_mails UNION ALL \
         SELECT (SELECT MIN(m.participants) FROM agents_mails m WHERE m.participants > named.who) \
         FROM named WHERE named.who IS NOT NULL), \
         newest (last) AS (SELECT (SELECT MAX(m.id) FROM agents_mails m WHERE m.participants = named.who) \
         FROM named WHERE named.who IS NOT NULL) \
         SELECT last FROM newest WHERE last < $1 ORDER BY last DESC LIMIT $2",
    );
    let rows = rows.bind(before).bind(i64::from(limit)).fetch_all(&mut **reader).await?;
    let last: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let mut tallies = Vec::with_capacity(last.len());
    for last in in_sizes(&last) {
        let sql = format!(
            "SELECT m.id, (SELECT COUNT(*) FROM agents_mails c WHERE c.participants = m.participants), \
             CAST(0 AS BIGINT) FROM agents_mails m WHERE m.id IN ({}) ORDER BY m.id DESC",
            numbers(last)
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **reader).await?;
        tallies.extend(rows.iter().map(tally).collect::<Result<Vec<_>>>()?);
    }
    Ok(tallies)
}

/// A mail as lists of conversations show it.
pub(in crate::hub::mail) struct Head {
    pub(in crate::hub::mail) participants: String,
    pub(in crate::hub::mail) kind: MailKind,
    pub(in crate::hub::mail) from: i64,
    pub(in crate::hub::mail) subject: String,
    /// How its text begins.
    pub(in crate::hub::mail) begins: String,
    pub(in crate::hub::mail) created_at: OffsetDateTime,
}

/// Mails by their numbers.
pub(in crate::hub::mail) async fn heads(reader: &mut Reader, ids: &[i64]) -> Result<HashMap<i64, Head>> {
    let mut heads = HashMap::with_capacity(ids.len());
    for ids in in_sizes(ids) {
        let sql = format!(
            "SELECT id, participants, kind, from_id, subject, SUBSTR(body, 1, {BEGINS}), created_at \
             FROM agents_mails WHERE id IN ({})",
            numbers(ids)
        );
        for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **reader).await? {
            let kind: String = row.try_get(2)?;
            let head = Head {
                participants: row.try_get(1)?,
                kind: MailKind::from_word(&kind)
                    .ok_or_else(|| Error::internal(format!("a mail of kind {kind}")))?,
                from: row.try_get(3)?,
                subject: row.try_get(4)?,
                begins: row.try_get(5)?,
                created_at: from_millis(row.try_get(6)?),
            };
            heads.insert(row.try_get(0)?, head);
        }
    }
    Ok(heads)
}

const SELECT: &str = "SELECT m.id, m.kind, m.from_id, m.subject, m.body, m.created_at, CAST(0 AS BIGINT) AS unread \
    FROM agents_mails m";

/// The mails of a conversation, the newest first.
pub(in crate::hub::mail) async fn of(
    reader: &mut Reader,
    participants: &str,
    before: i64,
    limit: u32,
) -> Result<Vec<MailRow>> {
    let sql = format!("{SELECT} WHERE m.participants = $1 AND m.id < $2 ORDER BY m.id DESC LIMIT $3");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(participants).bind(before).bind(i64::from(limit));
    rows.fetch_all(&mut **reader).await?.iter().map(mail).collect()
}

/// Mails of whomever, the newest first.
pub(in crate::hub::mail) async fn by_ids(reader: &mut Reader, ids: &[i64]) -> Result<Vec<MailRow>> {
    let mut mails = Vec::with_capacity(ids.len());
    for ids in in_sizes(ids) {
        let sql = format!("{SELECT} WHERE m.id IN ({})", numbers(ids));
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **reader).await?;
        mails.extend(rows.iter().map(mail).collect::<Result<Vec<_>>>()?);
    }
    mails.sort_by_key(|row| std::cmp::Reverse(row.id));
    Ok(mails)
}

/// Who has mails still to read.
pub(in crate::hub::mail) async fn unread_by(
    reader: &mut Reader,
    ids: &[i64],
) -> Result<HashMap<i64, Vec<i64>>> {
    let mut unread: HashMap<i64, Vec<i64>> = HashMap::new();
    for ids in in_sizes(ids) {
        let sql = format!(
            "SELECT mail_id, agent_id FROM agents_recipients \
             WHERE role = 'to' AND read_at IS NULL AND mail_id IN ({}) ORDER BY mail_id, agent_id",
            numbers(ids)
        );
        for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **reader).await? {
            unread.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
        }
    }
    Ok(unread)
}
