//! Years of mail and logs, written into the database of a hub that does not run.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use nave_core::hub::store::{DatabaseUrl, Store};
use sqlx::{AssertSqlSafe, Row as _};

use crate::farm::Hub;

/// How many there are.
pub const MAILS: i64 = 1_000_000;
pub const LINES: i64 = 10_000_000;
/// How many are written together.
const TOGETHER: i64 = 100_000;
/// How many of the lines the quiet agent has, and how many of all there are in each run's time.
const QUIET: i64 = 1000;
const RUN: i64 = 1_000_000;

/// What is looked for.
pub const SEARCHES: [(&str, &[&str]); 4] = [
    ("a word of each", &["report"]),
    ("two words, of which one is rare", &["report w1999", "w19600 w12"]),
    ("the beginning of many words", &["w1", "w"]),
    ("what is nowhere", &["absent", "report absent"]),
];

/// Numbers from one on, as a table of SQL.
const NUMBERS: &str =
    "WITH RECURSIVE numbers (n) AS (VALUES ($1) UNION ALL SELECT n + 1 FROM numbers WHERE n < $2)";

/// Mails from each agent to the next, each with words of which few are common and many rare, and the logs of all agents but
/// the first, which has a few very old lines. The agents' numbers follow one another.
pub async fn write(data: &Path, agents: &[i64]) -> anyhow::Result<()> {
    let (first, count) = (agents[0], agents.len());
    ensure!(agents.iter().copied().eq(first..first + i64::try_from(count)?), "agents' numbers have gaps");
    let main = DatabaseUrl::in_folder(data);
    let bulk = main.bulk();

    let store = Store::connect(main).await?;
    let last = last(&store, "agents_mails").await?;
    let (from, to) = (format!("{first} + n % {count}"), format!("{first} + (n + 1) % {count}"));
    let participants = format!(
        "(SELECT group_concat(username) FROM (SELECT username FROM agents_agents WHERE id IN ({from}, {to}) ORDER BY username))"
    );
    // A word's number is the product of two that are drawn, so that small ones come often.
    let words = ["' w' || abs(random() % 140) * abs(random() % 140)"; 12].join(" || ");
    let mails = [
        format!(
            "INSERT INTO agents_mails (id, kind, from_id, participants, subject, body, created_at) \
             SELECT n, 'mail', {from}, {participants}, 'report ' || n, {words}, 1700000000000 + n FROM numbers"
        ),
        recipient(&from, "from"),
        recipient(&to, "to"),
    ];
    fill(&store, &mails, last, MAILS).await?;
    store.close().await;

    let store = Store::connect(bulk).await?;
    let last = self::last(&store, "agents_log_lines").await?;
    let (run, others) = (format!("1 + n / {RUN}"), count - 1);
    let whose = format!("CASE WHEN n < {} THEN {first} ELSE {first} + 1 + n % {others} END", last + QUIET);
    let lines = [
        format!(
            "INSERT INTO agents_log_lines (id, agent_id, run, session, role, source, kind, message, created_at) \
             SELECT n, {whose}, {run}, 1, 'NAISYS', 'console', 'comment', \
             'what an agent says of its work, in a hundred letters or so, as is usual: this is line ' || n, \
             1700000000000 + n FROM numbers"
        ),
        format!(
            "INSERT INTO agents_logs (agent_id, run, session, latest_id, lines, last_active_at) \
             SELECT {whose}, {run}, 1, MAX(n), COUNT(*), 1700000000000 + MAX(n) FROM numbers GROUP BY 1, 2 \
             ON CONFLICT (agent_id, run, session) DO UPDATE SET latest_id = excluded.latest_id, \
             lines = agents_logs.lines + excluded.lines"
        ),
    ];
    fill(&store, &lines, last, LINES).await?;
    store.close().await;
    Ok(())
}

fn recipient(agent: &str, role: &str) -> String {
    format!(
        "INSERT INTO agents_recipients (mail_id, agent_id, role, kind, read_at) \
         SELECT n, {agent}, '{role}', 'mail', 1800000000000 FROM numbers"
    )
}

async fn last(store: &Store, table: &str) -> anyhow::Result<i64> {
    let sql = format!("SELECT COALESCE(MAX(id), 0) FROM {table}");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *store.read().await?).await?;
    Ok(row.try_get(0)?)
}

/// Runs statements over the numbers after `last` up to `end`, some at a time.
async fn fill(store: &Store, statements: &[String], last: i64, end: i64) -> anyhow::Result<()> {
    let mut next = last + 1;
    while next <= end {
        let until = end.min(next + TOGETHER - 1);
        let mut act = store.begin().await?;
        for statement in statements {
            let sql = format!("{NUMBERS} {statement}");
            sqlx::query(AssertSqlSafe(sql)).bind(next).bind(until).execute(act.connection()).await?;
        }
        act.commit().await?;
        next = until + 1;
    }
    Ok(())
}

/// Waits until the hub has taken all mails up into its index.
pub async fn until_found(hub: &Hub) -> anyhow::Result<()> {
    let store = Store::connect(DatabaseUrl::in_folder(&hub.data())).await?;
    let sql = "SELECT COALESCE(MAX(rowid), 0) FROM agents_mail_derived";
    for _ in 0..600 {
        let row = sqlx::query(sql).fetch_one(&mut *store.read().await?).await?;
        if row.try_get::<i64, _>(0)? >= MAILS {
            store.close().await;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::bail!("mails are not in the index after ten minutes")
}
