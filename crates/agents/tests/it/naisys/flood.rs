//! An agent that writes more mails than anybody can read, in one go: what the hub takes, what it refuses, and how others fare.

use std::collections::BTreeSet;

use anyhow::Context as _;
use nave_agents::api::MailFilter;
use nave_agents::hub::config::AgentsConfig;
use nave_agents::hub::letters;
use nave_testkit::need::need;
use serde_json::json;

use super::{Farm, Setup};

const MOCKY: i64 = 1;
const ADMIN: i64 = 2;
/// How many are written, and how many the hub takes in a minute.
const WRITTEN: usize = 10_000;
const TAKEN: u32 = 2_000;
/// How long each is, in bytes.
const LONG: usize = 8 << 10;
/// By how much the memory of this process, which is the hub's, may grow meanwhile, in kibibytes: far less than what was written.
const MOST_MEMORY: u64 = 48 << 10;

/// A line of `/proc/self/status`, in kibibytes.
fn memory(name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name.to_owned())?;
    Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?)
}

#[tokio::test]
async fn ten_thousand_mails_of_one_agent_harm_nobody_else() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let agents = AgentsConfig { mails_per_minute: TAKEN, ..AgentsConfig::default() };
    let mut farm = Farm::with(Setup { agents, ..Setup::default() }).await?;
    farm.runner("BOX").await?;
    farm.runner("OTHER").await?;
    let mail = |from: i64, body: &str| json!({ "fromUserId": from, "toUserIds": [ADMIN], "subject": "other", "body": body, "kind": "mail" });
    let before = memory("VmRSS")?;
    let n = farm.clients.begin_many("BOX", "mail_send", mail(ADMIN, &"x".repeat(LONG)), WRITTEN).await?;
    let others = 20;
    for at in 0..others {
        let answer = farm.ask("OTHER", "mail_send", mail(MOCKY, &at.to_string())).await?;
        assert_eq!(answer, json!({ "success": true }));
    }
    assert!(!farm.clients.has_seen("BOX", "answer"), "the others had to wait until all was written");
    let answer = farm.clients.answer("BOX", n).await?;
    let grown = memory("VmHWM")?.saturating_sub(before);
    let refusal = format!(
        "admin has sent {TAKEN} mails within a minute, and the hub takes no more from one agent ([agents] mails_per_minute): try again in N s"
    );
    let refused = WRITTEN - TAKEN as usize;
    assert_eq!(answer["refused"], json!({ refusal: refused }));
    let taken: BTreeSet<String> =
        answer["taken"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    assert_eq!(taken.len(), TAKEN as usize);
    assert!(grown < MOST_MEMORY, "the hub grew by {grown} KiB");

    // What was acknowledged is there, once, when the hub starts anew; and nothing else is.
    let folder = farm.hub.folder();
    farm.hub.stop().await;
    let farm = Farm::with(Setup { folder: Some(folder), ..Setup::default() }).await?;
    let mut filter = MailFilter { agent: "admin".to_owned(), limit: Some(200), ..MailFilter::default() };
    filter.direction = Some("received".to_owned());
    let mut found = Vec::new();
    loop {
        let page = letters::list(&farm.op(), farm.hub.hub(), &farm.agents, &filter).await?;
        let Some(last) = page.last() else { break };
        filter.before = Some(last.head.id);
        found.extend(page.into_iter().map(|mail| mail.head.subject));
    }
    assert_eq!(found.iter().filter(|subject| *subject == "other").count(), others);
    assert_eq!(found.len(), taken.len() + others);
    found.retain(|subject| subject != "other");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), taken);
    Ok(())
}
