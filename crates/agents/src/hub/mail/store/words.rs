//! The index of words of mails: FTS5 in SQLite, a text search vector in PostgreSQL. A mail is found by the beginnings of all
//! words that are asked for, in whatever order; each mail also has the numbers of those who are in it, as words of their own
//! column or weight, so that nobody finds, or searches through, what is not theirs.

use std::collections::HashMap;
use std::sync::Arc;

use nave_core::hub::error::Result;
use nave_core::hub::store::{Act, Engine, Reader, in_sizes, rows_of_placeholders};
use sqlx::Row as _;

use crate::hub::mail::Posted;

/// Takes up new mails.
pub(in crate::hub::mail) async fn insert(act: &mut Act, group: &[Arc<Posted>]) -> Result<()> {
    let documents: Vec<Document<'_>> = group
        .iter()
        .map(|posted| Document {
            id: posted.id,
            who: who(posted.post.to.iter().chain([&posted.post.from])),
            subject: &posted.post.subject,
            body: &posted.post.body,
        })
        .collect();
    write(act, &documents).await
}

struct Document<'a> {
    id: i64,
    who: String,
    subject: &'a str,
    body: &'a str,
}

fn who<'a>(agents: impl Iterator<Item = &'a i64>) -> String {
    agents.map(|agent| format!("u{agent}")).collect::<Vec<_>>().join(" ")
}

async fn write(act: &mut Act, documents: &[Document<'_>]) -> Result<()> {
    for rows in in_sizes(documents) {
        let sql = match act.engine() {
            Engine::Sqlite => format!(
                "INSERT INTO agents_mail_derived (rowid, who, subject, body) VALUES {}",
                rows_of_placeholders(act.engine(), rows.len(), 4)
            ),
            Engine::Postgres => {
                let row = |row: usize| {
                    let at = row * 4;
                    format!(
                        "(${}, setweight(to_tsvector('simple', ${}), 'A') || setweight(to_tsvector('simple', ${}), 'B') \
                         || setweight(to_tsvector('simple', ${}), 'C'))",
                        at + 1,
                        at + 2,
                        at + 3,
                        at + 4
                    )
                };
                let rows: Vec<String> = (0..rows.len()).map(row).collect();
                format!("INSERT INTO agents_mail_derived (mail_id, words) VALUES {}", rows.join(", "))
            }
        };
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for document in rows {
            query = query.bind(document.id).bind(&document.who).bind(document.subject);
            query = query.bind(shortened(document.body));
        }
        query.execute(act.connection()).await?;
    }
    Ok(())
}

/// PostgreSQL's vectors hold less than a megabyte; nobody looks for what stands further behind.
fn shortened(body: &str) -> &str {
    const LONGEST: usize = 256 << 10;
    let end = (0..=LONGEST.min(body.len())).rev().find(|end| body.is_char_boundary(*end)).unwrap_or(0);
    &body[..end]
}

/// The last mail that the index has.
pub(in crate::hub::mail) async fn last(act: &mut Act) -> Result<i64> {
    let sql = match act.engine() {
        Engine::Sqlite => "SELECT COALESCE(MAX(rowid), 0) FROM agents_mail_derived",
        Engine::Postgres => "SELECT COALESCE(MAX(mail_id), 0) FROM agents_mail_derived",
    };
    Ok(sqlx::query(sql).fetch_one(act.connection()).await?.try_get(0)?)
}

/// Whether mails were written behind that one that would be passed over if these were taken up now.
pub(in crate::hub::mail) async fn lacks(act: &mut Act, last: i64, group: &[Arc<Posted>]) -> Result<bool> {
    let Some(end) = group.iter().map(|posted| posted.id).max() else { return Ok(false) };
    let rows = sqlx::query("SELECT COUNT(*) FROM agents_mails WHERE id > $1 AND id <= $2");
    let count: i64 = rows.bind(last).bind(end).fetch_one(act.connection()).await?.try_get(0)?;
    let own = group.iter().filter(|posted| posted.id > last).count();
    Ok(usize::try_from(count).unwrap_or(usize::MAX) > own)
}

/// Takes up at most so many of the mails that come after the last one that was; how many.
pub(in crate::hub::mail) async fn take_up(act: &mut Act, limit: i64) -> Result<usize> {
    let last = last(act).await?;
    let sql = "SELECT id, subject, body FROM agents_mails WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = sqlx::query(sql).bind(last).bind(limit).fetch_all(act.connection()).await?;
    let mut mails: Vec<(i64, String, String)> = Vec::with_capacity(rows.len());
    for row in &rows {
        mails.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    }
    let Some((end, ..)) = mails.last() else { return Ok(0) };
    let rows =
        sqlx::query("SELECT mail_id, agent_id FROM agents_recipients WHERE mail_id > $1 AND mail_id <= $2");
    let rows = rows.bind(last).bind(*end).fetch_all(act.connection()).await?;
    let mut agents: HashMap<i64, Vec<i64>> = HashMap::with_capacity(mails.len());
    for row in &rows {
        agents.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
    }
    let documents: Vec<Document<'_>> = mails
        .iter()
        .map(|(id, subject, body)| Document {
            id: *id,
            who: who(agents.get(id).into_iter().flatten()),
            subject,
            body,
        })
        .collect();
    write(act, &documents).await?;
    Ok(documents.len())
}

/// The words of a question: letters and digits.
fn words(terms: &str) -> Vec<String> {
    const MOST: usize = 16;
    let words = terms.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(MOST).map(str::to_lowercase).collect()
}

/// The newest mails in which all words stand, or begin: those of an agent, or of everybody.
pub(in crate::hub::mail) async fn find(
    reader: &mut Reader,
    engine: Engine,
    agent: Option<i64>,
    terms: &str,
    archived: bool,
    subject_only: bool,
    limit: i64,
) -> Result<Vec<i64>> {
    let words = words(terms);
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let archived = if archived { "" } else { "AND r.archived_at IS NULL" };
    let (id, is_found, question) = match engine {
        Engine::Sqlite => {
            let columns = if subject_only { "subject" } else { "subject body" };
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\" *")).collect();
            let who = agent.map(|agent| format!("who : \"u{agent}\" AND ")).unwrap_or_default();
            let question = format!("{who}{{{columns}}} : ({})", words.join(" AND "));
            ("w.rowid", "agents_mail_derived MATCH $1", question)
        }
        Engine::Postgres => {
            let weights = if subject_only { "B" } else { "BC" };
            let words: Vec<String> = words.iter().map(|word| format!("'{word}':*{weights}")).collect();
            let who = agent.map(|agent| format!("'u{agent}':A & ")).unwrap_or_default();
            let question = format!("{who}{}", words.join(" & "));
            ("w.mail_id", "w.words @@ to_tsquery('simple', $1)", question)
        }
    };
    let join = match (agent, engine) {
        (None, _) => String::new(),
        // SQLite shall begin with the words, whatever it takes for shorter.
        (Some(_), Engine::Sqlite) => {
            format!("CROSS JOIN agents_recipients r ON r.mail_id = {id} AND r.agent_id = $2 {archived}")
        }
        (Some(_), Engine::Postgres) => {
            format!("JOIN agents_recipients r ON r.mail_id = {id} AND r.agent_id = $2 {archived}")
        }
    };
    let sql = format!(
        "SELECT {id} FROM agents_mail_derived w {join} WHERE {is_found} ORDER BY {id} DESC LIMIT {limit}"
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(question);
    if let Some(agent) = agent {
        query = query.bind(agent);
    }
    let rows = query.fetch_all(&mut **reader).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_its_words_whatever_else_stands_in_it() {
        assert_eq!(words("Report, \"Q3\" (2026) OR NEAR*"), ["report", "q3", "2026", "or", "near"]);
        assert_eq!(words("' ; DROP"), ["drop"]);
        assert!(words(" -- ").is_empty());
        assert_eq!(words(&"a ".repeat(100)).len(), 16);
    }

    #[test]
    fn a_long_body_ends_between_two_letters() {
        let body = "ä".repeat(200_000);
        assert_eq!(shortened(&body).len(), 256 << 10);
        assert_eq!(shortened("kurz"), "kurz");
    }
}
